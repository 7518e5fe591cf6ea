"""The written LiteRT file against the one that TensorFlow's converter makes, and as a format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from inceptioncli.architecture import CLASSIFIERS, Graph
from inceptioncli.engine import packing, writer
from inceptioncli.engine.base import END_POINTS_SIGNATURE, INPUT_NAME, PREDICTIONS_SIGNATURE
from inceptioncli.engine.compile import Compiled
from inceptioncli.engine.litert import LiteRTEngine
from inceptioncli.errors import WeightsError
from inceptioncli.weights.model import Model, Weights
from tests.conftest import SMALL_GRAPH, random_weights
from tests.oracles import converter

SMALL_WITH_AUX = Graph(image_size=107, classes=5, depth_multiplier=0.1)
WITHOUT_CLASSES = Graph(image_size=75, classes=0, depth_multiplier=0.1)
ONE_CLASS = replace(SMALL_GRAPH, classes=1, activation="sigmoid")
DEMO = Graph(classes=26, depth_multiplier=0.25, aux=False)


def images_for(graph: Graph) -> NDArray[np.uint8]:
    shape = (2, graph.image_size, graph.image_size, 3)
    return np.random.default_rng(9).integers(0, 256, shape, dtype=np.uint8)


def run(path: Path, model: Model, packed: Path | None = None) -> dict[str, NDArray[np.float32]]:
    """Every end point; and the last one under the name "alone", from the other signature."""
    engine = LiteRTEngine(Compiled(path, model), 1, packed)
    images, last = images_for(model.graph), model.graph.end_points[-1]
    alone = engine.run(images, [last])[last]
    return {**engine.run(images, model.graph.end_points), "alone": alone}


def both(
    weights: Weights, precision: str, folder: Path
) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """What the writer's file computes, and what the converter's does."""
    ours, theirs = folder / "ours.tflite", folder / "theirs.tflite"
    writer.write(weights, precision, ours)
    theirs.write_bytes(converter.convert(weights, precision))
    return run(ours, weights.model), run(theirs, weights.model)


@pytest.mark.slow  # TensorFlow converts
@pytest.mark.parametrize(
    "graph",
    [
        SMALL_WITH_AUX,
        WITHOUT_CLASSES,
        DEMO,
        Graph(),
        Graph(classes=1000, aux=False),
        Graph(image_size=150),
        replace(SMALL_WITH_AUX, activation="sigmoid"),
        ONE_CLASS,
    ],
    ids=str,
)
def test_float32_is_the_converters_bit_for_bit(graph: Graph, tmp_path: Path) -> None:
    ours, theirs = both(random_weights(graph), "float32", tmp_path)
    assert list(ours) == [*graph.end_points, "alone"]
    for name, values in theirs.items():
        assert ours[name].shape == values.shape
        assert ours[name].tobytes() == values.tobytes(), name
        assert values.std() > 0, name


@pytest.mark.slow  # TensorFlow converts
@pytest.mark.parametrize("graph", [SMALL_WITH_AUX, Graph()], ids=str)
def test_int8_is_the_converters_but_for_the_classifiers(graph: Graph, tmp_path: Path) -> None:
    weights = random_weights(graph)
    weights.arrays["InceptionV3/Conv2d_2a_3x3/weights"][..., 3] = 0  # A dead channel has no scale.
    ours, theirs = both(weights, "int8", tmp_path)
    for name in graph.end_points:
        if name in ("AuxLogits", "Logits", "Predictions"):
            error = np.linalg.norm(ours[name] - theirs[name]) / np.linalg.norm(theirs[name])
            assert error < 0.1, name
        else:
            assert ours[name].tobytes() == theirs[name].tobytes(), name
    exact = tmp_path / "float32.tflite"
    writer.write(weights, "float32", exact)
    expected = run(exact, weights.model)
    assert np.abs(ours["alone"] - expected["Predictions"]).max() < 0.05
    assert not np.array_equal(ours["PreLogits"], expected["PreLogits"])


@pytest.fixture(params=["float32", "int8"])
def precision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def weights() -> Weights:
    return random_weights(SMALL_WITH_AUX)


@pytest.fixture
def file(weights: Weights, precision: str, tmp_path: Path) -> Path:
    path = tmp_path / "small.tflite"
    path.write_bytes(b"what was there before" * 1_000_000)
    writer.write(weights, precision, path)
    return path


def test_litert_finds_the_signatures_by_name(file: Path) -> None:
    interpreter = Interpreter(str(file))
    assert interpreter.get_signature_list() == {
        PREDICTIONS_SIGNATURE: {"inputs": [INPUT_NAME], "outputs": ["Predictions"]},
        END_POINTS_SIGNATURE: {
            "inputs": [INPUT_NAME],
            "outputs": sorted(SMALL_WITH_AUX.end_points),
        },
    }
    image = images_for(SMALL_WITH_AUX)[:1] / np.float32(127.5) - 1
    alone = interpreter.get_signature_runner(PREDICTIONS_SIGNATURE)(images=image)
    among = interpreter.get_signature_runner(END_POINTS_SIGNATURE)(images=image)
    assert alone["Predictions"].shape == (1, 5)
    np.testing.assert_array_equal(alone["Predictions"], among["Predictions"])
    assert among["Mixed_7c"].shape[:3] == (1, 2, 2)


def test_every_array_is_aligned_and_in_the_file_once(file: Path, precision: str) -> None:
    content = np.fromfile(file, np.uint8)
    model = schema.Model.GetRootAs(content.tobytes())
    assert schema.Model.ModelBufferHasIdentifier(content.tobytes(), 0)
    whole = np.frombuffer(model._tab.Bytes, np.uint8)
    arrays = [model.Buffers(number).DataAsNumpy() for number in range(1, model.BuffersLength())]
    places = [array.ctypes.data - whole.ctypes.data for array in arrays]
    assert all(place % 16 == 0 for place in places)
    ends = [place + array.size for place, array in zip(places, arrays, strict=True)]
    assert all(end <= place for end, place in zip(ends, places[1:], strict=False))
    assert ends[-1] == len(content)
    # Both subgraphs take their weights from the same buffers.
    used = [
        {tensor.Buffer() for tensor in tensors(model.Subgraphs(number)).values()}
        for number in range(2)
    ]
    assert used[1] < used[0] == set(range(model.BuffersLength()))


def tensors(subgraph: Any) -> dict[str, Any]:
    found = (subgraph.Tensors(number) for number in range(subgraph.TensorsLength()))
    return {tensor.Name().decode(): tensor for tensor in found}


def test_int8_is_for_large_kernels_that_do_not_classify(weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / "int8.tflite"
    writer.write(weights, "int8", path)
    model = schema.Model.GetRootAs(path.read_bytes())
    kept = {name for name, array in weights.arrays.items() if array.size < 1024}
    kept |= {f"{scope}weights" for scope in CLASSIFIERS}
    assert "InceptionV3/Conv2d_1a_3x3/weights" in kept
    for subgraph in (model.Subgraphs(0), model.Subgraphs(1)):
        for name, tensor in tensors(subgraph).items():
            assert (tensor.Type() == schema.TensorType.INT8) == (
                name.endswith("/weights") and name not in kept
            )
            if tensor.Type() != schema.TensorType.INT8:
                assert tensor.Quantization() is None
                continue
            height, width, channels, filters = weights.arrays[name].shape
            assert tensor.ShapeAsNumpy().tolist() == [filters, height, width, channels]
            quantization = tensor.Quantization()
            assert quantization.ScaleAsNumpy().shape == (filters,)
            assert quantization.ZeroPointAsNumpy().tolist() == [0] * filters
            assert quantization.QuantizedDimension() == 0
            values = model.Buffers(tensor.Buffer()).DataAsNumpy().view(np.int8)
            assert np.abs(values.reshape(filters, -1)).max(axis=1).tolist() == [127] * filters


@pytest.mark.parametrize("classes", [1, 7])
def test_sigmoids_are_each_logits_own(classes: int, precision: str, tmp_path: Path) -> None:
    graph = replace(ONE_CLASS, classes=classes)
    weights = random_weights(graph)
    weights.arrays[f"{CLASSIFIERS[0]}weights"][:] *= 5
    path = tmp_path / "sigmoid.tflite"
    writer.write(weights, precision, path)
    ends = run(path, weights.model)
    expected = 1 / (1 + np.exp(-ends["Logits"].astype(np.float64)))
    np.testing.assert_allclose(ends["Predictions"], expected, atol=1e-6)
    assert ends["alone"].tobytes() == ends["Predictions"].tobytes()
    assert ends["Predictions"].shape == (2, classes)
    assert ends["Predictions"].std() > 0.001 / classes
    assert b"softmax" not in path.read_bytes()


def test_a_thousand_classes_in_int8_are_a_third_of_float32(tmp_path: Path) -> None:
    weights = random_weights(Graph(classes=1000, aux=False))
    for precision, megabytes in (("float32", 95.3), ("int8", 30.5)):
        path = tmp_path / precision
        writer.write(weights, precision, path)
        assert path.stat().st_size / 1e6 == pytest.approx(megabytes, abs=0.1)


def test_the_same_weights_are_the_same_bytes(
    file: Path, weights: Weights, precision: str, tmp_path: Path
) -> None:
    again = tmp_path / "again.tflite"
    writer.write(weights, precision, again)
    assert again.read_bytes() == file.read_bytes()


def test_xnnpack_packs_it(file: Path, weights: Weights, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    packed.touch()
    packing.write(str(file), str(packed))
    with_them = run(file, weights.model, packed)
    for name, values in run(file, weights.model).items():
        np.testing.assert_array_equal(with_them[name], values, err_msg=name)


def test_weights_that_no_file_holds_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_LARGEST_FILE_BYTES", 1 << 20)
    weights = random_weights(SMALL_GRAPH, source="large.h5")
    with pytest.raises(WeightsError, match=r"large\.h5: too large for LiteRT's format"):
        writer.write(weights, "float32", tmp_path / "large.tflite")
