from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inceptioncli import pipeline
from inceptioncli.engine.select import open_engine
from inceptioncli.images.sources import Source
from inceptioncli.records import Failure
from inceptioncli.weights import collection


@pytest.mark.parametrize("ahead", [0, 1, 2, 50])
def test_every_input_has_its_result_in_order(
    small_weights: Path, pictures: Path, ahead: int
) -> None:
    engine = open_engine(collection.choose(str(small_weights)), "cpu", "float32").engine
    (pictures / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    unreadable = Source("folder", Failure("permission_denied", "no"))
    names = ["a.jpg", "bad.png", "b.png", "nowhere", "c.webp", "a.jpg"]
    inputs = [unreadable, *(Source(str(pictures / name)) for name in names)]
    results = list(pipeline.run(inputs, engine, ["Logits"], crop=1.0, decode_ahead=ahead))
    assert [result.path for result in results] == [source.path for source in inputs]
    codes = [result.failure.code if result.failure else None for result in results]
    assert codes == ["permission_denied", None, "truncated", None, "not_found", None, None]
    first, last = results[1].outputs["Logits"], results[-1].outputs["Logits"]
    assert first.shape == (7,)
    np.testing.assert_array_equal(first, last)
    assert not np.array_equal(first, results[3].outputs["Logits"])
