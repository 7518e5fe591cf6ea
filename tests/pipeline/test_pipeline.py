from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

import inceptioncli.pipeline as pipeline_module
from inceptioncli.engine import Ready, prepare
from inceptioncli.images.picture import Decoding
from inceptioncli.images.read import stamp_of
from inceptioncli.images.source import Named, Source, Unusable
from inceptioncli.pipeline import Pipeline
from inceptioncli.pipeline.layout import Layout, choose
from inceptioncli.products import Outcome
from inceptioncli.products.features import features_of
from inceptioncli.records import Failure, Record
from inceptioncli.weights import collection

DECODING = Decoding(75)


@pytest.fixture(params=["litert", "tensorflow"])
def ready(request: pytest.FixtureRequest, small_weights: Path) -> Ready:
    """For each worker an engine of its own, or one for all, as on a GPU."""
    chosen = collection.choose(str(small_weights))
    if request.param == "tensorflow":
        from inceptioncli.engine import tensorflow

        return tensorflow.prepare(chosen, "cpu")
    return prepare(chosen, "cpu", "float32")


def run(ready: Ready, sources: Iterable[Source], workers: int, **options: Any) -> list[Any]:
    products = (features_of(ready.model.graph, ["Logits"]),)
    with Pipeline(ready, DECODING, Layout(workers, 1)) as pipeline:
        return list(pipeline.records(sources, products, **options))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_source_has_its_record_in_order(ready: Ready, pictures: Path, workers: int) -> None:
    (pictures / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    unreadable = Source("folder", Unusable(Failure("permission_denied", "no")))
    names = ["a.jpg", "bad.png", "b.png", "nowhere", "nul\0", "c.webp", "a.jpg"]
    paths = [str(pictures / name) for name in names]
    sources = [unreadable, *(Source(path, Named(path)) for path in paths)]
    records = [record for record in run(ready, sources, workers) if record is not None]
    assert [record.path for record in records] == [source.path for source in sources]
    codes = [record.failure.code if record.failure else None for record in records]
    assert codes == [
        "permission_denied", None, "truncated", None, "not_found", "not_found", None, None,
    ]  # fmt: skip
    assert [record.file for record in records] == [None, *map(stamp_of, paths)]
    assert sum(record.file is not None for record in records) == 5
    first, last = records[1].features["Logits"], records[-1].features["Logits"]
    assert first.shape == (7,)
    np.testing.assert_array_equal(first, last)
    assert not np.array_equal(first, records[3].features["Logits"])


@pytest.mark.parametrize("workers", [0, 1])
def test_while_nothing_comes_it_is_said(
    ready: Ready, pictures: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "_PATIENCE_S", 0.05)
    more = threading.Event()

    def sources() -> Iterator[Source]:
        assert more.wait(60)
        yield Source("a", Named(str(pictures / "a.jpg")))

    products = (features_of(ready.model.graph, ["Logits"]),)
    with Pipeline(ready, DECODING, Layout(workers, 1)) as pipeline:
        records = pipeline.records(sources(), products)
        assert next(records) is None
        more.set()
        assert [record.path for record in records if record is not None] == ["a"]


def test_products_see_the_upright_picture_from_the_same_decoding(
    ready: Ready, tmp_path: Path
) -> None:
    """A large JPEG on its side, beside what the same run says of it without."""
    pixels = np.zeros((1500, 1000, 3), np.uint8)
    pixels[:750] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    path = tmp_path / "a.jpg"
    Image.fromarray(pixels).save(path, exif=exif)
    source = Source("a", Named(str(path)))
    logits = features_of(ready.model.graph, ["Logits"])
    for workers in (0, 1):
        with Pipeline(ready, DECODING, Layout(workers, 1)) as pipeline:
            (alone,) = (each for each in pipeline.records([source], (logits,)) if each)
            wanted = (logits, Seen(100))
            (seen,) = (each for each in pipeline.records([source], wanted) if each)
        np.testing.assert_array_equal(seen.features["Logits"], alone.features["Logits"])
        upright = seen.features["upright"]
        assert upright.shape == (67, 100, 3)
        assert upright[:, -40:].min() > 250  # What was on top is on the right.
        assert upright[:, :40].max() < 5


class Seen(NamedTuple):
    """A product that keeps the upright picture."""

    upright: int
    end_points: tuple[str, ...] = ()
    nbytes: int = 30_000

    def add(self, record: Record, outcome: Outcome) -> Record:
        assert outcome.upright is not None
        return record._replace(features={**record.features, "upright": outcome.upright})


def test_the_layout_fits_cores_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    from inceptioncli.pipeline import layout

    monkeypatch.setattr(layout, "cores", lambda: 8)
    monkeypatch.setattr(layout, "_available_memory", lambda: 4 << 30)
    assert choose(None, 100 << 20) == (8, 1)
    assert choose(None, 1 << 30) == (3, 2)
    assert choose(None, 1 << 40) == (1, 8)
    assert choose(3, 1 << 40) == (3, 2)
    assert choose(0, 1 << 30) == (0, 8)
