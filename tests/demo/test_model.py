"""The model in the package: what it is, and that it is right about the sample images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from demo import recipe
from demo.renderer import dataset, render
from inceptioncli.classifier import Classifier, load
from inceptioncli.engine import tensorflow
from inceptioncli.labels import imagenet_labels
from inceptioncli.weights import collection, registry
from tests.conftest import Run

pytestmark = pytest.mark.slow

SAMPLE_IMAGES = Path(__file__).parents[2] / "sample_images"


def test_it_is_what_the_registry_says() -> None:
    verified = collection.verify("demo")
    entry = registry.NAMED["demo"]
    assert verified.sha256 == entry.sha256
    assert verified.path.stat().st_size == entry.bytes <= 5_000_000
    model = verified.weights.model
    assert model.graph.classes == entry.classes == len(recipe.SEEN) >= 16
    assert model.graph.depth_multiplier == 0.25
    assert set(model.class_labels) < set(imagenet_labels())
    assert model.training is not None
    assert {array.dtype for array in load_file(verified.path).values()} == {np.dtype("float16")}


def test_it_answers_offline_and_is_right_about_every_sample(run: Run, own_cache: Path) -> None:
    done = run("classify", "--offline", "-w", "demo", "-k", "1", "-f", "jsonl", SAMPLE_IMAGES)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(records) >= 12
    for record in records:
        name = Path(record["path"]).stem.replace("_", " ")
        assert record["predictions"][0]["label"] == name
    assert run("weights", "path", "demo").stdout.strip().endswith("demo.safetensors")
    assert run("weights", "download", "demo").returncode == 0


@pytest.fixture(scope="module")
def fresh_renders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures of each class, from seeds that neither training nor the report has seen."""
    folder = tmp_path_factory.mktemp("fresh")
    dataset.write(
        folder, classes=recipe.SEEN, seeds=range(5_000_000, 5_000_004), size=(299, 299), jobs=2
    )
    return folder


def test_it_generalises_alike_on_all_engines(fresh_renders: Path) -> None:
    classifiers = {
        "float32": load("demo", device="cpu"),
        "int8": load("demo", device="cpu", precision="int8"),
        "tensorflow": Classifier(tensorflow.prepare(collection.choose("demo"), "cpu")),
    }
    probabilities = {
        name: classifier.features(fresh_renders, end_points="Predictions")["Predictions"]
        for name, classifier in classifiers.items()
    }
    exact = probabilities["float32"]
    truth = np.repeat(np.arange(len(recipe.SEEN)), 4)  # folders and classes: by WordNet id, both
    assert (exact.argmax(axis=1) == truth).mean() >= 0.97
    assert (probabilities["int8"].argmax(axis=1) == exact.argmax(axis=1)).mean() >= 0.99
    assert (probabilities["tensorflow"].argmax(axis=1) == exact.argmax(axis=1)).all()
    assert np.abs(probabilities["tensorflow"] - exact).max() < 1e-4


def test_scaled_decoding_changes_no_first_class(tmp_path: Path) -> None:
    for name in recipe.SEEN:
        large = render(name, 123_456).resize((1600, 1200), Image.Resampling.BICUBIC)
        large.save(tmp_path / f"{name}.jpg", quality=90)
    tops = []
    for exact in (False, True):
        classifier = load("demo", device="cpu", exact_decode=exact)
        tops.append([record.predictions[0] for record in classifier.classify(tmp_path)])
    assert [top.index for top in tops[0]] == [top.index for top in tops[1]]
    differences = [abs(a.probability - b.probability) for a, b in zip(*tops, strict=True)]
    assert 0 < max(differences) < 0.05
