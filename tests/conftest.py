"""Fixtures: weights with random values in every layout, made once a run; a cache of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inceptioncli.architecture import Graph
from inceptioncli.engine import litert
from inceptioncli.summary import convolutions, variables
from inceptioncli.weights import collection
from inceptioncli.weights.formats.own import write_safetensors
from inceptioncli.weights.model import Model, Weights
from tests import processes
from tests.oracles import keras as keras_oracle
from tests.oracles import slim as slim_oracle

# TensorFlow's own noise would bury a failing test's output.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Temporary folders in memory, where there is room: tests flush thousands of files to the disk, and
# kill processes, never the machine.
_MEMORY = Path("/dev/shm")
if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > 8 << 30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SMALL_GRAPH = Graph(image_size=75, classes=7, depth_multiplier=0.1, aux=False)


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests that don't look into it, so that each graph is compiled once."""
    return tmp_path_factory.mktemp("cache")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """For the inner loop, files that are slow as a whole are not even imported: TensorFlow is."""
    if config.option.markexpr != "not slow" or collection_path.suffix != ".py":
        return None
    text = collection_path.read_text(encoding="utf-8")
    return True if "\npytestmark = pytest.mark.slow\n" in text else None


@pytest.fixture(scope="session", autouse=True)
def _signals() -> Iterator[None]:
    """Signals as a terminal's shell leaves them, wherever the tests were started.

    In the background of a script, or under nohup, some are ignored, and so in every process that a
    test starts.
    """
    before = {
        number: signal.signal(number, handler)
        for number, handler in (
            (signal.SIGINT, signal.default_int_handler),
            (signal.SIGTERM, signal.SIG_DFL),
            (getattr(signal, "SIGHUP", signal.SIGTERM), signal.SIG_DFL),
        )
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    yield
    processes.end_all()


@pytest.fixture(autouse=True)
def _isolated(session_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCEPTIONCLI_CACHE", str(session_cache))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "no-keras-here"))


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache for one test alone."""
    cache = tmp_path / "own cache"
    monkeypatch.setenv("INCEPTIONCLI_CACHE", str(cache))
    return cache


@pytest.fixture
def run() -> Run:
    """Runs the command line in a process of its own."""

    def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "inceptioncli", *map(str, arguments)]
        options.setdefault("text", True)
        return subprocess.run(command, capture_output=True, timeout=300, check=False, **options)

    return run


def random_weights(graph: Graph, seed: int = 0, **model: Any) -> Weights:
    """Weights with values of the size that training gives, so that activations stay in range."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in variables(graph).items():
        if name.endswith("weights"):
            values = rng.normal(0, np.sqrt(2 / np.prod(shape[:3])), shape)
        elif name.endswith("moving_variance"):
            values = rng.uniform(0.5, 1.5, shape)
        else:
            values = rng.normal(0, 0.1, shape)
        arrays[name] = values.astype(np.float32)
    return Weights(Model(graph, **model), arrays)


def write_weights_only(path: Path, graph: Graph) -> Path:
    """Random weights in the layout that Keras publishes, which tells nothing but shapes."""
    import h5py

    arrays = random_weights(graph).arrays
    with h5py.File(path, "w") as file:
        for number, conv in enumerate(convolutions(graph), start=1):
            if conv.linear:
                file["predictions/kernel:0"] = arrays[f"{conv.scope}/weights"][0, 0]
                file["predictions/bias:0"] = arrays[f"{conv.scope}/biases"]
                continue
            file[f"conv2d_{number}/kernel:0"] = arrays[f"{conv.scope}/weights"]
            for leaf in ("beta", "moving_mean", "moving_variance"):
                name = f"{conv.scope}/BatchNorm/{leaf}"
                file[f"batch_normalization_{number}/{leaf}:0"] = arrays[name]
    return path


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> Path:
    """A tiny network (75x75, 7 classes) in our own layout, compiled in the session's cache."""
    path = tmp_path_factory.mktemp("small") / "small.safetensors"
    write_safetensors(path, random_weights(SMALL_GRAPH))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INCEPTIONCLI_CACHE", str(session_cache))
        litert.prepare(collection.choose(str(path)))
    return path


@pytest.fixture(scope="session")
def keras_model() -> Any:
    """Keras Applications' InceptionV3, full size, random."""
    return keras_oracle.random_model(seed=1)


@pytest.fixture(scope="session")
def published_file(keras_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`keras_model` in the layout of the published file."""
    path = tmp_path_factory.mktemp("keras") / "published.h5"
    keras_oracle.save_published_layout(keras_model, path)
    return path


@pytest.fixture(scope="session")
def slim_files(tmp_path_factory: pytest.TempPathFactory) -> slim_oracle.SlimFiles:
    """tf_slim's InceptionV3, full size, 1001 classes, aux head, random."""
    return slim_oracle.save_random_network(tmp_path_factory.mktemp("slim"), seed=2)


@pytest.fixture(scope="session")
def narrow_slim_files(tmp_path_factory: pytest.TempPathFactory) -> slim_oracle.SlimFiles:
    """tf_slim's InceptionV3 at a quarter of the width, with 5 classes."""
    return slim_oracle.save_random_network(
        tmp_path_factory.mktemp("narrow"), seed=3, classes=5, depth_multiplier=0.25
    )


@pytest.fixture
def pictures(tmp_path: Path) -> Iterator[Path]:
    """A folder with three small pictures."""
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "b.png", "c.webp"):
        pixels = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((160, 120)).save(folder / name)
    return folder
