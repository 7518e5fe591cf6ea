"""What Keras's descriptions of models say, held against descriptions that Keras wrote."""

from __future__ import annotations

import copy
import functools
import gzip
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inceptioncli.weights.folding import Affine
from inceptioncli.weights.formats import keras_config
from inceptioncli.weights.formats.keras_model import Described, describe, order_of_saving
from inceptioncli.weights.formats.keras_top import Norm, Top

FACTS = Path(__file__).parents[1] / "facts"
Json = dict[str, Any]
# Keras numbers layers as it makes them.
NUMBERS = {
    f"{kind}_{number}" if number else kind: number
    for kind in ("conv2d", "batch_normalization")
    for number in range(94)
}


@functools.cache
def _base(keras: int) -> str:
    return gzip.decompress((FACTS / f"keras{keras}_inception_v3.json.gz").read_bytes()).decode()


@pytest.fixture(params=[2, 3], ids=["keras2", "keras3"])
def base(request: pytest.FixtureRequest) -> Json:
    """Keras's InceptionV3 without its top."""
    model: Json = json.loads(_base(request.param))
    return model


@pytest.fixture
def base3() -> Json:
    model: Json = json.loads(_base(3))
    return model


def layer(kind: str, name: str = "", **config: Any) -> Json:
    return {"class_name": kind, "config": {"name": name or kind.lower(), **config}}


def pictures(size: int | None, name: str = "pictures") -> Json:
    return layer("InputLayer", name, batch_shape=[None, size, size, 3])


def sequential(*layers: Json) -> Json:
    return {"class_name": "Sequential", "config": {"name": "sequential", "layers": list(layers)}}


AVERAGE = layer("GlobalAveragePooling2D")


def dense(units: int, activation: str | None = "softmax", name: str = "dense") -> Json:
    return layer("Dense", name, units=units, activation=activation, use_bias=True)


def layers_of(model: Json) -> Iterator[Json]:
    for entry in model["config"]["layers"]:
        if "layers" in entry["config"]:
            yield from layers_of(entry)
        else:
            yield entry


def named(model: Json, name: str) -> Json:
    return next(entry for entry in layers_of(model) if entry["config"]["name"] == name)


def described(model: Json) -> Described:
    return describe(keras_config.parse(json.dumps(model)), NUMBERS)


# Heads


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        ([AVERAGE, dense(5)], Top("dense", "softmax")),
        ([AVERAGE, layer("Dropout"), dense(1, "sigmoid", "cats")], Top("cats", "sigmoid")),
        ([AVERAGE, dense(5, "linear")], Top("dense", None)),
        ([AVERAGE, dense(5, None)], Top("dense", None)),
        (
            [AVERAGE, dense(5, "linear"), layer("Activation", activation="sigmoid")],
            Top("dense", "sigmoid"),
        ),
        ([AVERAGE, dense(5, "linear"), layer("Softmax", axis=-1)], Top("dense", "softmax")),
        (
            [AVERAGE, layer("BatchNormalization", "bn", epsilon=1e-5), layer("Flatten"), dense(2)],
            Top("dense", "softmax", norms=(Norm("bn", 1e-5),)),
        ),
        (
            [
                AVERAGE,
                layer(
                    "Dense",
                    "d",
                    units=3,
                    activation={"class_name": "function", "config": "softmax"},
                    use_bias=False,
                ),
            ],
            Top("d", "softmax", bias=False),
        ),
        (
            [AVERAGE, dense(9, "relu", "one"), dense(5, name="two")],
            "2 dense layers (one, two); expected one",
        ),
        ([], "a file without the top, so without classes"),
        (
            [AVERAGE],
            "a file without the top, so without classes; its last layer is globalaveragepooling2d",
        ),
        (
            [layer("GlobalMaxPooling2D", "max"), dense(5)],
            "max (GlobalMaxPooling2D) in its top; expected global average pooling, one dense layer",
        ),
        (
            [layer("Flatten", "flat"), dense(5)],
            "flat (Flatten) in its top; expected global average",
        ),
        (
            [AVERAGE, layer("LayerNormalization", "ln"), dense(5)],
            "ln (LayerNormalization) in its top",
        ),
        ([AVERAGE, dense(5, "tanh")], "dense (Dense) with the activation tanh in its top"),
        (
            [AVERAGE, dense(5), layer("Softmax")],
            "softmax (Softmax) with the activation softmax and softmax",
        ),
        (
            [AVERAGE, dense(5), layer("Lambda", "mine", function={"config": "..."})],
            "mine (Lambda) in its top",
        ),
        ([AVERAGE, dense(1)], "dense (Dense) with the softmax of one output, which is 1"),
    ],
)
def test_heads(base: Json, top: list[Json], expected: Top | str) -> None:
    found = described(sequential(pictures(150), base, *top)).top
    if isinstance(expected, Top):
        assert found == expected
    else:
        assert isinstance(found, str)
        assert found.startswith(expected)


def test_a_head_on_the_networks_own_layers(base3: Json) -> None:
    """Transfer learning by ``Model(base.input, Dense(5)(Dropout(0.2)(pooled)))``."""
    before, shape = "mixed10", [None, None, None, 2048]
    for entry in (AVERAGE, layer("Dropout"), dense(5, "sigmoid")):
        tensor = {"class_name": "__keras_tensor__"}
        tensor["config"] = {"shape": shape, "keras_history": [before, 0, 0]}  # type: ignore[assignment]
        before = entry["config"]["name"]
        node = {"args": [tensor], "kwargs": {"training": False}}
        base3["config"]["layers"].append({**entry, "name": before, "inbound_nodes": [node]})
    base3["config"]["output_layers"] = [before, 0, 0]
    found = described(base3)
    assert (found.top, found.image_size) == (Top("dense", "sigmoid"), None)


# Pictures


@pytest.mark.parametrize("size", [75, 150, 224, 299, None])
def test_image_sizes(base: Json, size: int | None) -> None:
    assert described(sequential(pictures(size), base)).image_size == size


def test_a_size_in_the_first_layer_whatever_that_is(base: Json) -> None:
    """As Keras wrote Sequential models once."""
    first = layer("Rescaling", scale=1 / 255, offset=0, batch_input_shape=[None, 150, 150, 3])
    assert described(sequential(first, base)).image_size == 150


def test_the_size_of_a_network_that_is_given_one_by_resizing(base: Json) -> None:
    model = sequential(pictures(None), layer("Resizing", height=224, width=224), base)
    assert described(model).image_size == 224


@pytest.mark.parametrize(
    ("front", "scale", "offset"),
    [
        ([], None, None),
        ([layer("RandomFlip"), layer("RandomRotation", factor=0.2)], None, None),
        ([layer("Rescaling", scale=1 / 127.5, offset=-1)], 1, 0),
        ([layer("Rescaling", scale=0.00784313771874, offset=-1.0)], 1, 0),  # in float32
        ([layer("Rescaling", scale=1 / 255, offset=0.0)], 0.5, 0.5),
        (
            [layer("Rescaling", scale=[1 / 255] * 3), layer("Rescaling", scale=2, offset=-1)],
            1,
            0,
        ),
        ([layer("Rescaling", scale=1, offset=0)], 127.5, 127.5),
        ([layer("Normalization", mean=[[0.0, 0, 0]], variance=255.0**2, axis=[-1])], 0.5, 0.5),
    ],
)
def test_scalings(base: Json, front: list[Json], scale: float | None, offset: float | None) -> None:
    found = described(sequential(pictures(299), *front, base)).input_scale
    if scale is None:
        assert found is None
    else:
        assert found is not None
        assert found.scale == pytest.approx([scale] * 3, rel=1e-6)
        assert found.offset == pytest.approx([offset] * 3, abs=1e-6)


def _in_front(base: Json, *operations: tuple[Json, list[Any]]) -> Json:
    """A functional model of Keras 3 with operations on tensors before the network."""
    entries = [{**pictures(299, "in"), "name": "in", "inbound_nodes": []}]

    def tensor() -> Json:
        return {
            "class_name": "__keras_tensor__",
            "config": {"keras_history": [entries[-1]["name"], 0, 0]},
        }

    for entry, arguments in operations:
        args = [tensor() if each == "x" else each for each in arguments]
        node = {"args": args, "kwargs": {}}
        entries.append({**entry, "name": entry["config"]["name"], "inbound_nodes": [node]})
    entries.append({**base, "name": "net", "inbound_nodes": [{"args": [tensor()], "kwargs": {}}]})
    config = {"name": "m", "layers": entries, "input_layers": ["in", 0, 0]}
    return {"class_name": "Functional", "config": {**config, "output_layers": ["net", 0, 0]}}


def test_arithmetic_of_preprocess_input(base3: Json) -> None:
    divide, subtract = layer("TrueDivide"), layer("Subtract")
    found = described(_in_front(base3, (divide, ["x", 127.5]), (subtract, ["x", 1.0]))).input_scale
    assert found == Affine((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    found = described(_in_front(base3, (layer("Multiply"), [1 / 255, "x"]))).input_scale
    assert found is not None
    assert found.scale == pytest.approx((0.5, 0.5, 0.5))
    mean = {
        "class_name": "__numpy__",
        "config": {"value": [103.9, 116.8, 123.7], "dtype": "float32"},
    }
    found = described(_in_front(base3, (subtract, ["x", mean]))).input_scale
    assert found is not None
    assert found.offset == pytest.approx((127.5 - 103.9, 127.5 - 116.8, 127.5 - 123.7))
    with pytest.raises(ValueError, match="subtract is Subtract; expected a Rescaling or"):
        described(_in_front(base3, (subtract, [1.0, "x"])))


def test_arithmetic_of_keras_2() -> None:
    base = json.loads(_base(2))
    entries = [{**pictures(299, "in"), "name": "in", "inbound_nodes": []}]
    for name, function, y in (("div", "math.truediv", 255), ("minus", "math.subtract", 0.5)):
        entry = layer("TFOpLambda", name, function=function)
        node = [entries[-1]["name"], 0, 0, {"y": y, "name": None}]
        entries.append({**entry, "name": name, "inbound_nodes": [node]})
    entries.append(
        {**base, "name": "net", "inbound_nodes": [[["minus", 0, 0, {"training": False}]]]}
    )
    config = {"layers": entries, "input_layers": [["in", 0, 0]], "output_layers": [["net", 1, 0]]}
    found = described({"class_name": "Functional", "config": config}).input_scale
    assert found is not None
    assert found.scale == pytest.approx((0.5, 0.5, 0.5))
    assert found.offset == pytest.approx((0, 0, 0))


@pytest.mark.parametrize(
    ("front", "message"),
    [
        (
            [layer("Rescaling", "twice", scale=2.0, offset=-1.0)],
            r"conv2d \(Conv2D\) gets values up to 509 of pixels in 0..255",
        ),
        (
            [layer("Lambda", "mine")],
            r"mine is Lambda; expected a Rescaling or Conv2D \(.*\) there, as in InceptionV3",
        ),
        (
            [layer("Normalization", "learned", mean=None, variance=None)],
            "learned is Normalization",
        ),
        ([layer("RandomCrop", height=299, width=299)], "randomcrop is RandomCrop"),
        (
            [layer("Resizing", "r", height=224, width=224)],
            r"r \(Resizing\) takes pictures of 224x224, which are 299x299",
        ),
        ([layer("Rescaling", scale="1/255")], "rescaling is Rescaling"),
    ],
)
def test_what_can_not_stand_before_the_network(base: Json, front: list[Json], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        described(sequential(pictures(299), *front, base))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([None, 224, 299, 3], "pictures of 224x299; expected square ones"),
        ([None, 299, 299, 1], r"takes \[None, 299, 299, 1\]; expected pictures"),
        ([None, 3, 299, 299], "expected pictures"),
        ([None, 74, 74, 3], "image size 74; expected"),
        ("all", "takes all; expected pictures"),
        ([None, 299.5, 299.5, 3], "expected square ones"),
    ],
)
def test_pictures_that_can_not_be_had(base: Json, shape: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        described(sequential(layer("InputLayer", batch_shape=shape), base))


# The network


def test_epsilons(base: Json) -> None:
    assert set(described(base).epsilons.values()) == {0.001}
    named(base, "batch_normalization_7")["config"]["epsilon"] = 1e-5
    found = described(base).epsilons
    assert (len(found), found["batch_normalization_7"]) == (94, 1e-5)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "conv2d",
            {"strides": [1, 1]},
            r"conv2d is Conv2D \(number 0, 3x3, strides 1x1, valid\); "
            r"expected a Rescaling or Conv2D \(number 0, 3x3, strides 2x2, valid\)",
        ),
        ("conv2d_3", {"padding": "same"}, r"conv2d_3 .*1x1, same.*expected .*1x1, valid"),
        ("conv2d_3", {"use_bias": True}, r"conv2d_3 .*use_bias True"),
        ("conv2d_3", {"activation": "relu"}, r"conv2d_3 .*activation relu"),
        ("conv2d_3", {"dilation_rate": [2, 2]}, r"conv2d_3 .*dilation_rate \[2, 2\]"),
        ("conv2d_3", {"data_format": "channels_first"}, r"conv2d_3 .*data_format channels_first"),
        ("batch_normalization_9", {"axis": 1}, r"batch_normalization_9 .*axis 1"),
        ("batch_normalization_9", {"epsilon": "small"}, r"batch_normalization_9 .*epsilon small"),
        (
            "activation_5",
            {"activation": "leaky_relu"},
            r"activation_5 .*leaky_relu.*expected Activation \(relu\)",
        ),
        (
            "average_pooling2d",
            {"pool_size": [5, 5]},
            r"average_pooling2d is .*5x5",
        ),
        ("max_pooling2d", {"padding": "same"}, r"max_pooling2d is"),
        ("mixed3", {"axis": 1}, r"mixed3 is Concatenate \(axis 1\)"),
    ],
)
def test_another_network(base: Json, name: str, change: Json, message: str) -> None:
    entry = named(base, name)
    entry["config"].update(change)
    with pytest.raises(ValueError, match=message):
        described(base)


def test_convolutions_in_another_order(base: Json) -> None:
    swapped = {**NUMBERS, "conv2d_5": 7, "conv2d_7": 5}
    with pytest.raises(ValueError, match=r"conv2d_5 is Conv2D \(number 7, 1x1"):
        describe(keras_config.parse(json.dumps(base)), swapped)


def test_a_network_that_is_cut_off(base: Json) -> None:
    base["config"]["output_layers"] = [["mixed7", 0, 0]]
    with pytest.raises(ValueError, match="the model ends before Mixed_7c of InceptionV3"):
        described(base)


# Damage


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("", "Expecting value"),
        ("[]", "class list"),
        ('{"class_name": "MyModel", "config": {"units": 5}}', "class MyModel, which only its own"),
        ("[" * 100_000, "recursion"),
        ('{"class_name": "Sequential", "config": {"layers": {}}}', "layers that are no list"),
        ('{"class_name": "Sequential", "config": {"layers": [3]}}', "no object with a config"),
        ('{"class_name": "Sequential", "config": {"layers": []}}', "ends before Mixed_7c"),
        (
            '{"class_name": "Functional", "config": {"layers": [], "input_layers": [["a", 0, 0]], '
            '"output_layers": [["a", 0, 0], ["b", 0, 0]]}}',
            "2 output layers; expected one",
        ),
    ],
)
def test_no_descriptions(model: str, message: str) -> None:
    with pytest.raises((ValueError, RecursionError), match=message):
        describe(keras_config.parse(model), {})


def test_circles_and_repetitions(base3: Json) -> None:
    conv = named(base3, "conv2d_1")
    node = copy.deepcopy(conv["inbound_nodes"][0])
    conv["inbound_nodes"].append(node)
    with pytest.raises(ValueError, match="conv2d_1 is used 2 times; expected once"):
        described(base3)
    node["args"][0]["config"]["keras_history"][0] = "mixed10"
    conv["inbound_nodes"] = [node]
    with pytest.raises(ValueError, match="cycle"):
        described(base3)
    node["args"][0]["config"]["keras_history"][0] = "nobody"
    with pytest.raises(ValueError, match="no layer nobody, which others follow"):
        described(base3)


def test_many_layers_behind_the_network(base3: Json) -> None:
    with pytest.raises(ValueError, match="more than 100 behind"):
        described(sequential(base3, *[layer("Flatten", f"f{i}") for i in range(200)]))


def _everywhere(value: Any, found: list[Callable[[Any], None]]) -> None:
    """Setters of all that is in a document."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(pairs):
        found.append(functools.partial(value.__setitem__, key))
        if isinstance(inner, (dict, list)):
            _everywhere(inner, found)


@pytest.mark.parametrize("seed", range(2))
def test_damaged_descriptions_are_refused(base: Json, seed: int) -> None:
    """Whatever stands in any place: it is as before, or refused; never another error."""
    rng = random.Random(seed)
    whole = sequential(
        pictures(150), layer("Rescaling", scale=1 / 255, offset=0), base, AVERAGE, dense(5)
    )
    text = json.dumps(whole)
    refused = 0
    for _ in range(20):
        model = json.loads(text)
        places: list[Callable[[Any], None]] = []
        _everywhere(model, places)
        for _ in range(rng.choice([1, 3, 30])):
            rng.choice(places)(
                rng.choice(
                    [None, "", "x", 0, -1, 1e300, [], {}, True, [[]], {"config": {}}, [["x", 0, 0]]]
                )
            )
        try:
            keras_config.places(keras_config.parse(json.dumps(model)))
            described(model)
        except (ValueError, RecursionError):
            refused += 1
    assert refused


def test_the_order_of_saving(base: Json) -> None:
    for kind in ("Conv2D", "BatchNormalization"):
        names = [entry["name"] for entry in layers_of(base) if entry["class_name"] == kind]
        assert [NUMBERS[name] for name in names] == list(order_of_saving())


def test_places_of_arrays(base: Json) -> None:
    model = sequential(
        base, layer("Dense", "first"), layer("Dense", "second"), layer("MyOwn", "third")
    )
    places = keras_config.places(keras_config.parse(json.dumps(model)))
    assert places["layers/dense"] == "first"
    assert places["layers/dense_1"] == "second"
    assert places["layers/my_own"] == "third"
    inner = [name for name in places if name.startswith("layers/functional/layers/conv2d")]
    assert len(inner) == 94
    # As found in a file: the fifth to be saved is the ninth to be made.
    assert places["layers/functional/layers/conv2d_5"] == "conv2d_8"
