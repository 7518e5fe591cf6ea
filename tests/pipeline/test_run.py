from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inceptioncli import pipeline
from inceptioncli.engine import litert, tensorflow
from inceptioncli.images.sources import Source
from inceptioncli.pipeline.layout import Layout, choose
from inceptioncli.pipeline.recipe import Decoding, FeatureOptions, Recipe
from inceptioncli.records import Failure
from inceptioncli.weights import collection


@pytest.fixture(params=["litert", "tensorflow"])
def recipe(request: pytest.FixtureRequest, small_weights: Path) -> Recipe:
    """For each worker an engine of its own, or one for all, as on a GPU."""
    chosen = collection.choose(str(small_weights))
    if request.param == "tensorflow":
        ready = tensorflow.prepare(chosen, "cpu")
    else:
        ready = litert.prepare(chosen)
    assert ready.engine == request.param
    options = FeatureOptions(("Logits",))
    return Recipe(ready.open, Decoding(75, 1.0), ready.portable, features=options)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_input_has_its_result_in_order(recipe: Recipe, pictures: Path, workers: int) -> None:
    (pictures / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    unreadable = Source("folder", Failure("permission_denied", "no"))
    names = ["a.jpg", "bad.png", "b.png", "nowhere", "nul\0", "c.webp", "a.jpg"]
    inputs = [unreadable, *(Source(str(pictures / name)) for name in names)]
    waited = 0

    def while_waiting() -> None:
        nonlocal waited
        waited += 1

    results: list[Any] = list(
        pipeline.run(inputs, recipe, Layout(workers, 1), while_waiting=while_waiting)
    )
    assert [result.path for result in results] == [source.path for source in inputs]
    codes = [result.failure.code if result.failure else None for result in results]
    assert codes == [
        "permission_denied", None, "truncated", None, "not_found", "not_found", None, None,
    ]  # fmt: skip
    first, last = results[1].features["Logits"], results[-1].features["Logits"]
    assert first.shape == (7,)
    np.testing.assert_array_equal(first, last)
    assert not np.array_equal(first, results[3].features["Logits"])
    assert waited > 0


def test_the_layout_fits_cores_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    from inceptioncli.pipeline import layout

    monkeypatch.setattr(layout, "cores", lambda: 8)
    monkeypatch.setattr(layout, "_available_memory", lambda: 4 << 30)
    assert choose(None, 100 << 20) == (8, 1)
    assert choose(None, 1 << 30) == (3, 2)
    assert choose(None, 1 << 40) == (1, 8)
    assert choose(3, 1 << 40) == (3, 2)
    assert choose(0, 1 << 30) == (0, 8)


def test_cores_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from inceptioncli.pipeline import layout

    monkeypatch.setattr(layout, "_CGROUP", tmp_path)
    monkeypatch.setattr(layout.os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    assert layout.cores() == 16
    (tmp_path / "cpu.max").write_text("max 100000\n", encoding="ascii")
    assert layout.cores() == 16
    (tmp_path / "cpu.max").write_text("250000 100000\n", encoding="ascii")
    assert layout.cores() == 2
