from __future__ import annotations

from pathlib import Path

import pytest

from inceptioncli.architecture import Graph
from inceptioncli.errors import UsageError
from inceptioncli.summary import convolutions, summarize, variables

FACTS = Path(__file__).parent / "facts"
SLIM = Graph(image_size=299, classes=1001, aux=True)


def read_facts(name: str) -> list[list[str]]:
    return [line.split("\t") for line in (FACTS / name).read_text().splitlines()[1:]]


def shape_text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def end_point_shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    return {end.name: end.shape for end in summarize(graph).end_points}


def test_variables_are_slims_in_name_shape_and_order() -> None:
    ours = [[name, shape_text(shape)] for name, shape in variables(SLIM).items()]
    assert ours == [row[:2] for row in read_facts("slim_variables.tsv")]


def test_end_points_are_slims_in_name_shape_and_order() -> None:
    ours = [[name, shape_text(shape)] for name, shape in end_point_shapes(SLIM).items()]
    assert ours == read_facts("slim_end_points.tsv")


def test_convolutions_are_keras_applications_in_its_order() -> None:
    layers = summarize(Graph(classes=0, aux=False)).layers
    ours = [
        [layer.name, shape_text(layer.kernel), f"{layer.stride}x{layer.stride}", layer.padding]
        for layer in layers
    ]
    theirs = [[*row[3:6], row[6].upper()] for row in read_facts("keras_to_slim.tsv")]
    assert ours == theirs


@pytest.mark.parametrize(
    ("graph", "parameters"),
    [
        (Graph(classes=0), 21_802_784),
        (Graph(classes=1000, aux=False), 23_851_784),
        (Graph(classes=1001, aux=False), 23_853_833),
        (Graph(classes=1001, aux=True), 27_182_194),
        (Graph(image_size=150, classes=1001, aux=True), 24_822_898),
        (Graph(depth_multiplier=0.25, classes=1001, aux=True), 2_249_278),
    ],
)
def test_parameters_are_slims(graph: Graph, parameters: int) -> None:
    assert summarize(graph).parameters == parameters


def test_parameters_up_to_mixed_7c_and_multiply_adds() -> None:
    summary = summarize(Graph(classes=1000, aux=False))
    up_to_mixed_7c = summary.end_points[: Graph().end_points.index("Mixed_7c") + 1]
    assert sum(end.parameters for end in up_to_mixed_7c) == 21_802_784
    assert round(summary.multiply_adds / 1e9, 2) == 5.71


def test_one_class_is_a_sigmoids() -> None:
    with pytest.raises(UsageError, match=r"1 class, and a softmax of one output is 1 for every"):
        Graph(classes=1)
    with pytest.raises(UsageError, match=r"activation 'relu'; expected softmax or sigmoid"):
        Graph(activation="relu")  # type: ignore[arg-type]
    one = Graph(classes=1, activation="sigmoid")
    assert one.aux
    assert end_point_shapes(one)["Predictions"] == (1,)
    assert summarize(one).parameters == 27_182_194 - 1000 * (2049 + 769)


# The cases of slim's own inception_v3_test.py that a reader of the table can check.


def test_prelogits_network_has_no_classifier() -> None:
    shapes = end_point_shapes(Graph(classes=0))
    assert shapes["PreLogits"] == (1, 1, 2048)
    assert not {"Logits", "Predictions", "AuxLogits"} & set(shapes)


def test_classification_network() -> None:
    shapes = end_point_shapes(Graph(classes=1000))
    assert shapes["Logits"] == shapes["AuxLogits"] == shapes["Predictions"] == (1000,)
    assert shapes["Mixed_7c"] == (8, 8, 2048)
    assert shapes["PreLogits"] == (1, 1, 2048)


@pytest.mark.parametrize("multiplier", [0.5, 2.0])
def test_depth_multiplier_scales_every_end_point(multiplier: float) -> None:
    plain = end_point_shapes(Graph())
    scaled = end_point_shapes(Graph(depth_multiplier=multiplier))
    for name in plain:
        if name.startswith(("Mixed", "Conv")):
            assert scaled[name][-1] == multiplier * plain[name][-1]


@pytest.mark.parametrize("multiplier", [-0.1, 0.0, float("nan")])
def test_depth_multiplier_must_be_positive(multiplier: float) -> None:
    with pytest.raises(ValueError, match="depth multiplier"):
        Graph(depth_multiplier=multiplier)


def test_min_depth_and_the_aux_heads_depth() -> None:
    found = {
        conv.scope.rpartition("InceptionV3/")[2]: conv
        for conv in convolutions(Graph(depth_multiplier=0.1))
    }
    assert found["Conv2d_1a_3x3"].filters == 16
    assert found["AuxLogits/Conv2d_1b_1x1"].filters == 16
    assert found["AuxLogits/Conv2d_2a_5x5"].filters == 76
    assert found["AuxLogits/Conv2d_2b_1x1"].filters == 1001


def test_half_size_images() -> None:
    shapes = end_point_shapes(Graph(image_size=150, classes=1000))
    assert shapes["Mixed_7c"] == (3, 3, 2048)
    assert shapes["Logits"] == (1000,)


@pytest.mark.parametrize(
    ("image_size", "aux_conv"),
    [(299, "Conv2d_2a_5x5"), (224, "Conv2d_2a_3x3"), (150, "Conv2d_2a_1x1")],
)
def test_small_inputs_shrink_the_aux_kernel_and_its_name(image_size: int, aux_conv: str) -> None:
    names = variables(Graph(image_size=image_size))
    kernel = int(aux_conv[-1])
    assert names[f"InceptionV3/AuxLogits/{aux_conv}/weights"] == (kernel, kernel, 128, 768)


@pytest.mark.parametrize(
    ("smallest", "largest", "aux"), [(75, 2048, False), (107, 346, True)], ids=["no aux", "aux"]
)
def test_smallest_and_largest_inputs(smallest: int, largest: int, aux: bool) -> None:
    for size in (smallest, largest):
        shapes = end_point_shapes(Graph(image_size=size, aux=aux))
        assert shapes["PreLogits"] == (1, 1, 2048)
        assert shapes["Logits"] == shapes["Predictions"] == (1001,)
        assert shapes.get("AuxLogits") == ((1001,) if aux else None)
    for size in (smallest - 1, largest + 1, 0, -5, float("nan"), float("inf")):
        with pytest.raises(UsageError, match=rf"image size {size}; expected {smallest} to "):
            Graph(image_size=size, aux=aux)  # type: ignore[arg-type]


@pytest.mark.parametrize("aux", [False, True])
def test_every_size_leaves_one_position(aux: bool) -> None:
    for size in range(107, 347):
        shapes = end_point_shapes(Graph(image_size=size, aux=aux, depth_multiplier=0.04))
        assert {len(shapes[name]) for name in ("Logits", "Predictions")} == {1}
        assert shapes["PreLogits"][:2] == (1, 1)


def test_min_depth_must_be_positive() -> None:
    with pytest.raises(UsageError, match="min depth 0"):
        Graph(min_depth=0)


def test_initialisers_are_slims() -> None:
    stddev = {conv.scope: conv.stddev for conv in convolutions(SLIM) if conv.stddev is not None}
    assert stddev == {
        "InceptionV3/AuxLogits/Conv2d_2a_5x5": 0.01,
        "InceptionV3/AuxLogits/Conv2d_2b_1x1": 0.001,
    }


@pytest.mark.parametrize("name", Graph().end_points)
def test_the_walk_stops_at_any_end_point(name: str) -> None:
    from inceptioncli.architecture import walk
    from inceptioncli.summary import _ShapeOps, _Traced

    ops = _ShapeOps()
    ends = walk(SLIM, _Traced((299, 299, 3)), ops, last=name)
    assert tuple(ends) == SLIM.end_points[: SLIM.end_points.index(name) + 1]
    assert len(ops.layers) == ends[name].layers


def test_the_walk_refuses_an_unknown_end_point() -> None:
    from inceptioncli.architecture import walk
    from inceptioncli.summary import _ShapeOps, _Traced

    with pytest.raises(UsageError, match=r"Mixed_9z.*Mixed_7c"):
        walk(SLIM, _Traced((299, 299, 3)), _ShapeOps(), last="Mixed_9z")
