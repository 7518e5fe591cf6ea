"""The store, killed at every call that it makes to the system, and broken at every one."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from inceptioncli.errors import ForeignOutputError, OutputError, UsageError
from inceptioncli.output.base import COMMIT_RECORDS, COMMIT_SECONDS
from inceptioncli.output.formats import FORMATS
from inceptioncli.output.rows import RowsPart
from inceptioncli.output.store import Store
from inceptioncli.output.targets import Arrays, Table, Target
from inceptioncli.records import Failure, FileStamp, Prediction, Record

CALLS = ("write", "fsync", "replace", "unlink", "ftruncate", "open")
FILE = FileStamp(3, "2026-11-24T08:45:19.123456789Z")
CASES = ("csv", "parquet", "features", "jsonl+features")
SHARED = "csv+shared features"  # in the folder of the table

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="forks"),
    pytest.mark.slow,
]


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is processes that are killed here, not machines."""
    monkeypatch.setattr(os, "fsync", os.fstat)


class Source(NamedTuple):
    path: str
    file: FileStamp

    def stamp(self) -> FileStamp:
        return self.file

    def unreadable(self) -> None:
        return None


class Run(NamedTuple):
    """One run of a command: its inputs (capitals fail), the files that have changed, options."""

    inputs: str
    changed: str = ""
    retry_errors: bool = False
    retry_changed: bool = False
    overwrite: bool = False
    end_points: tuple[str, ...] = ("A", "B")
    top_k: int = 2


# What the run in question finds, and the run itself.
SCENARIOS: dict[str, tuple[Sequence[Run], Run]] = {
    "fresh": ([], Run("abCd")),
    "more at the end": ([Run("aB")], Run("aBcd")),
    "one in front": ([Run("bCd")], Run("abCd")),
    "nothing new": ([Run("abC")], Run("abC")),
    "failures again": ([Run("aBCd")], Run("abcd", retry_errors=True)),
    "changed files again": ([Run("aBcD")], Run("abcD", changed="bc", retry_changed=True)),
    "failures gone": ([Run("AbCd")], Run("bd")),
    "anew, with another array": (
        [Run("abC", end_points=("A", "Z"))],
        Run("bCd", overwrite=True),
    ),
}


def execute(case: str, folder: Path, run: Run) -> None:
    targets: list[Target] = []
    if case != "features":
        format = case.partition("+")[0]
        within = folder / "arrays" if case == SHARED else folder
        targets.append(Table.at(within / f"out.{format}", FORMATS[format], run.top_k))
    if case.endswith("features"):
        shapes = dict.fromkeys(run.end_points, (2, 3))
        targets.append(Arrays(folder / "arrays", shapes, "float32"))
    arrays = {"dump_dir": "arrays"} if case.endswith("+features") else {}
    fingerprint = {
        "results_version": 1,
        "weights": {"name": "w", "sha256": "0"},
        "options": {"command": "classify", **arrays},
        "ends": run.end_points,
    }
    with Store(
        fingerprint,
        *targets,
        overwrite=run.overwrite,
        retry_errors=run.retry_errors,
        retry_changed=run.retry_changed,
    ) as store:
        for path, fails in ((letter.lower(), letter.isupper()) for letter in run.inputs):
            file = FILE._replace(size=4) if path in run.changed else FILE
            for source in [*store.ledger.new([Source(path, file)])]:
                if fails:
                    record = Record(source.path, failure=Failure("truncated", "no"), file=file)
                else:
                    values = np.full((2, 3), ord(source.path), np.float32)
                    features = dict.fromkeys(run.end_points, values)
                    predictions = (Prediction(0, None, source.path, 0.5),)
                    record = Record(source.path, predictions, features=features, file=file)
                store.append(record)
                store.commit()
        store.finish()


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def expected(case: str, scenario: str, folder: Path) -> dict[str, bytes]:
    """What an undisturbed run over the same inputs writes."""
    _, run = SCENARIOS[scenario]
    execute(case, folder, run._replace(retry_errors=False, retry_changed=False, overwrite=False))
    return tree(folder)


def disturb(work: Callable[[], None], number: int, trouble: Callable[[], None]) -> int:
    """Runs in a process of its own, with trouble at the numbered call; its exit code.

    0: there was no such call. 6: an OutputError. 9: killed.
    """
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        count = 0

        def counting(call: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(*arguments: Any, **options: Any) -> Any:
                nonlocal count
                count += 1
                if count == number:
                    trouble()
                return call(*arguments, **options)

            return wrapped

        for name in CALLS:
            setattr(os, name, counting(getattr(os, name)))
        work()
        code = 0
    except OutputError:
        code = 6
    finally:
        os._exit(code)


def kill() -> None:
    os._exit(9)


def fail() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


TROUBLES = [(kill, scenario) for scenario in SCENARIOS]
TROUBLES += [(fail, scenario) for scenario in ("fresh", "one in front", "failures again")]
# Both at once are for what may happen between the two notes.
BOTH = "parquet+features"


@pytest.mark.parametrize(
    ("case", "trouble", "scenario"),
    [
        *((case, *trouble) for case in CASES for trouble in TROUBLES),
        *((BOTH, kill, scenario) for scenario in ("fresh", "one in front")),
        *((SHARED, kill, scenario) for scenario in SCENARIOS),
    ],
)
def test_trouble_at_every_call(
    case: str, scenario: str, trouble: Callable[[], None], tmp_path: Path
) -> None:
    before, run = SCENARIOS[scenario]
    reference = expected(case, scenario, tmp_path / "reference")
    start = tmp_path / "start"
    start.mkdir()
    for earlier in before:
        execute(case, start, earlier)
    folder = tmp_path / "work"
    number = 0
    codes = []
    # Some calls may fail without harm (a leftover that can't be removed), but no three in a row.
    while codes[-3:] != [0, 0, 0] and not (trouble is kill and codes[-1:] == [0]):
        number += 1
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(start, folder)
        codes.append(disturb(lambda: execute(case, folder, run), number, trouble))
        assert codes[-1] in (0, 6, 9), number
        # The same command; after an overwrite that began, without the option, which starts anew.
        execute(case, folder, run)
        assert tree(folder) == reference, number
    assert len(codes) > (5 if scenario == "nothing new" else 20)


@pytest.mark.parametrize("case", CASES)
def test_overwriting_can_be_continued(case: str, tmp_path: Path) -> None:
    before, run = SCENARIOS["anew, with another array"]
    reference = expected(case, "anew, with another array", tmp_path / "reference")
    execute(case, tmp_path / "start", before[0])
    for number in range(1, 200):
        folder = tmp_path / f"work{number}"
        shutil.copytree(tmp_path / "start", folder)
        code = disturb(lambda folder=folder: execute(case, folder, run), number, kill)  # type: ignore[misc]
        try:
            execute(case, folder, run._replace(overwrite=False))
        except ForeignOutputError:
            # Killed before it began; what was there is still there.
            assert number < 40
            continue
        assert tree(folder) == reference, number
        if code == 0:
            break
    assert code == 0


def test_a_second_table_does_not_take_the_arrays_of_the_first(tmp_path: Path) -> None:
    arrays = Arrays(tmp_path / "arrays", {"A": (2,)}, "float32")
    for name, refused in (("a", False), ("b", True)):
        table = Table.at(tmp_path / f"{name}.jsonl", FORMATS["jsonl"], 1)
        try:
            with Store({"options": {"output": name}}, table, arrays) as store:
                store.finish()
        except ForeignOutputError:
            assert refused
        else:
            assert not refused


@pytest.mark.parametrize("name", ["A.npy", "index.jsonl"])
def test_a_table_is_no_file_of_the_arrays(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").mkdir()
    arrays = Arrays(tmp_path / "x" / "..", {"A": (2,)}, "float32")
    with pytest.raises(UsageError, match="--dump-dir"):
        Store({}, Table.at(tmp_path / name, FORMATS["csv"], 1), arrays)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def old_naming(folder: Path, note: str) -> None:
    """Makes a note what it was when the first output in a folder had its ``run.json``."""
    written = json.loads((folder / note).read_bytes())
    del written["results_version"]
    (folder / note).unlink()
    (folder / "run.json").write_text(json.dumps(written), encoding="utf-8")


@pytest.mark.parametrize("case", ["csv", "parquet", "jsonl+features"])
def test_a_note_of_the_old_naming_goes_on(case: str, tmp_path: Path) -> None:
    """Killed at every call; the note is there under one of its names."""
    table = f"out.{case.partition('+')[0]}"
    run = Run("aBcd")
    execute(case, tmp_path / "reference", run)
    reference = tree(tmp_path / "reference")
    execute(case, tmp_path / "start", Run("aB"))
    old_naming(tmp_path / "start", f"{table}.run.json")
    assert f"{table}.run.json" not in tree(tmp_path / "start")
    code = number = 0
    while code == 9 or number == 0:
        number += 1
        folder = tmp_path / f"work{number}"
        shutil.copytree(tmp_path / "start", folder)
        code = disturb(lambda folder=folder: execute(case, folder, run), number, kill)  # type: ignore[misc]
        assert {f"{table}.run.json", "run.json"} & tree(folder).keys(), number
        execute(case, folder, run)
        assert tree(folder) == reference, number
    assert number > 10


def test_a_note_of_the_old_naming_stays_where_a_run_is_refused(tmp_path: Path) -> None:
    execute("csv", tmp_path, Run("aB"))
    old_naming(tmp_path, "out.csv.run.json")
    before = tree(tmp_path)
    with pytest.raises(ForeignOutputError):
        execute("csv", tmp_path, Run("aB", end_points=("C",)))
    assert tree(tmp_path) == before


def features_beside(folder: Path, *, overwrite: bool) -> None:
    with Store({}, Arrays(folder, {"A": (2,)}, "float32"), overwrite=overwrite) as store:
        store.append(Record("x", features={"A": np.ones(2, np.float32)}))
        store.finish()


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("old", [True, False])
def test_arrays_leave_the_note_of_a_table_in_their_folder(
    tmp_path: Path, old: bool, overwrite: bool
) -> None:
    execute("csv", tmp_path / "reference", Run("aBcd"))
    for number in range(1, 200):
        folder = tmp_path / f"work{number}"
        execute("csv", folder, Run("aB"))
        if old:
            old_naming(folder, "out.csv.run.json")
        code = disturb(
            lambda folder=folder: features_beside(folder, overwrite=overwrite),  # type: ignore[misc]
            number,
            kill,
        )
        features_beside(folder, overwrite=False)
        execute("csv", folder, Run("aBcd"))
        features_beside(folder, overwrite=False)
        found = tree(folder)
        expected = tree(tmp_path / "reference")
        assert {name: found[name] for name in expected} == expected
        assert set(found) - set(expected) == {"run.json", "index.jsonl", "A.npy"}
        if code == 0:
            break
    assert code == 0
    assert number > 10


def test_an_old_note_is_not_renamed_under_its_writer(tmp_path: Path) -> None:
    execute("csv", tmp_path, Run("aB"))
    old_naming(tmp_path, "out.csv.run.json")
    before = tree(tmp_path)
    with (
        Table.at(tmp_path / "out.csv", FORMATS["csv"], 1).place().locked(),
        pytest.raises(ForeignOutputError, match=r"another process is writing .*out\.csv"),
    ):
        features_beside(tmp_path, overwrite=True)
    assert {name: tree(tmp_path)[name] for name in before} == before


def test_commits_come_by_count_and_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with Store({}, Table.at(tmp_path / "out.csv", FORMATS["csv"], 1)) as store:
        due = []
        for number in range(2 * COMMIT_RECORDS + 1):
            store.append(Record(str(number)))
            due.append(store.commit_if_due())
        assert [number for number, was in enumerate(due, 1) if was] == [
            COMMIT_RECORDS,
            2 * COMMIT_RECORDS,
        ]
        assert store.ledger.committed == 2 * COMMIT_RECORDS
        now = COMMIT_SECONDS
        assert store.commit_if_due()
        assert not store.commit_if_due()
        now = 2 * COMMIT_SECONDS
        assert not store.commit_if_due()  # nothing new
    note = json.loads((tmp_path / "out.csv.run.json").read_bytes())
    assert note["counts"]["inputs"] == len(due)


@pytest.mark.parametrize("case", [*CASES, BOTH])
def test_what_kills_have_left_is_removed(case: str, tmp_path: Path) -> None:
    run = Run("aB")
    execute(case, tmp_path, run)
    before = tree(tmp_path)
    for name in before:
        file = tmp_path / name
        for left in ("x1.partial", "reordered.partial"):
            file.with_name(f".{file.name}.{left}").write_bytes(b"half")
    if case.startswith("parquet"):
        (tmp_path / ".out.parquet.rows").write_bytes(b"finished before they could be removed")
    others = tmp_path / ".other.csv.x1.partial"
    others.write_bytes(b"being written")
    execute(case, tmp_path, run)
    assert tree(tmp_path) == before | {others.name: others.read_bytes()}


def test_an_interrupt_in_the_middle_of_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is written, the second array is not."""
    arrays = Arrays(tmp_path, {"A": (2,), "B": (2,)}, "float32")
    row = {name: np.ones(2, np.float32) for name in "AB"}
    write = RowsPart.write

    def interrupted(part: Any, values: Any, length: int) -> int:
        if part.path.name == "B.npy" and length == 1:
            raise KeyboardInterrupt
        return write(part, values, length)

    monkeypatch.setattr(RowsPart, "write", interrupted)
    with contextlib.suppress(KeyboardInterrupt), Store({}, arrays) as store:
        for name in "ab":
            store.append(Record(name, features=row))
        pytest.fail("no interrupt")
    assert (tmp_path / "index.jsonl").read_text(encoding="utf-8").count("\n") == 1
    assert np.load(tmp_path / "A.npy").shape == np.load(tmp_path / "B.npy").shape == (1, 2)


ODD = (3, -1, "x", None, [], {}, [3], {"x": "y"}, "a/b.npy", {"\0": 1}, {"../A.npy": 1})
REMOVED = object()
FIELDS: tuple[tuple[str, ...], ...] = (
    *((name,) for name in ("output", "engine", "options", "working_folder", "results_version")),
    *((name,) for name in ("status", "counts", "committed", "renaming", "replaced", "adding")),
    *(("options", name) for name in ("command", "dump_dir", "end_points")),
    *(("counts", "ok"), ("committed", "arrays/A.npy"), ("adding", "B.npy")),
)


def damaged_notes(note: dict[str, Any], field: Sequence[str]) -> Iterator[bytes]:
    """The note with all that a field can be in place of what it is."""
    for value in (*ODD, REMOVED):
        changed = json.loads(json.dumps(note))
        holder = changed
        for name in field[:-1]:
            holder = holder.setdefault(name, {})
        if value is REMOVED:
            holder.pop(field[-1], None)
        else:
            holder[field[-1]] = value
        yield json.dumps(changed).encode()


@pytest.mark.parametrize("field", FIELDS, ids=" ".join)
@pytest.mark.parametrize("case", CASES[1:])
def test_a_damaged_note_is_refused_or_replaced(
    case: str, field: tuple[str, ...], tmp_path: Path
) -> None:
    run = Run("aBc", end_points=("A",))
    start = tmp_path / "start"
    execute(case, start, run)
    name = {"parquet": "out.parquet.run.json", "features": "arrays/run.json"}.get(case)
    path = start / (name or "out.jsonl.run.json")
    note = {**json.loads(path.read_bytes()), "adding": {"B.npy": 0}}
    for number, damaged in enumerate(damaged_notes(note, field)):
        path.write_bytes(damaged)
        for overwrite in (False, True):
            folder = tmp_path / f"{number} {overwrite}"
            shutil.copytree(start, folder)
            try:
                execute(case, folder, run._replace(overwrite=overwrite))
            except ForeignOutputError:
                assert not overwrite, damaged
        # As the first versions had it, which is looked at more closely.
        shutil.copytree(start, tmp_path / f"old {number}")
        old = tmp_path / f"old {number}" / path.relative_to(start)
        old.unlink()
        old = old.with_name("run.json")
        old.write_bytes(damaged.replace(b'"results_version"', b'"version"'))
        with contextlib.suppress(ForeignOutputError):
            execute(case, tmp_path / f"old {number}", run)


@pytest.mark.parametrize("damaged", [b"", b"3", b"[]", b"{", b"[" * 100_000, b"\xff", b"{}"])
def test_what_is_no_note_is_replaced_when_that_is_wanted(damaged: bytes, tmp_path: Path) -> None:
    execute("features", tmp_path, Run("ab"))
    (tmp_path / "arrays" / "run.json").write_bytes(damaged)
    with pytest.raises(ForeignOutputError, match=r"run.json is in the way.*--overwrite"):
        execute("features", tmp_path, Run("ab"))
    execute("features", tmp_path, Run("abc", overwrite=True))
    assert np.load(tmp_path / "arrays" / "A.npy").shape == (3, 2, 3)
