"""The Python API as the README has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inceptioncli
from inceptioncli.errors import ImageError, LabelsError, UsageError, WeightsError
from inceptioncli.weights.formats.own import write_safetensors
from inceptioncli.weights.model import Weights
from tests.conftest import SMALL_GRAPH, random_weights


@pytest.fixture(scope="module")
def classifier(small_weights: Path, session_cache: Path) -> inceptioncli.Classifier:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INCEPTIONCLI_CACHE", str(session_cache))
        return inceptioncli.load(small_weights, device="cpu", precision="float32")


def test_classify(classifier: inceptioncli.Classifier, pictures: Path) -> None:
    (pictures / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    records = list(classifier.classify([pictures / "a.jpg", str(pictures)], top_k=2))
    assert [Path(record.path).name for record in records] == [
        "a.jpg", "a.jpg", "b.png", "bad.png", "c.webp",
    ]  # fmt: skip
    assert [record.ok for record in records] == [True, True, True, False, True]
    assert records[0].predictions == records[1].predictions
    assert len(records[0].predictions) == 2
    assert records[3].failure is not None
    assert records[3].predictions == ()
    assert next(classifier.classify(str(pictures / "a.jpg"), 2)) == records[0]


def test_features(classifier: inceptioncli.Classifier, pictures: Path) -> None:
    ends = ["Conv2d_1a_3x3", "PreLogits", "Predictions"]
    features = classifier.features([pictures], end_points=ends)
    shapes = {name: values.shape for name, values in features.items()}
    assert shapes == {
        "Conv2d_1a_3x3": (3, 37, 37, 16),
        "PreLogits": (3, 203),
        "Predictions": (3, 7),
    }
    assert all(values.dtype == np.float32 for values in features.values())
    top = next(iter(classifier.classify(pictures / "a.jpg"))).predictions[0]
    assert features["Predictions"][0].argmax() == top.index
    np.testing.assert_allclose(features["Predictions"][0].max(), top.probability, atol=1e-6)
    twice = classifier.features(pictures / "a.jpg", end_points=["PreLogits", "PreLogits"])
    assert twice["PreLogits"].shape == (1, 203)
    alone = classifier.features(pictures / "a.jpg", end_points="PreLogits")
    np.testing.assert_array_equal(alone["PreLogits"], twice["PreLogits"])
    assert classifier.features([])["PreLogits"].shape == (0, 203)


def test_features_of_a_bad_image_raise(classifier: inceptioncli.Classifier, pictures: Path) -> None:
    (pictures / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ImageError, match=r"bad\.png: .*"):
        classifier.features([pictures])
    with pytest.raises(UsageError, match=r"unknown end point 'Mixed_9'.*Mixed_7c"):
        classifier.features([pictures], end_points=["Mixed_9"])


def test_arguments_are_checked(small_weights: Path, tmp_path: Path) -> None:
    for options in ({"crop": 0.0}, {"crop": 1.5}, {"device": "tpu"}, {"precision": "half"}):
        with pytest.raises(UsageError):
            inceptioncli.load(small_weights, **options)  # type: ignore[arg-type]
    (tmp_path / "labels.txt").write_text("one\n")
    with pytest.raises(LabelsError):
        inceptioncli.load(small_weights, device="cpu", labels=tmp_path / "labels.txt")
    with pytest.raises(inceptioncli.InceptionError):
        inceptioncli.load("nowhere.h5")


@pytest.mark.parametrize("options", [{"top_k": 0}, {"threshold": 2.0}, {"threshold": np.nan}])
def test_limits_are_checked(classifier: inceptioncli.Classifier, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        classifier.classify(["x.jpg"], **options)


def test_weights_that_overflow_are_an_error(pictures: Path, tmp_path: Path) -> None:
    weights = random_weights(SMALL_GRAPH)
    huge = {
        name: array * np.float32(1e20) if name.endswith(("beta", "1c_1x1/weights")) else array
        for name, array in weights.arrays.items()
    }
    write_safetensors(tmp_path / "huge.safetensors", Weights(weights.model, huge))
    classifier = inceptioncli.load(tmp_path / "huge.safetensors", device="cpu")
    with pytest.raises(WeightsError, match="not numbers"):
        list(classifier.classify(pictures))


@pytest.mark.parametrize("weights", ["x" * 300, "a\0b.h5", "~nosuchuser/x.h5"])
def test_impossible_weight_paths_are_weights_errors(weights: str) -> None:
    with pytest.raises(WeightsError):
        inceptioncli.load(weights)
