"""Packed weights: made once for each kind of machine, mended when damaged, and not needed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inceptioncli.engine import compile as compiler
from inceptioncli.engine import kept, litert, packing
from inceptioncli.engine.compile import Compiled
from inceptioncli.engine.litert import LiteRTEngine
from inceptioncli.weights import collection
from inceptioncli.weights.formats.own import write_safetensors
from tests.conftest import SMALL_GRAPH, random_weights
from tests.engine.damage import KINDS, damage

pytestmark = pytest.mark.slow

IMAGES = np.random.default_rng(0).integers(0, 256, (1, 75, 75, 3), dtype=np.uint8)


def scores(graph: Compiled, path: Path | None) -> bytes:
    return LiteRTEngine(graph, 1, path).run(IMAGES, ["Predictions"])["Predictions"].tobytes()


def packed(graph: Compiled) -> Path:
    with packing.Packer() as packer:
        packing.prepare(graph, packer)
    path = packing.find(graph)
    assert path is not None
    return path


@pytest.fixture(params=["float32", "int8"])
def precision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def graph(precision: str, small_weights: Path, own_cache: Path) -> Compiled:
    return compiler.compiled(collection.choose(str(small_weights)), precision)


def test_results_are_those_without(graph: Compiled) -> None:
    path = packed(graph)
    before = path.stat()
    assert scores(graph, path) == scores(graph, None)
    wanted = ["Mixed_5b", "Predictions"]
    with_them = LiteRTEngine(graph, 2, path).run(IMAGES, wanted)
    without = LiteRTEngine(graph, 2).run(IMAGES, wanted)
    for name in wanted:
        np.testing.assert_array_equal(with_them[name], without[name])
    assert packed(graph) == path
    assert path.stat().st_mtime_ns == before.st_mtime_ns  # Made once, and opened by all as it is.


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_mended(graph: Compiled, kind: str) -> None:
    path = packed(graph)
    content = path.read_bytes()
    damage(path, kind)
    assert packed(graph) == path
    assert path.read_bytes() == content
    assert json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["sha256"]


def test_another_kind_of_machine_has_its_own(
    graph: Compiled, small_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(packing, "_machine", lambda: "another")
        other = packed(graph)
    assert packed(graph) != other
    assert len(kept.forget(collection.choose(str(small_weights)).sha256)) == 6
    assert not other.exists()


def test_the_machine_is_told_by_its_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = set()
    for text in (
        "processor\t: 0\nmodel name\t: A\ncpu MHz\t: 1000\nflags\t: avx2\n\nprocessor\t: 1\n",
        "processor\t: 3\nmodel name\t: A\ncpu MHz\t: 2000\nflags\t: avx2\n\n",
        "processor\t: 0\nmodel name\t: A\ncpu MHz\t: 1000\nflags\t: avx2 avx512f\n\n",
        "processor\t: 0\nFeatures\t: asimd\nCPU part\t: 0xd0c\n\n",
    ):
        cpuinfo = tmp_path / "cpuinfo"
        cpuinfo.write_text(text)
        monkeypatch.setattr(packing, "_CPUINFO", cpuinfo)
        names.add(packing._machine.__wrapped__())
    assert len(names) == 3


def test_weights_packed_from_another_graph_are_not_used(
    graph: Compiled, precision: str, tmp_path: Path
) -> None:
    path = packed(graph)
    other = tmp_path / "other.safetensors"
    write_safetensors(other, random_weights(SMALL_GRAPH, seed=1))
    shutil.copy(compiler.compiled(collection.choose(str(other)), precision).path, graph.path)
    assert packing.find(graph) is None
    assert scores(graph, packed(graph)) == scores(graph, None)
    assert packed(graph) == path


@pytest.mark.parametrize("loss", ["gone", "changed"])
def test_what_is_lost_before_it_is_opened_is_done_without(
    graph: Compiled, precision: str, small_weights: Path, loss: str
) -> None:
    ready = litert.prepare(collection.choose(str(small_weights)), precision)
    path = packed(graph)
    if loss == "gone":
        path.unlink()
    else:
        path.write_bytes(b"rubbish" * 1000)
    found = ready.open(1).run(IMAGES, ["Predictions"])["Predictions"]
    assert found.tobytes() == scores(graph, None)
    # Nobody but `prepare` writes under the final name.
    assert not path.exists() if loss == "gone" else path.read_bytes().startswith(b"rubbish")


def test_modules_in_the_current_folder_are_not_imported(
    graph: Compiled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("numpy", "json", "platform"):
        (tmp_path / f"{name}.py").write_text("open('imported', 'w')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert packed(graph).exists()
    assert not (tmp_path / "imported").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_disk_that_is_full_costs_time_alone(
    graph: Compiled, precision: str, small_weights: Path, pictures: Path
) -> None:
    import resource

    command = [sys.executable, "-m", "inceptioncli", "classify", "-f", "jsonl"]
    command += ["-w", str(small_weights), "--precision", precision, str(pictures)]

    def full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    without = subprocess.run(command, capture_output=True, timeout=300, preexec_fn=full)
    assert (without.returncode, without.stderr) == (0, b"")
    folder = graph.path.parent
    assert not list(folder.glob("*.packed"))
    assert not list(folder.glob(".*.partial"))
    usual = subprocess.run(command, capture_output=True, timeout=300)
    assert list(folder.glob("*.packed"))
    assert usual.stdout == without.stdout != b""
