"""The cache of compiled graphs: built once, rebuilt when damaged, safe for many at once."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from inceptioncli.engine import compile as compiler
from inceptioncli.engine import kept, writer
from inceptioncli.engine.litert import LiteRTEngine
from inceptioncli.errors import WeightsError
from inceptioncli.weights import collection
from inceptioncli.weights.formats.own import write_safetensors
from tests.conftest import SMALL_GRAPH, Run, random_weights
from tests.engine.damage import KINDS, damage
from tests.processes import start

pytestmark = pytest.mark.slow

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 75, 75, 3), dtype=np.uint8)


def scores(path: Path, precision: str = "float32") -> bytes:
    graph = compiler.compiled(collection.choose(str(path)), precision)
    return LiteRTEngine(graph, threads=1).run(IMAGES, ["Predictions"])["Predictions"].tobytes()


@pytest.fixture
def built(small_weights: Path, own_cache: Path) -> tuple[Path, bytes]:
    """The compiled file of `small_weights` in a cache of its own, and what it computes."""
    before = scores(small_weights)
    (compiled,) = (own_cache / "compiled").glob("*.tflite")
    return compiled, before


def test_a_second_use_builds_nothing(
    built: tuple[Path, bytes], small_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "write", lambda *_: pytest.fail("built again"))
    assert scores(small_weights) == built[1]


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_mended(
    built: tuple[Path, bytes], small_weights: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, before = built
    damage(path, kind)
    with caplog.at_level(logging.DEBUG, logger="inceptioncli"):
        assert scores(small_weights) == before
    assert json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["sha256"]
    assert ("damaged cache" if kind != "gone" else "first use") in caplog.text


def test_weights_precision_and_versions_have_their_own_entries(
    built: tuple[Path, bytes],
    small_weights: Path,
    own_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = tmp_path / "other.safetensors"
    write_safetensors(other, random_weights(SMALL_GRAPH, seed=1))
    keys = {
        compiler.path_of(collection.choose(str(path)).sha256, precision)
        for path in (small_weights, other)
        for precision in ("float32", "int8")
    }
    monkeypatch.setattr(compiler, "_litert_version", lambda: "another")
    keys.add(compiler.path_of(collection.choose(str(small_weights)).sha256, "float32"))
    monkeypatch.setattr(compiler, "COMPILED_VERSION", 1000)
    keys.add(compiler.path_of(collection.choose(str(small_weights)).sha256, "float32"))
    assert len(keys) == 6
    assert scores(other) != built[1]


def test_weights_that_change_under_way_do_not_poison_the_cache(
    small_weights: Path, own_cache: Path, tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(small_weights.read_bytes())
    chosen = collection.choose(str(path))
    write_safetensors(path, random_weights(SMALL_GRAPH, seed=1))
    with pytest.raises(WeightsError, match="changed while it was read"):
        compiler.compiled(chosen, "float32")
    assert not list((own_cache / "compiled").glob("*.json"))


def test_two_processes_that_build_at_once_end_with_one_good_file(
    small_weights: Path, own_cache: Path, pictures: Path
) -> None:
    command = [sys.executable, "-m", "inceptioncli", "classify", "-f", "jsonl", "--debug"]
    command += ["-w", str(small_weights), str(pictures)]
    processes = [start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    outcomes = [(*process.communicate(timeout=300), process.returncode) for process in processes]
    assert [code for _, _, code in outcomes] == [0, 0]
    assert outcomes[0][0] == outcomes[1][0] != b""
    # The second waited for the first and built nothing.
    assert sum(errors.count(b"first use") for _, errors, _ in outcomes) == 1
    files = sorted(path.suffix for path in (own_cache / "compiled").iterdir())
    assert files == [".json", ".json", ".lock", ".packed", ".tflite"]


@pytest.mark.parametrize("moment", [0.0, 0.03, 0.1, 0.3])
def test_killed_while_building_the_next_run_builds(
    small_weights: Path, own_cache: Path, pictures: Path, run: Run, moment: float
) -> None:
    command = [sys.executable, "-m", "inceptioncli", "classify", "-w", str(small_weights)]
    process = start([*command, str(pictures)], stdout=subprocess.DEVNULL)
    folder = own_cache / "compiled"
    while not list(folder.glob("*.lock")):
        assert process.poll() is None
        time.sleep(0.001)
    time.sleep(moment)
    process.kill()
    process.wait()
    done = run("classify", "-f", "jsonl", "-w", small_weights, pictures)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(folder.glob("*.tflite"))) == 1
    assert not list(folder.glob(".*.partial"))


@pytest.fixture(params=["a file", "read-only", "nowhere"])
def unwritable(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A cache that can't be written, and a folder for temporary files of its own."""
    (tmp_path / "file").write_text("in the way")
    if request.param == "read-only":
        cache = Path("/proc/self/cache")  # Even root can't make a folder there.
        if not cache.parent.exists():
            pytest.skip("there is no /proc")
    else:
        cache = tmp_path / "file" / ("" if request.param == "a file" else "a/b")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("INCEPTIONCLI_CACHE", str(cache))
    monkeypatch.setenv("TMPDIR", str(temporary))
    return temporary


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_cache_that_cannot_be_written_stops_nobody(
    unwritable: Path, small_weights: Path, pictures: Path, run: Run, workers: str
) -> None:
    done = run("classify", "-f", "jsonl", "-w", small_weights, "-j", workers, pictures)
    assert done.returncode == 0
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["ok"] * 3
    (told,) = done.stderr.splitlines()
    assert "INCEPTIONCLI_CACHE" in told
    assert told.endswith("a temporary folder is used instead, and removed at the end")
    features = run("features", "-w", small_weights, pictures, "-o", unwritable.parent / "features")
    assert features.returncode == 0
    assert features.stderr.splitlines() == [told, "3 new: 3 ok"]
    assert np.load(unwritable.parent / "features" / "PreLogits.npy").shape == (3, 203)
    assert not list(unwritable.iterdir())


@pytest.mark.parametrize("cache", [None, "~/cache", "."])
def test_a_missing_home_is_a_missing_default(
    cache: str | None, small_weights: Path, pictures: Path, tmp_path: Path
) -> None:
    """As a service has it, or a container: no HOME, and a user of whom nothing is known."""
    unshare = ["unshare", "--user", "--map-user=12345"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*unshare, "true"], check=False).returncode
    ):
        pytest.skip("no user can be made here")
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    for name in ("HOME", "XDG_CACHE_HOME", "KERAS_HOME", "INCEPTIONCLI_CACHE"):
        environment.pop(name, None)
    if cache is not None:
        environment["INCEPTIONCLI_CACHE"] = cache

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [*unshare, sys.executable, "-m", "inceptioncli", *map(str, arguments)]
        root = str(Path(__file__).parents[2])
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env={**environment, "PYTHONPATH": root},
            cwd=tmp_path,
        )

    done = run("classify", "-f", "jsonl", "-w", small_weights, "-j", "1", pictures)
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["ok"] * 3
    listed = run("weights", "list")
    assert "in the package" in listed.stdout
    if cache == ".":
        assert done.stderr + listed.stderr == ""
        return
    no_home = "there is no home folder, and so no cache; set INCEPTIONCLI_CACHE to a folder that"
    assert done.stderr == (
        f"{no_home} can be written; a temporary folder is used instead, and removed at the end\n"
    )
    assert not list(tmp_path.glob("inceptioncli-*"))
    assert listed.stderr == f"\n{no_home} can be written\n"
    assert run("weights", "download", "imagenet").returncode == 6


@pytest.mark.parametrize("workers", [1, 2])
def test_the_cache_may_be_deleted_in_the_middle_of_a_run(
    own_cache: Path, small_weights: Path, pictures: Path, workers: int
) -> None:
    """A worker that is killed after that, as for want of memory, has one to follow it."""
    command = [sys.executable, "-m", "inceptioncli", "classify", "-f", "jsonl", "-i", "-"]
    command += ["-w", str(small_weights), "-j", str(workers)]
    pipe = subprocess.PIPE
    process = start(command, stdin=pipe, stdout=pipe, stderr=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    line = b"%s\n" % bytes(pictures / "a.jpg")
    process.stdin.write(line * 3)
    process.stdin.flush()
    first = [process.stdout.readline() for _ in range(3)]
    shutil.rmtree(own_cache, ignore_errors=True)  # A worker may be making something there again.
    children = [child for child in psutil.Process(process.pid).children() if is_worker(child)]
    assert len(children) == workers
    for child in children:
        child.kill()
    rest, told = process.communicate(line * 3, timeout=60)
    assert (process.returncode, told) == (0, b"")
    assert first[0].startswith(b'{"path": ')
    assert set(rest.splitlines(keepends=True)) == set(first)
    # Of two workers one may have done all there was before the other has packed the weights.
    assert list((own_cache / "compiled").glob("*.packed" if workers == 1 else "*.tflite"))


def is_worker(process: psutil.Process) -> bool:
    return "resource_tracker" not in str(process.cmdline())


def test_an_interrupt_leaves_no_temporary_folder(
    unwritable: Path, small_weights: Path, pictures: Path
) -> None:
    command = [sys.executable, "-m", "inceptioncli", "classify", "-f", "jsonl", "-j", "1"]
    command += ["-w", str(small_weights), "-i", "-"]
    process = start(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{pictures / 'a.jpg'}\n".encode())
    process.stdin.flush()
    assert process.stdout.readline()
    assert list(unwritable.iterdir())
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not list(unwritable.iterdir())


def test_a_cache_that_can_be_read_is_used(
    built: tuple[Path, bytes],
    small_weights: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("filelock.FileLock", refuse)
    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    assert scores(small_weights) == built[1]
    assert not caplog.records


def test_forgetting_deletes_what_was_built(built: tuple[Path, bytes], small_weights: Path) -> None:
    assert kept.forget("0" * 64) == []
    deleted = kept.forget(collection.choose(str(small_weights)).sha256)
    assert built[0] in deleted
    assert not built[0].exists()
