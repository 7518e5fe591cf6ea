"""What a Keras model computes, by its description: InceptionV3 and a top that we have, or not.

Every layer is held against the table, from the picture to ``Mixed_7c``. What differs there makes
all that follows wrong, and is refused. What differs in the top leaves the features right, and is
the reason why there are no classes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from inceptioncli.architecture import MIXED, Activation, Conv, Graph, Pool, walk
from inceptioncli.weights.folding import Affine
from inceptioncli.weights.formats.keras_config import Json, Layer, follow
from inceptioncli.weights.formats.keras_input import Picture, changed, input_scale, shaped
from inceptioncli.weights.formats.keras_layers import detail, epsilon, is_identity, window
from inceptioncli.weights.formats.keras_top import Top, top

_LAST = list(MIXED)[-1]
_MOST_LAYERS_BEHIND = 100


class Described(NamedTuple):
    """What a description says.

    Attributes:
        image_size: side of the input; None if it may be any.
        input_scale: what pixels in [-1, 1] go through first; None if no layer says that.
        epsilons: of the network's batch norms, by layer name.
        top: the classifier, or the reason why there is none.
    """

    image_size: int | None
    input_scale: Affine | None
    epsilons: Mapping[str, float]
    top: Top | str


def describe(model: Json, numbers: Mapping[str, int]) -> Described:
    """Holds a model against the table.

    Args:
        model: as `keras_config.parse` gives it.
        numbers: which convolution of the table, from 0, each of the network's Conv2D layers is, and
            each BatchNormalization belongs to; by layer name.

    Raises:
        ValueError: it is another network, or not as Keras describes one.
    """
    network = _Network(numbers)
    end = follow(model, network.image, network.apply)
    if not isinstance(end, _Behind):
        if end != network.last:
            raise ValueError(f"the model ends before {_LAST} of InceptionV3")
        end = _Behind(())
    return Described(network.image_size, network.input_scale, network.epsilons, top(end.layers))


@functools.cache
def order_of_saving() -> tuple[int, ...]:
    """The convolutions, numbered as they are made, in the order in which Keras saves them.

    It saves layers by how far they are from the end; of those that are as far, in order.
    """
    steps = _table().steps
    distance = dict.fromkeys(range(len(steps) + 1), 0)
    for step, number in reversed(steps.items()):
        for each in step.inputs:
            distance[each] = max(distance[each], distance[number] + 1)
    convs = [distance[number] for step, number in steps.items() if step.kind == "Conv2D"]
    return tuple(sorted(range(len(convs)), key=lambda number: -convs[number]))


class _Behind(NamedTuple):
    """What comes out of layers behind the network, in their order; of branches, the first."""

    layers: tuple[Layer, ...]

    def then(self, layer: Layer) -> _Behind:
        if len(self.layers) == _MOST_LAYERS_BEHIND:
            raise ValueError(f"{layer} is one of more than {_MOST_LAYERS_BEHIND} behind {_LAST}")
        return _Behind((*self.layers, layer))


# In the network a value is the number of the step that it comes from; 0 is the picture.
_Value = Picture | int | _Behind


class _Step(NamedTuple):
    """What a layer does, and to which values."""

    kind: str
    detail: str
    inputs: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.kind} ({self.detail})" if self.detail else self.kind


@dataclass
class _Table:
    """The table in Keras's steps: convolution, batch norm and activation each are one."""

    steps: dict[_Step, int] = field(default_factory=dict)
    convs: int = 0
    last: int = 0

    def step(self, kind: str, detail: str, *inputs: int) -> int:
        return self.steps.setdefault(_Step(kind, detail, inputs), len(self.steps) + 1)

    def conv(self, x: int, layer: Conv) -> int:
        number = f"number {self.convs}"
        self.convs += 1
        moves = window(layer.kernel, (layer.stride, layer.stride), layer.padding)
        x = self.step("Conv2D", f"{number}, {moves}", x)
        x = self.step("BatchNormalization", number, x)
        return self.step("Activation", "relu", x)

    def pool(self, x: int, layer: Pool) -> int:
        kind = "MaxPooling2D" if layer.kind == "max" else "AveragePooling2D"
        return self.step(kind, window(layer.kernel, (layer.stride, layer.stride), layer.padding), x)

    def concat(self, xs: Sequence[int]) -> int:
        return self.step("Concatenate", "", *xs)

    # Only the tops have these.

    def size(self, x: int) -> tuple[int, int]:
        raise NotImplementedError

    def dropout(self, x: int, keep_probability: float) -> int:
        raise NotImplementedError

    def squeeze(self, x: int) -> int:
        raise NotImplementedError

    def activate(self, x: int, activation: Activation) -> int:
        raise NotImplementedError


def _table() -> _Table:
    table = _Table()
    table.last = walk(Graph(aux=False), 0, table, last=_LAST)[_LAST]
    return table


class _Network:
    """A model's network on the way from layer to layer, and what they tell of it."""

    def __init__(self, numbers: Mapping[str, int]) -> None:
        table = _table()
        self.last = table.last
        self.image: _Value = Picture()
        self.image_size: int | None = None
        self.input_scale: Affine | None = None
        self.epsilons: dict[str, float] = {}
        self._steps = table.steps
        self._numbers = numbers

    def apply(self, layer: Layer, inputs: list[_Value]) -> _Value:
        """What a layer makes of values.

        Raises:
            ValueError: something that InceptionV3 doesn't.
        """
        inputs = [shaped(layer, each) if isinstance(each, Picture) else each for each in inputs]
        first = inputs[0]
        if len(inputs) == 1:
            after = changed(layer, first) if isinstance(first, Picture) else None
            if after is not None:
                return after
            if is_identity(layer):
                return first
        behind = next((value for value in inputs if isinstance(value, _Behind)), None)
        if behind is not None:
            return behind.then(layer)
        return self._apply(layer, inputs)

    def _apply(self, layer: Layer, inputs: list[_Value]) -> _Value:
        step = self._step(layer, inputs)
        if step not in self._steps:
            if step.inputs == (self.last,):
                return _Behind((layer,))
            raise ValueError(
                f"{layer.name} is {step}; expected {self._expected(step)} there, as in InceptionV3"
            )
        if isinstance(inputs[0], Picture):
            self.image_size = inputs[0].size
            self.input_scale = input_scale(layer, inputs[0])
        if step.kind == "BatchNormalization":
            self.epsilons[layer.name] = epsilon(layer)
        return self._steps[step]

    def _step(self, layer: Layer, inputs: list[_Value]) -> _Step:
        kind = "Activation" if layer.kind == "ReLU" else layer.kind
        words = [detail(layer)]
        if layer.kind in ("Conv2D", "BatchNormalization"):
            words.insert(0, f"number {self._numbers.get(layer.name, 'unknown')}")
        numbers = tuple(value if isinstance(value, int) else 0 for value in inputs)
        return _Step(kind, ", ".join(filter(None, words)), numbers)

    def _expected(self, step: _Step) -> str:
        """What InceptionV3 has at the place of a step, as far as the step tells its place."""
        following = [each for each in self._steps if each.inputs == step.inputs]
        alike = [each for each in following if each.kind == step.kind] or following
        first = ["a Rescaling"] if step.inputs == (0,) else []
        return " or ".join([*first, *map(str, alike)]) or "something else"
