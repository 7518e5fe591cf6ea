"""Kills, signals, failing and full disks: whatever happens, the same command ends with the same
bytes. The long versions are scripts: `tests.reliability.crash`, `.faults`, `.fuzz`."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.reliability.crash import FORMATS, Case, kill_and_continue, make_images, undisturbed
from tests.reliability.faults import ERRORS, fail_write, limit_files, writes

pytestmark = pytest.mark.slow

MANY = 1000
WRITES = 50

without_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    make_images(folder, MANY)
    return folder


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few")
    make_images(folder, 60)
    return folder


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_kills(format: str, small_weights: Path, many: Path, tmp_path: Path) -> None:
    case = Case(format, small_weights, many, tmp_path / "work")
    reference, paths, seconds = undisturbed(case)
    assert len(paths) == len(set(paths)) == MANY
    killed, finished = kill_and_continue(case, reference, 20, random.Random(1), seconds)
    assert killed == 20
    assert finished >= 1


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_commit_what_is_done(
    format: str, number: int, code: int, small_weights: Path, many: Path, tmp_path: Path
) -> None:
    case = Case(format, small_weights, many, tmp_path / "work")
    process = case.start()
    growing = ".out.parquet.rows" if format == "parquet" else case.output.name
    watched = case.output / "index.jsonl" if format == "features" else case.folder / growing
    deadline = time.monotonic() + 60
    while not watched.exists() or watched.stat().st_size < 20_000:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    workers = psutil.Process(process.pid).children()
    assert workers
    os.killpg(process.pid, number)  # as a terminal does: workers too
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    told = re.search(rb": ([\d,]+) records; the same command continues\n", errors)
    assert told, errors
    assert b"Traceback" not in errors
    deadline = time.monotonic() + 2  # multiprocessing's tracker ends when it sees that we have
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_alive, workers))
    case.check_valid()
    begun = (case.folder / case.note).read_bytes()
    done = int(told[1].replace(b",", b""))
    assert f'"inputs": {done},'.encode() in begun  # all of it counts, not the last commit alone
    assert done < MANY
    case.finish()
    assert len(set(case.paths())) == MANY


@without_strace
def test_failing_writes(small_weights: Path, few: Path, tmp_path: Path) -> None:
    """Each of the first writes, in turns of formats and errors; the script tries them all."""
    cases = [Case(format, small_weights, few, tmp_path / format) for format in FORMATS]
    references = [undisturbed(case).files for case in cases]
    numbers = [iter(writes(case)) for case in cases]
    codes = []
    for number in range(WRITES):
        turn = number % len(cases)
        error = ERRORS[number // len(cases) % len(ERRORS)]
        codes.append(fail_write(cases[turn], error, next(numbers[turn]), references[turn]))
    assert codes == [6] * WRITES


def test_short_writes(format: str, small_weights: Path, few: Path, tmp_path: Path) -> None:
    case = Case(format, small_weights, few, tmp_path / "work")
    reference = undisturbed(case).files
    for size in (1000, 2500, 4099):
        limit_files(case, size, reference)


def test_a_full_disk(format: str, small_weights: Path, few: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        case = Case(format, small_weights, few, disk / "work")
        process = case.start()
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 6, errors
        assert b"No space left on device" in errors
        assert b"Traceback" not in errors
        case.check_valid()
        subprocess.run(["mount", "-o", "remount,size=10m", str(disk)], check=True)
        case.finish()
        files = case.files()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert files == undisturbed(Case(format, small_weights, few, tmp_path / "work")).files


def test_a_read_only_target(small_weights: Path, few: Path) -> None:
    command = [sys.executable, "-m", "inceptioncli", "classify", "-w", str(small_weights)]
    for target in ("/proc/out.jsonl", "/proc/new/out.csv"):
        done = subprocess.run(
            [*command, few, "-o", target], capture_output=True, text=True, check=False
        )
        assert done.returncode == 6
        assert done.stderr.startswith("Error: /proc")
        assert done.stderr.count("\n") == 1


@without_strace
def test_flushed_before_and_after_every_rename(
    format: str, small_weights: Path, few: Path, tmp_path: Path
) -> None:
    case = Case(format, small_weights, few, tmp_path / "work")
    log = tmp_path / "trace"
    trace = [
        "strace",
        "-y",
        "-o",
        str(log),
        "-e",
        "trace=rename,renameat,renameat2,fsync,fdatasync",
    ]
    done = subprocess.run([*trace, *case.command], capture_output=True, check=False)
    assert done.returncode == 3, done.stderr
    lines = [line for line in log.read_text(encoding="utf-8").splitlines() if "work" in line]
    renamed = set()
    for place, line in enumerate(lines):
        names = re.findall(r'"([^"]+)"', line)
        if not line.startswith("rename"):
            continue
        source, target = names
        renamed.add(Path(target).name)
        before = [re.search(r"fsync\(\d+<(.+)>", other) for other in lines[:place]]
        after = re.search(r"fsync\(\d+<(.+)>", lines[place + 1])
        assert source in [match[1] for match in before if match], line
        assert after, line
        assert Path(after[1]) == Path(target).parent, line
    expected = {case.note}
    expected |= {"out.parquet"} if format == "parquet" else set()
    expected |= {"PreLogits.npy", "Mixed_7c.npy"} if format == "features" else set()
    assert renamed == expected
    # What grows in place is flushed before the note that counts it.
    first_note = next(n for n, line in enumerate(lines) if "run.json" in line and "rename" in line)
    last_note = max(n for n, line in enumerate(lines) if "run.json" in line and "rename" in line)
    growing = {"features": "index.jsonl", "parquet": ".out.parquet.rows"}
    name = growing.get(format, f"out.{format}")
    assert any(f"/{name}>" in line for line in lines[first_note:last_note])
