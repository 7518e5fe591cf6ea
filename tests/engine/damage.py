"""What can happen to a file of the cache and the note beside it."""

from __future__ import annotations

from pathlib import Path

KINDS = ("cut", "emptied", "overwritten", "one bit", "cut note", "other note", "gone")


def damage(path: Path, kind: str) -> None:
    """Does one of `KINDS` to a file, or to its note."""
    content = path.read_bytes()
    middle = len(content) // 2
    note = path.with_suffix(".json")
    match kind:
        case "cut":
            path.write_bytes(content[:middle])
        case "emptied":
            path.write_bytes(b"")
        case "overwritten":
            path.write_bytes(b"rubbish" * 1000)
        case "one bit":
            path.write_bytes(
                content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            )
        case "cut note":
            note.write_text('{"sha256": ', encoding="utf-8")
        case "other note":
            note.write_text("[]", encoding="utf-8")
        case "gone":
            path.unlink()
        case _:
            raise ValueError(kind)
