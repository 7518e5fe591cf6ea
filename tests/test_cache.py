"""The cache: entries are built once and believed only if they are sound; digests are remembered."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import filelock
import pytest

from inceptioncli import cache
from inceptioncli.errors import OutputError


class Entry:
    """An entry of a test; counts how often it is built."""

    def __init__(self, folder: Path, note: Mapping[str, Any] | None, seconds: float = 0) -> None:
        self.path = folder / "entry.bin"
        self.lock = folder / "entry.lock"
        self.note = note
        self.seconds = seconds
        self.built = 0

    def find(self) -> bytes | None:
        if self.note is None:
            return self.path.read_bytes() if self.path.exists() else None
        noted = cache.noted(self.path)
        return self.path.read_bytes() if noted and noted.items() >= self.note.items() else None

    def build(self, beside: Path) -> Mapping[str, Any] | None:
        self.built += 1
        time.sleep(self.seconds)
        beside.write_bytes(b"content")
        return self.note

    def get(self) -> bytes:
        return cache.built_once(self.path, self.find, self.build, lock=self.lock)


@pytest.mark.parametrize(
    ("note", "files"),
    [
        ({"version": 1}, ["entry.bin", "entry.json", "entry.lock"]),
        (None, ["entry.bin", "entry.lock"]),
    ],
)
def test_an_entry_is_built_once(
    tmp_path: Path, note: Mapping[str, Any] | None, files: list[str]
) -> None:
    entry = Entry(tmp_path / "new", note)
    assert (entry.get(), entry.get(), entry.built) == (b"content", b"content", 1)
    assert sorted(path.name for path in entry.path.parent.iterdir()) == files


def test_an_entry_that_is_there_needs_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = Entry(tmp_path, {"version": 1})
    entry.get()
    monkeypatch.setattr(cache, "hashed", lambda path: pytest.fail("hashed again"))
    with filelock.FileLock(entry.lock):
        assert entry.get() == b"content"


@pytest.mark.parametrize("damage", ["file", "note", "facts", "no note"])
def test_what_is_not_sound_is_built_again(tmp_path: Path, damage: str) -> None:
    entry = Entry(tmp_path, {"version": 1})
    entry.get()
    note = cache.note_of(entry.path)
    if damage == "file":
        entry.path.write_bytes(b"else")
    elif damage == "note":
        note.write_text("{", encoding="utf-8")
    elif damage == "facts":
        facts = json.loads(note.read_text(encoding="utf-8"))
        note.write_text(json.dumps({**facts, "version": 0}), encoding="utf-8")
    else:
        note.unlink()
    assert (entry.get(), entry.built) == (b"content", 2)


def test_of_many_at_once_one_builds(tmp_path: Path) -> None:
    entry = Entry(tmp_path, {"version": 1}, seconds=0.2)
    threads = [threading.Thread(target=entry.get) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert entry.built == 1


def test_what_kills_left_goes_with_the_next_build(tmp_path: Path) -> None:
    for name in (".entry.bin.abcdefgh.partial", ".entry.json.01234567.partial"):
        (tmp_path / name).touch()
    Entry(tmp_path, {"version": 1}).get()
    assert not list(tmp_path.glob(".*"))


def test_an_entry_whose_note_cannot_be_written_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = Entry(tmp_path, {"version": 1})
    cache.note_of(entry.path).mkdir()
    with pytest.raises(OutputError, match=r"entry\.json: cannot write.*INCEPTIONCLI_CACHE"):
        entry.get()
    assert not entry.path.exists()


def test_a_failing_build_leaves_nothing(tmp_path: Path) -> None:
    def build(beside: Path) -> None:
        beside.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    entry = Entry(tmp_path, None)
    with pytest.raises(OutputError, match=r"No space left on device; set INCEPTIONCLI_CACHE"):
        cache.built_once(entry.path, entry.find, build, lock=entry.lock)
    assert [path.name for path in tmp_path.iterdir()] == ["entry.lock"]


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write the cache: .*INCEPTIONCLI_CACHE"):
        Entry(tmp_path / "file", None).get()


# Removing


def test_nothing_is_removed_from_under_another_process(tmp_path: Path) -> None:
    file, lock = tmp_path / "entry.bin", tmp_path / "entry.lock"
    file.touch()
    with filelock.FileLock(lock):
        assert cache.remove_at_rest([file, lock], [lock]) == []
        assert file.exists()
    assert cache.remove_at_rest([file, lock], [lock]) == [file, lock]
    assert list(tmp_path.iterdir()) == []
    assert cache.remove_at_rest([file], [lock]) == []
    assert list(tmp_path.iterdir()) == []  # Nor is a lock left that was not there.


def test_who_waits_for_a_lock_that_is_removed_goes_on_alone(tmp_path: Path) -> None:
    entry = Entry(tmp_path, {"version": 1}, seconds=0.3)
    threads = [threading.Thread(target=entry.get) for _ in range(3)]
    with filelock.FileLock(entry.lock):
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        entry.lock.unlink()
    for thread in threads:
        thread.join()
    assert entry.built == 1


# Digests


def test_digests_are_remembered_until_the_file_changes(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    first = cache.sha256(path)
    with monkeypatch.context() as patch:
        patch.setattr(cache, "hashed", lambda path: pytest.fail("hashed again"))
        assert cache.sha256(path) == first
    path.write_bytes(b"two")
    assert cache.sha256(path) != first
    for note in (own_cache / "digests").iterdir():
        note.write_text("{damaged")
    path.write_bytes(b"one")
    assert cache.sha256(path) == first


def test_what_is_remembered_wrongly_is_put_right(own_cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    right = cache.sha256(path)
    (note,) = (own_cache / "digests").iterdir()
    note.write_text(note.read_text().replace(right, "0" * 64))
    assert cache.sha256(path) == "0" * 64
    assert cache.sha256(path, anew=True) == right
    assert cache.sha256(path) == right


def _as_of_earlier_versions(note: Path) -> None:
    facts = json.loads(note.read_text(encoding="utf-8"))
    del facts["path"]
    note.write_text(json.dumps(facts), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        (lambda file, note: None, False),
        (lambda file, note: file.write_bytes(b"other"), False),  # Its next digest goes there.
        (lambda file, note: file.unlink(), True),
        (lambda file, note: _as_of_earlier_versions(note), True),
        (lambda file, note: note.write_text("{"), True),
    ],
)
def test_digests_of_files_that_are_gone_are_removed(
    own_cache: Path, tmp_path: Path, change: Callable[[Path, Path], Any], gone: bool
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"one")
    cache.sha256(file)
    (note,) = (own_cache / "digests").iterdir()
    change(file, note)
    assert cache.remove_gone_digests() == ([note] if gone else [])
    assert note.exists() != gone


def test_digests_of_odd_names(own_cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "\udcff \n"
    file.write_bytes(b"one")
    digest = cache.sha256(file)
    assert cache.sha256(file) == digest
    assert cache.remove_gone_digests() == []
    file.unlink()
    (own_cache / "digests" / ".x.json.abcdefgh.partial").touch()
    assert len(cache.remove_gone_digests()) == 2
    assert list((own_cache / "digests").iterdir()) == []
