"""Relative inputs belong to the folder in which a run began."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Run
from tests.processes import start

pytestmark = pytest.mark.slow


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders with pictures of the same names and other content."""
    rng = np.random.default_rng(0)
    for folder in ("x", "y"):
        (tmp_path / folder / "imgs").mkdir(parents=True)
        for name in ("a.png", "b.png"):
            pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / "imgs" / name)
    return tmp_path / "x", tmp_path / "y"


def environment() -> dict[str, str]:
    """In which another working folder finds the package of these tests."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.fixture
def classify(run: Run, small_weights: Path) -> Any:
    def classify(*arguments: str | Path, cwd: Path) -> Any:
        command = ["classify", "--device", "cpu", "-w", small_weights, *arguments]
        return run(*command, cwd=cwd, env=environment())

    return classify


def note_of(out: Path) -> Any:
    return json.loads(out.with_name(f"{out.name}.run.json").read_bytes())


def paths(out: Path) -> list[str]:
    return [json.loads(line)["path"] for line in out.read_text(encoding="utf-8").splitlines()]


def refused(done: Any, folders: tuple[Path, Path]) -> bool:
    named = all(str(folder) in done.stderr for folder in folders)
    return done.returncode == 7 and named and len(done.stderr.splitlines()) <= 2


def test_relative_inputs_are_continued_where_they_began(
    classify: Any, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    x, y = folders
    out = tmp_path / "out.jsonl"
    assert classify("imgs", "-o", out, cwd=x).returncode == 0
    assert note_of(out)["working_folder"] == str(x)
    before = out.read_bytes(), note_of(out)
    assert refused(classify("imgs", "-o", out, cwd=y), folders)
    assert (out.read_bytes(), note_of(out)) == before
    assert classify("imgs", "-o", out, cwd=x).returncode == 0
    assert paths(out) == ["imgs/a.png", "imgs/b.png"]  # as they were named
    assert classify("imgs", "-o", out, "--overwrite", cwd=y).returncode == 0
    assert out.read_bytes() != before[0]
    assert note_of(out)["working_folder"] == str(y)


def test_absolute_inputs_are_continued_from_anywhere(
    classify: Any, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    x, y = folders
    out = tmp_path / "out.jsonl"
    assert classify(x / "imgs", "-o", out, cwd=x).returncode == 0
    before = out.read_bytes(), note_of(out)
    assert classify(x / "imgs", "-o", out, cwd=y).returncode == 0
    assert (out.read_bytes(), note_of(out)) == before
    assert note_of(out)["working_folder"] is None


def test_a_note_that_does_not_say_takes_the_folder_of_whoever_goes_on(
    classify: Any, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    x, y = folders
    out = tmp_path / "out.jsonl"
    late = (x / "imgs" / "b.png").rename(tmp_path / "b.png")
    assert classify("imgs", "-o", out, cwd=x).returncode == 0
    note = note_of(out)
    del note["working_folder"]
    out.with_name("out.jsonl.run.json").write_text(json.dumps(note), encoding="utf-8")
    late.rename(x / "imgs" / "b.png")
    assert classify("imgs", "-o", out, cwd=x).returncode == 0
    assert paths(out) == ["imgs/a.png", "imgs/b.png"]
    assert refused(classify("imgs", "-o", out, cwd=y), folders)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_list_ends_at_its_first_relative_entry_elsewhere(
    classify: Any, folders: tuple[Path, Path], tmp_path: Path, workers: str
) -> None:
    x, y = folders
    listed = tmp_path / "list"
    out = tmp_path / "out.jsonl"
    command = ["-i", listed, "-j", workers, "-o", out]
    listed.write_text(f"{x}/imgs/a.png\n", encoding="utf-8")
    assert classify(*command, cwd=x).returncode == 0
    assert note_of(out)["working_folder"] is None
    listed.write_text(f"{x}/imgs/a.png\nimgs/a.png\n", encoding="utf-8")
    assert classify(*command, cwd=x).returncode == 0
    assert note_of(out)["working_folder"] == str(x)
    absolute = [f"{x}/imgs/a.png", f"{y}/imgs/a.png", f"{y}/imgs/b.png"]
    lines = [*absolute, "imgs/b.png", f"{x}/imgs/b.png"]
    listed.write_text("\n".join(lines), encoding="utf-8")
    assert refused(classify(*command, cwd=y), folders)
    assert sorted(paths(out)) == sorted([*absolute, "imgs/a.png"])
    listed.write_text("\n".join(absolute), encoding="utf-8")
    assert classify(*command, cwd=y).returncode == 0
    assert note_of(out)["working_folder"] == str(x)
    listed.write_text("\n".join(lines), encoding="utf-8")
    assert classify(*command, cwd=x).returncode == 0
    assert [path for path in paths(out) if path != "imgs/a.png"] == lines


def test_the_folder_is_on_the_disk_with_the_first_relative_record(
    folders: tuple[Path, Path], small_weights: Path, tmp_path: Path
) -> None:
    x, y = folders
    out = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "inceptioncli", "classify", "-w", str(small_weights)]
    command += ["--device", "cpu", "-i", "-", "-j", "1", "-o", str(out)]
    process = start(command, stdin=subprocess.PIPE, cwd=x, env=environment())
    assert process.stdin is not None
    for entry, count, folder in ((f"{x}/imgs/a.png", 1, None), ("imgs/a.png", 2, str(x))):
        process.stdin.write(f"{entry}\n".encode())
        process.stdin.flush()
        wait_for(lambda count=count: out.exists() and inputs_in(out) == count)  # type: ignore[misc]
        assert note_of(out)["working_folder"] == folder
    process.kill()
    process.wait()
    done = subprocess.run(
        command, input=b"imgs/b.png\n", cwd=y, env=environment(), capture_output=True, check=False
    )
    assert done.returncode == 7
    assert str(x).encode() in done.stderr
    assert str(y).encode() in done.stderr
    assert inputs_in(out) == 2


def inputs_in(out: Path) -> int:
    note = out.with_name(f"{out.name}.run.json")
    return note_of(out)["counts"]["inputs"] if note.exists() else 0


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform == "win32", reason="keeps working folders from being removed")
def test_a_working_folder_that_is_gone(
    folders: tuple[Path, Path], small_weights: Path, tmp_path: Path
) -> None:
    def classify(workers: str, out: Path) -> Any:
        command = [sys.executable, "-m", "inceptioncli", "classify", "-j", workers]
        command += ["-w", str(small_weights), str(folders[0]), "-o", str(out)]
        gone = tmp_path / "gone"
        gone.mkdir()
        script = 'cd "$0" && rmdir "$0" && exec "$@"'
        return subprocess.run(
            ["/bin/sh", "-c", script, str(gone), *command],
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
        )

    refused = classify("2", tmp_path / "a.jsonl")
    assert refused.returncode == 2
    assert "the working folder has been removed" in refused.stderr
    assert "-j 0" in refused.stderr.splitlines()[-1]
    assert classify("0", tmp_path / "b.jsonl").returncode == 0
    assert len(paths(tmp_path / "b.jsonl")) == 2
