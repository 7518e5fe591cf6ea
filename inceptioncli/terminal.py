"""What may be shown on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Text with its control characters and broken encodings escaped.

    A file name may hold either, and a terminal would obey the first and choke on the second.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
