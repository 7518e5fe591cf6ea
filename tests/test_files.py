from __future__ import annotations

import os
from pathlib import Path

import pytest

from inceptioncli.errors import OutputError
from inceptioncli.files import replacing


def test_the_target_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "new folder" / "file"
    with replacing(target) as beside:
        beside.write_text("content")
        assert not target.exists()
    assert target.read_text() == "content"
    assert [path.name for path in target.parent.iterdir()] == ["file"]
    umask = os.umask(0)
    os.umask(umask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~umask


def test_an_exception_leaves_the_target_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("before")
    with pytest.raises(ZeroDivisionError), replacing(target) as beside:
        beside.write_text("half" * (1 // 0))
    assert target.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"), replacing(tmp_path / "file" / "x"):
        pass
    with pytest.raises(OutputError, match="No space left"), replacing(tmp_path / "x"):
        raise OSError(28, "No space left on device")


def test_data_reach_the_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync of the file, then the rename, then fsync of the folder."""
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def spy_fsync(handle: int) -> None:
        calls.append("folder" if Path(f"/proc/self/fd/{handle}").resolve() == tmp_path else "file")
        fsync(handle)

    def spy_replace(self: Path, target: Path) -> Path:
        calls.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "replace", spy_replace)
    with replacing(tmp_path / "x") as beside:
        beside.write_text("content")
    assert calls == ["file", "rename", "folder"]
