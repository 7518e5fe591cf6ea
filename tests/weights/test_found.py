"""What a file tells of its head and its input, and what the user may say where it can't."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from inceptioncli.architecture import Activation, Graph
from inceptioncli.errors import ExitCode, InceptionError, UsageError, WeightsError
from inceptioncli.summary import variables
from inceptioncli.weights import collection, formats, registry
from inceptioncli.weights.formats.found import Found, Variable, graph_of
from inceptioncli.weights.formats.own import write_safetensors
from inceptioncli.weights.model import Model
from inceptioncli.weights.registry import NamedWeights
from tests.conftest import SMALL_GRAPH, random_weights, write_weights_only

SIGMOID = replace(SMALL_GRAPH, activation="sigmoid")


def found(graph: Graph, **told: Any) -> Found:
    """As a reader gives it, without arrays."""
    names = variables(graph)
    return Found({n: Variable(n, shape, lambda: np.zeros(0)) for n, shape in names.items()}, **told)


# What a file can't tell


def test_what_a_file_can_not_tell_is_asked_for(tmp_path: Path) -> None:
    path = write_weights_only(tmp_path / "some.h5", SMALL_GRAPH)
    assert formats.read(path).model.graph == replace(SMALL_GRAPH, image_size=299)
    graph = formats.read(path, activation="sigmoid", image_size=75).model.graph
    assert graph == SIGMOID


def test_published_files_have_no_image_size_either(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_cache / "weights").mkdir(parents=True)
    path = write_weights_only(own_cache / "weights" / "some.h5", SMALL_GRAPH)
    content = path.read_bytes()
    url = f"http://127.0.0.1/{path.name}"
    digest = hashlib.sha256(content).hexdigest()
    published = NamedWeights("imagenet", url, digest, len(content), "keras", 7, "")
    monkeypatch.setitem(registry.NAMED, "imagenet", published)
    chosen = collection.choose("imagenet", image_size=75)
    assert collection.load(chosen, offline=True).model.graph == SMALL_GRAPH


def test_what_no_graph_can_be_is_refused_before_weights_are_looked_for() -> None:
    for asked in ({"image_size": 74}, {"image_size": 0}, {"activation": "relu"}):
        with pytest.raises(UsageError, match=r"image size (74|0); expected|activation 'relu'"):
            collection.choose("nowhere.h5", **asked)  # type: ignore[arg-type]


def test_one_output_that_nothing_explains_is_refused(tmp_path: Path) -> None:
    path = write_weights_only(tmp_path / "cats.h5", replace(SIGMOID, classes=1))
    with pytest.raises(WeightsError, match=r"cats\.h5: one output, .*--activation sigmoid"):
        formats.read(path)
    with pytest.raises(UsageError, match="a softmax of one output is 1 for every picture"):
        formats.read(path, activation="softmax")
    model = formats.read(path, activation="sigmoid").model
    assert model.graph.classes == 1
    assert [label.name for label in model.class_labels] == ["class 0"]


def test_what_is_not_there_has_no_activation() -> None:
    headless = found(replace(SMALL_GRAPH, classes=0))
    with pytest.raises(UsageError, match=r"--activation sigmoid asked for, .* has no classifier"):
        graph_of(headless, Path("x.h5"), activation="sigmoid")


# What a file tells


def test_what_a_file_tells_is_honoured() -> None:
    told = found(SIGMOID, activation="sigmoid", image_size=150)
    for asked in ({}, {"activation": "sigmoid"}, {"image_size": 150}):
        graph = graph_of(told, Path("x.h5"), **asked)  # type: ignore[arg-type]
        assert (graph.activation, graph.image_size) == ("sigmoid", 150)
    one = found(replace(SIGMOID, classes=1), activation="sigmoid")
    assert graph_of(one, Path("x.h5")).classes == 1


def test_otherwise_than_the_file_says_is_a_usage_error() -> None:
    path = Path("x.h5")
    with pytest.raises(UsageError, match=r"x\.h5: --activation softmax asked .* says sigmoid;"):
        graph_of(found(SIGMOID, activation="sigmoid"), path, activation="softmax")
    with pytest.raises(UsageError, match=r"x\.h5: --image-size 299 asked for, .* says 150;"):
        graph_of(found(SIGMOID, image_size=150), path, image_size=299)
    ours = found(SIGMOID, model=Model(SIGMOID))
    assert graph_of(ours, path, "sigmoid", 75) == SIGMOID
    with pytest.raises(UsageError, match="says sigmoid"):
        graph_of(ours, path, activation="softmax")
    with pytest.raises(UsageError, match="says 75"):
        graph_of(ours, path, image_size=150)


@pytest.mark.parametrize(
    "told",
    [{"image_size": 60}, {"activation": "softmax"}],
    ids=str,
)
def test_what_a_file_tells_and_no_graph_can_be_is_the_files_fault(told: dict[str, Any]) -> None:
    one = found(replace(SIGMOID, classes=1), **{"activation": "sigmoid", **told})
    with pytest.raises(WeightsError, match=r"x\.h5: (image size 60|1 class)") as caught:
        graph_of(one, Path("x.h5"))
    assert caught.value.exit_code == ExitCode.WEIGHTS


def test_an_aux_heads_kernel_says_which_sizes_there_are() -> None:
    path = Path("model.ckpt")
    usual = found(Graph(depth_multiplier=0.1))
    assert graph_of(usual, path).image_size == 299
    assert graph_of(usual, path, image_size=310).image_size == 310  # The kernel is the same.
    with pytest.raises(UsageError, match="--image-size 224 asked for, but the file says 299"):
        graph_of(usual, path, image_size=224)
    small = found(Graph(image_size=150, depth_multiplier=0.1))
    assert graph_of(small, path).image_size == 150
    assert graph_of(small, path, image_size=140).image_size == 140
    with pytest.raises(UsageError, match="--image-size 299 asked for, but the file says 150"):
        graph_of(small, path, image_size=299)
    with pytest.raises(UsageError, match="image size 80; expected 107"):
        graph_of(small, path, image_size=80)


# Our own metadata


def metadata_of(path: Path) -> dict[str, Any]:
    with safe_open(path, "numpy") as file:
        return {name: json.loads(value) for name, value in file.metadata().items()}


@pytest.mark.parametrize(
    ("activation", "classes", "version"), [("softmax", 7, 1), ("sigmoid", 7, 2), ("sigmoid", 1, 2)]
)
def test_our_files_say_what_the_head_is(
    activation: Activation, classes: int, version: int, tmp_path: Path
) -> None:
    weights = random_weights(replace(SMALL_GRAPH, classes=classes, activation=activation))
    path = tmp_path / "model.safetensors"
    write_safetensors(path, weights)
    assert formats.read(path).model.graph == weights.model.graph
    metadata = metadata_of(path)
    # A program that knows of no other head than softmax refuses what it would read wrong.
    assert metadata["inceptioncli"] == version
    assert metadata.get("activation") == (None if activation == "softmax" else activation)


@pytest.mark.parametrize("wrong", ["relu", "", None, 1, ["sigmoid"], {}, True, math.inf])
def test_a_wrong_activation_is_wrong_metadata(wrong: Any, tmp_path: Path) -> None:
    weights = random_weights(SIGMOID)
    metadata = {**weights.model.to_metadata(), "activation": json.dumps(wrong)}
    path = tmp_path / "model.safetensors"
    save_file(dict(weights.arrays), path, metadata=metadata)
    with pytest.raises(WeightsError, match=r"wrong metadata \(activation .* softmax or sigmoid"):
        formats.read(path)


def test_one_class_of_a_softmax_is_wrong_metadata(tmp_path: Path) -> None:
    weights = random_weights(replace(SIGMOID, classes=1))
    metadata = {**weights.model.to_metadata(), "activation": '"softmax"'}
    path = tmp_path / "model.safetensors"
    save_file(dict(weights.arrays), path, metadata=metadata)
    with pytest.raises(InceptionError, match=r"wrong metadata .*1 class") as caught:
        formats.read(path)
    assert caught.value.exit_code == ExitCode.WEIGHTS
