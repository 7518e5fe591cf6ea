"""The Python API as the README has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import inceptioncli
from inceptioncli.errors import ImageError, LabelsError, UsageError


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


def test_top_k_must_be_positive(classifier: inceptioncli.Classifier) -> None:
    with pytest.raises(UsageError):
        classifier.classify(["x.jpg"], top_k=0)
