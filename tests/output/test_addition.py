"""Arrays that are added to a finished folder: killed, broken and refused."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inceptioncli.errors import ForeignOutputError
from inceptioncli.output.store import Store
from inceptioncli.output.targets import Arrays
from inceptioncli.records import Failure, FileStamp, Record
from tests.output.test_store import disturb, fail, kill, tree

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="forks"),
    pytest.mark.slow,
]

FAILS = "b.png"


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", os.fstat)


class Source:
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def stamp(self) -> FileStamp:
        return FileStamp.of(os.stat(self.path))

    def unreadable(self) -> None:
        return None


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """What the rows are of; one is no picture."""
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("a.png", FAILS, "c.png", "d.png"):
        (folder / name).write_text(name, encoding="utf-8")
    return folder


def record_of(path: str, end_points: Sequence[str]) -> Record:
    stamp = FileStamp.of(os.stat(path))
    if Path(path).name == FAILS:
        return Record(path, failure=Failure("truncated", "no"), file=stamp)
    values = np.frombuffer(path.encode()[-5:-4] * 2, np.uint8).astype(np.float32)
    features = {name: values + ord(name) for name in end_points}
    return Record(path, features=features, file=stamp)


def fingerprint(end_points: str) -> dict[str, Any]:
    return {
        "results_version": 1,
        "options": {"command": "features", "end_points": [*end_points]},
    }


def opened(folder: Path, end_points: str, *, overwrite: bool = False) -> Store:
    arrays = Arrays(folder, dict.fromkeys(end_points, (2,)), "float32")
    return Store(fingerprint(end_points), arrays, overwrite=overwrite)


def execute(folder: Path, files: Path, end_points: str, *, overwrite: bool = False) -> None:
    """A run for end points of which each letter is one."""
    with opened(folder, end_points, overwrite=overwrite) as store:
        if store.addition is not None:
            with store.addition as addition:
                for path in addition.paths():
                    addition.append(record_of(path, addition.names))
                    addition._commit()
                addition.finish()
        for source in [*store.ledger.new([Source(path) for path in sorted(files.iterdir())])]:
            store.append(record_of(source.path, end_points))
            store.commit()
        store.finish()


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.iterdir()
        if path.name != "run.json"
    }


def check_valid(folder: Path) -> None:
    """Whatever the note lists is there, whole, and finished."""
    note = json.loads((folder / "run.json").read_bytes())
    assert note["status"] == "finished"
    lines = (folder / "index.jsonl").read_text(encoding="utf-8").splitlines()
    rows = sum("row" in json.loads(line) for line in lines)
    for name in note["options"]["end_points"]:
        assert np.load(folder / f"{name}.npy").shape == (rows, 2)
    for path in folder.glob("*.npy"):
        assert np.load(path).shape[0] == rows


def start(files: Path, folder: Path) -> dict[str, tuple[bytes, int]]:
    """A finished folder, whose times will tell who has written to it."""
    execute(folder, files, "A")
    for path in folder.iterdir():
        os.utime(path, ns=(1, 1))
    return state(folder)


@pytest.mark.parametrize("trouble", [kill, fail])
@pytest.mark.parametrize("more", ["AB", "ABC"])
def test_trouble_at_every_call(
    files: Path, tmp_path: Path, trouble: Callable[[], None], more: str
) -> None:
    folder = tmp_path / "out"
    execute(folder, files, more)
    reference = tree(folder)
    codes: list[int] = []
    while codes[-3:] != [0, 0, 0] and not (trouble is kill and codes[-1:] == [0]):
        shutil.rmtree(folder)
        before = start(files, folder)
        codes.append(disturb(lambda: execute(folder, files, more), len(codes) + 1, trouble))
        assert codes[-1] in (0, 6, 9)
        check_valid(folder)
        assert before.items() <= state(folder).items()
        execute(folder, files, more)
        assert tree(folder) == reference
        assert before.items() <= state(folder).items()
    assert len(codes) > 20


def test_what_is_there_is_not_done_again(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    start(files, folder)
    names = ["a.png", "c.png", "d.png"]
    for left in (3, 2, 1):
        with opened(folder, "AB") as store:
            assert store.addition is not None
            with store.addition as addition:
                paths = [*addition.paths()]
                assert [Path(path).name for path in paths] == names[-left:]
                addition.append(record_of(paths[0], "B"))
        check_valid(folder)
    with opened(folder, "AB") as store:
        assert store.addition is not None
        with store.addition as addition:
            assert [*addition.paths()] == []
            addition.finish()
    assert np.load(folder / "B.npy").shape == (3, 2)


def test_given_up_for_another(files: Path, tmp_path: Path) -> None:
    """Whatever a kill has left of what nobody wants any more goes."""
    folder = tmp_path / "out"
    for end_points in ("AC", "A"):
        execute(tmp_path / end_points / "out", files, end_points)
    for number in range(1, 200):
        shutil.rmtree(folder, ignore_errors=True)
        start(files, folder)
        disturb(lambda: execute(folder, files, "AB"), number, kill)
        if "B" in json.loads((folder / "run.json").read_bytes())["options"]["end_points"]:
            break
        for end_points in ("A", "AC"):
            execute(folder, files, end_points)
            found = tree(folder)
            expected = tree(tmp_path / end_points / "out")
            note = json.loads(found.pop("run.json"))
            assert note["options"]["end_points"] == [*end_points]
            del expected["run.json"]
            assert found == expected, number
    assert number > 20


def test_overwriting_leaves_nothing_of_it(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    execute(folder, files, "A")
    reference = tree(folder)
    for number in range(1, 200):
        shutil.rmtree(folder, ignore_errors=True)
        start(files, folder)
        code = disturb(lambda: execute(folder, files, "AB"), number, kill)
        if code == 0:
            break
        execute(folder, files, "A", overwrite=True)
        assert tree(folder) == reference, number
    assert code == 0


def test_added_and_grown_at_once(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    late = (files / "a.png").rename(tmp_path / "a.png")
    start(files, folder)
    late.rename(files / "a.png")
    execute(folder, files, "AB")
    shutil.rmtree(tmp_path / "whole", ignore_errors=True)
    whole = tmp_path / "whole" / "out"
    execute(whole, files, "AB")
    assert tree(folder) == tree(whole)


def _gone(path: Path) -> None:
    path.unlink()


def _longer(path: Path) -> None:
    path.write_text("longer than it was", encoding="utf-8")


def _touched(path: Path) -> None:
    os.utime(path, ns=(5, 5))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [_gone, _longer, _touched, _folder])
def test_pictures_that_are_not_what_they_were(
    files: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    folder = tmp_path / "out"
    start(files, folder)
    before = tree(folder), state(folder)
    for name in ("c.png", "d.png"):
        change(files / name)
    with pytest.raises(ForeignOutputError, match=r"c\.png has a row .* B can be added"):
        execute(folder, files, "AB")
    assert (tree(folder), state(folder)) == before
    assert (folder / "run.json").stat().st_mtime_ns == 1


def test_a_failure_that_has_changed_is_no_hindrance(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    before = start(files, folder)
    os.utime(files / FAILS, ns=(5, 5))
    execute(folder, files, "A")  # It is tried again, of course.
    execute(folder, files, "AB")
    assert state(folder)["A.npy"][0] == before["A.npy"][0]
    assert np.load(folder / "B.npy").shape == (3, 2)


def test_an_index_that_does_not_say_what_files_were(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    execute(folder, files, "A")
    index = folder / "index.jsonl"
    lines = [json.loads(line) for line in index.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        del line["file"]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    index.write_text(text, encoding="utf-8")
    note = json.loads((folder / "run.json").read_bytes())
    note["committed"]["index.jsonl"] = len(text)
    (folder / "run.json").write_text(json.dumps(note), encoding="utf-8")
    _touched(files / "c.png")
    execute(folder, files, "AB")
    kept = {line for line in text.splitlines() if '"row"' in line}  # A failure is tried again.
    assert kept < {*index.read_text(encoding="utf-8").splitlines()}
    execute(folder, files, "AB")
    (files / "c.png").unlink()
    with pytest.raises(ForeignOutputError, match=r"c\.png has a row in .* and is gone"):
        execute(folder, files, "ABC")
    (files / "c.png").mkdir()
    with pytest.raises(ForeignOutputError, match=r"c\.png has a row in .* and is no file"):
        execute(folder, files, "ABC")


def test_a_picture_that_changes_or_fails_meanwhile(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    before = start(files, folder)
    for change in ("changes", "fails"):
        with opened(folder, "AB") as store, store.addition as addition:  # type: ignore[union-attr]
            paths = addition.paths()
            if change == "changes":
                addition.append(record_of(next(paths), "B"))
            path = next(paths)
            record = record_of(path, "B")
            if change == "changes":
                record = record._replace(file=FileStamp(1, "2026"))
            else:
                record = Record(path, failure=Failure("timeout", "no answer"))
            with pytest.raises(ForeignOutputError, match=f"{path} has a row"):
                addition.append(record)
        assert before.items() <= state(folder).items()
        check_valid(folder)
        assert json.loads((folder / "run.json").read_bytes())["adding"] == {"B.npy": 1}
    execute(folder, files, "AB")
    check_valid(folder)


def test_a_refusal_leaves_nothing_open(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    start(files, folder)
    (files / "c.png").unlink()
    before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        with pytest.raises(ForeignOutputError, match="is gone"):
            execute(folder, files, "AB")
    assert len(os.listdir("/dev/fd")) == before
    assert not [*folder.glob(".*")]


def test_somebody_elses_file_is_in_the_way(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    start(files, folder)
    (folder / "B.npy").write_bytes(b"mine")
    before = tree(folder)
    with pytest.raises(ForeignOutputError, match=r"B\.npy is there already"):
        execute(folder, files, "AB")
    assert tree(folder) == before


def test_an_unfinished_folder_is_finished_first(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with opened(folder, "A") as store:
        store.append(record_of(str(files / "a.png"), "A"))
    with pytest.raises(ForeignOutputError, match="is not finished"):
        execute(folder, files, "AB")
    execute(folder, files, "A")
    execute(folder, files, "AB")
    check_valid(folder)
