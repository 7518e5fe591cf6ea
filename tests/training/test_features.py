from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inceptioncli.engine import litert
from inceptioncli.pipeline import Pipeline
from inceptioncli.training import features
from inceptioncli.training.data import Example
from inceptioncli.weights import collection

pytestmark = pytest.mark.slow


def test_features_are_kept_until_their_image_changes(
    small_weights: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = litert.prepare(collection.choose(str(small_weights)))
    examples = [Example(str(path), 0) for path in sorted(pictures.iterdir())]
    examples.append(Example(str(pictures / "nowhere.png"), 1))
    asked: list[str] = []
    records = Pipeline.records

    def spy(pipeline: Pipeline, sources: Any, *arguments: Any, **options: Any) -> Any:
        inputs = list(sources)
        asked.extend(Path(source.path).name for source in inputs)
        return records(pipeline, inputs, *arguments, **options)

    monkeypatch.setattr(Pipeline, "records", spy)
    monkeypatch.setattr(features, "_SHARD_IMAGES", 2)

    def extract() -> features.Features:
        asked.clear()
        return features.extract(examples, ready, crop=1.0, folder=tmp_path / "kept")

    first = extract()
    assert asked == ["a.jpg", "b.png", "c.webp", "nowhere.png"]
    assert sorted(Path(path).name for path in first.rows) == ["a.jpg", "b.png", "c.webp"]
    assert [Path(skipped.path).name for skipped in first.skipped] == ["nowhere.png"]
    assert len(list((tmp_path / "kept").iterdir())) == 2

    second = extract()
    assert asked == ["nowhere.png"]
    for path, row in first.rows.items():
        np.testing.assert_array_equal(second.rows[path], row)

    Image.new("RGB", (50, 50), "red").save(pictures / "b.png")
    os.utime(pictures / "b.png", ns=(1, 1))
    (tmp_path / "kept" / "features-000001.safetensors").write_bytes(b"damaged")
    third = extract()
    assert asked == ["b.png", "c.webp", "nowhere.png"]
    changed = str(pictures / "b.png")
    assert not np.array_equal(third.rows[changed], first.rows[changed])
    assert set(third.rows) == set(first.rows)
