"""The Python API as the README has it."""

from __future__ import annotations

import dataclasses
import io
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

import inceptioncli
from inceptioncli.errors import ImageError, LabelsError, UsageError, WeightsError
from inceptioncli.records import utc
from inceptioncli.weights.formats.own import write_safetensors
from inceptioncli.weights.model import Weights
from tests.conftest import SMALL_GRAPH, random_weights, write_weights_only


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


def test_images_come_in_many_forms(classifier: inceptioncli.Classifier, pictures: Path) -> None:
    path = pictures / "b.png"
    (expected,) = classifier.classify(path)
    assert expected.file == (path.stat().st_size, utc(path.stat().st_mtime_ns))
    image = Image.open(path)
    pixels = np.asarray(image)

    def unnamed() -> Any:
        with path.open("rb") as file:
            yield io.BytesIO(file.read())

    forms: list[tuple[Any, str]] = [
        (str(path), str(path)),
        ([path], str(path)),
        (path.read_bytes(), "-"),
        (bytearray(path.read_bytes()), "-"),
        (unnamed(), "-"),
        (image, "-"),
        (pixels, "-"),
        (pixels[np.newaxis], "-"),  # an iterable of pictures
        (("its name", pixels), "its name"),
        ((path, pixels), str(path)),
        ([("its name", image)], "its name"),
        ((each for each in [("its name", path.read_bytes())]), "its name"),
    ]
    for number, (images, name) in enumerate(forms):
        (record,) = classifier.classify(images)
        file = expected.file if number < 2 else None  # of a path
        assert record == expected._replace(path=name, file=file), images
    with path.open("rb") as content:
        (record,) = classifier.classify(content)
    assert record == expected._replace(file=None)
    mixed = [str(path), pixels, ("x", path.read_bytes()), pictures]
    assert [record.path for record in classifier.classify(mixed)][:3] == [str(path), "-", "x"]
    found = classifier.features([pixels, image], "Logits")["Logits"]
    np.testing.assert_array_equal(found[0], found[1])
    (record,) = classifier.classify(b"no image")
    assert record.failure is not None
    assert record.failure.code == "unidentified"


@pytest.mark.parametrize(
    "image",
    [
        None,
        42,
        [None],
        {"a": 1},
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 3), np.float32),
        [np.zeros((5, 5, 4), np.uint8)],
        io.StringIO("text"),
        ("name", 42),
    ],
)
def test_what_is_no_image_is_one_clear_error(
    classifier: inceptioncli.Classifier, image: Any
) -> None:
    with pytest.raises(inceptioncli.InceptionError) as caught:
        list(classifier.classify(image))
    assert "expected" in str(caught.value) or "mode 'rb'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_workers_are_kept_and_take_whatever_is_wanted(
    small_weights: Path, pictures: Path, classifier: inceptioncli.Classifier
) -> None:
    with inceptioncli.load(small_weights, device="cpu") as other:
        expected = list(classifier.classify(pictures))
        assert list(other.classify(pictures, workers=1)) == expected
        workers = set(psutil.Process().children())
        assert list(other.classify(pictures, 1, workers=1)) == list(
            classifier.classify(pictures, 1)
        )
        rows = other.features(pictures, "Logits", workers=1)["Logits"]
        np.testing.assert_array_equal(rows, classifier.features(pictures, "Logits")["Logits"])
        contents = [path.read_bytes() for path in sorted(pictures.iterdir())]
        found = list(other.classify(contents, workers=1))
        assert [record.predictions for record in found] == [each.predictions for each in expected]
        assert set(psutil.Process().children()) == workers
    assert not [
        worker for worker in workers if worker.is_running() and "spawn" in str(worker.cmdline())
    ]
    with pytest.raises(UsageError, match="closed"):
        other.classify(pictures)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_buffer_that_is_filled_again(
    classifier: inceptioncli.Classifier, pictures: Path, workers: int
) -> None:
    """As readers of videos do."""
    images = [np.asarray(Image.open(path)) for path in sorted(pictures.iterdir())]

    def frames() -> Any:
        buffer = np.empty_like(images[0])
        for image in images:
            buffer[...] = image
            yield buffer

    expected = list(classifier.classify(images))
    assert list(classifier.classify(frames(), workers=workers)) == expected


def test_pictures_that_are_too_large_or_broken(classifier: inceptioncli.Classifier) -> None:
    huge = np.broadcast_to(np.zeros(3, np.uint8), (10_000, 10_000, 3))
    small = np.zeros((9, 9, 3), np.uint8)
    content = io.BytesIO()
    Image.effect_noise((64, 48), 50).convert("RGB").save(content, "PNG")
    damaged = content.getvalue()[:60] + bytes(200) + content.getvalue()[260:]
    records = list(classifier.classify([small, huge, Image.open(io.BytesIO(damaged)), damaged]))
    codes = [record.failure.code if record.failure else None for record in records]
    assert codes == [None, "too_many_pixels", "decode_error", "decode_error"]


@pytest.mark.parametrize("workers", [0, 1])
def test_closed_it_runs_nothing_more(small_weights: Path, pictures: Path, workers: int) -> None:
    with inceptioncli.load(small_weights, device="cpu") as other:
        records = other.classify([pictures] * 200, workers=workers)
        assert next(records).ok
    with pytest.raises(inceptioncli.InceptionError, match="closed"):
        list(records)


def test_many_threads_share_a_classifier(
    classifier: inceptioncli.Classifier, pictures: Path
) -> None:
    expected = list(classifier.classify(pictures))
    with ThreadPoolExecutor(8) as threads:
        for workers in (0, 1):
            for found in threads.map(
                lambda _, workers=workers: list(classifier.classify(pictures, workers=workers)),
                range(16),
            ):
                assert found == expected


def test_pickled_it_is_loaded_again(
    classifier: inceptioncli.Classifier,
    small_weights: Path,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = tmp_path / "w.safetensors"
    shutil.copy(small_weights, weights)
    monkeypatch.chdir(tmp_path)
    first = inceptioncli.load("w.safetensors", device="cpu", crop=0.5)
    pickled = pickle.dumps(first)
    monkeypatch.chdir(pictures)
    again = pickle.loads(pickled)
    assert list(again.classify("a.jpg")) == list(first.classify("a.jpg"))
    assert list(again.classify("a.jpg")) != list(classifier.classify("a.jpg"))
    write_safetensors(weights, random_weights(SMALL_GRAPH, seed=1))
    with pytest.raises(WeightsError, match="other weights"):
        pickle.loads(pickled)


def test_pickled_it_knows_what_its_file_can_not_tell(pictures: Path, tmp_path: Path) -> None:
    graph = dataclasses.replace(SMALL_GRAPH, classes=1, activation="sigmoid")
    path = write_weights_only(tmp_path / "one.h5", graph)
    first = inceptioncli.load(path, device="cpu", activation="sigmoid", image_size=75)
    again = pickle.loads(pickle.dumps(first))
    assert again.ready.model.graph == graph
    assert list(again.classify(pictures)) == list(first.classify(pictures))
    with pytest.raises(UsageError, match="image size 12; expected"):
        inceptioncli.load(path, image_size=12)


def test_its_repr_says_what_runs(classifier: inceptioncli.Classifier, small_weights: Path) -> None:
    assert repr(classifier) == f"<Classifier {str(small_weights)!r} float32 on litert>"


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own exit handlers")
def test_a_host_programs_standard_error_and_exit_are_its_own(
    small_weights: Path, pictures: Path
) -> None:
    """Descriptor 2 is where it was while the graph runs, and open when the process ends."""
    code = (
        "import ctypes, os, sys, threading\n"
        "libc = ctypes.CDLL(None)\n"
        "told = ctypes.create_string_buffer(b'the end')\n"
        "libc.__cxa_atexit(ctypes.cast(libc.perror, ctypes.c_void_p), told, None)\n"
        "import inceptioncli\n"
        "before, seen, done = os.fstat(2).st_ino, set(), threading.Event()\n"
        "def watch():\n"
        "    while not done.wait(0.001): seen.add(os.fstat(2).st_ino)\n"
        "threading.Thread(target=watch).start()\n"
        "classifier = inceptioncli.load(sys.argv[1], device='cpu')\n"
        "for _ in range(5): list(classifier.classify(sys.argv[2:]))\n"
        "done.set()\n"
        "assert seen == {before}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, small_weights, pictures], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"the end" in done.stderr


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
