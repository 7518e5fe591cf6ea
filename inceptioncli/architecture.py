"""The InceptionV3 network as one table, and the walk that turns the table into something.

The table follows TF-Slim's ``nets/inception_v3.py`` (Szegedy et al., "Rethinking the Inception
Architecture for Computer Vision", arXiv:1512.00567). Scopes are slim's, letter for letter and in
slim's creation order, because published checkpoints carry them.

The walk does not know what flows through it. An ``Ops`` decides: shapes (`summary`), operators of a
LiteRT file (`engine.writer`), TensorFlow tensors (`engine.tensorflow`), Keras layers (training).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeVar, get_args

from inceptioncli.errors import UsageError

Padding = Literal["SAME", "VALID"]
Activation = Literal["softmax", "sigmoid"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)

SCOPE = "InceptionV3"
BATCH_NORM_EPSILON = 0.001
BATCH_NORM_DECAY = 0.9997
DROPOUT_KEEP_PROBABILITY = 0.8
AUX_END_POINT = "AuxLogits"
TOP_END_POINTS = ("PreLogits", "Logits", "Predictions")


class Conv(NamedTuple):
    """A convolution; batch norm (no gamma) and ReLU follow unless ``linear``, which has a bias.

    ``stddev`` is that of the truncated-normal initialiser; None stands for slim's default,
    variance scaling with factor 2 over the fan-in (He).
    """

    scope: str
    filters: int
    kernel: tuple[int, int]
    stride: int = 1
    padding: Padding = "SAME"
    linear: bool = False
    stddev: float | None = None


class Pool(NamedTuple):
    """A pooling layer; SAME average pools leave the padding out of the mean."""

    scope: str
    kind: Literal["max", "avg"]
    kernel: tuple[int, int]
    stride: int = 1
    padding: Padding = "SAME"


class Split(NamedTuple):
    """Convolutions side by side on one input, concatenated, with no scope of their own."""

    convs: tuple[Conv, ...]


Layer = Conv | Pool | Split
Branch = tuple[Layer, ...]

STEM: tuple[Conv | Pool, ...] = (
    Conv("Conv2d_1a_3x3", 32, (3, 3), 2, "VALID"),
    Conv("Conv2d_2a_3x3", 32, (3, 3), 1, "VALID"),
    Conv("Conv2d_2b_3x3", 64, (3, 3)),
    Pool("MaxPool_3a_3x3", "max", (3, 3), 2, "VALID"),
    Conv("Conv2d_3b_1x1", 80, (1, 1), 1, "VALID"),
    Conv("Conv2d_4a_3x3", 192, (3, 3), 1, "VALID"),
    Pool("MaxPool_5a_3x3", "max", (3, 3), 2, "VALID"),
)


def _pool_branch(filters: int) -> Branch:
    return (Pool("AvgPool_0a_3x3", "avg", (3, 3)), Conv("Conv2d_0b_1x1", filters, (1, 1)))


def _mixed_35x35(pool_filters: int) -> tuple[Branch, ...]:
    return (
        (Conv("Conv2d_0a_1x1", 64, (1, 1)),),
        (Conv("Conv2d_0a_1x1", 48, (1, 1)), Conv("Conv2d_0b_5x5", 64, (5, 5))),
        (
            Conv("Conv2d_0a_1x1", 64, (1, 1)),
            Conv("Conv2d_0b_3x3", 96, (3, 3)),
            Conv("Conv2d_0c_3x3", 96, (3, 3)),
        ),
        _pool_branch(pool_filters),
    )


def _mixed_17x17(width: int) -> tuple[Branch, ...]:
    return (
        (Conv("Conv2d_0a_1x1", 192, (1, 1)),),
        (
            Conv("Conv2d_0a_1x1", width, (1, 1)),
            Conv("Conv2d_0b_1x7", width, (1, 7)),
            Conv("Conv2d_0c_7x1", 192, (7, 1)),
        ),
        (
            Conv("Conv2d_0a_1x1", width, (1, 1)),
            Conv("Conv2d_0b_7x1", width, (7, 1)),
            Conv("Conv2d_0c_1x7", width, (1, 7)),
            Conv("Conv2d_0d_7x1", width, (7, 1)),
            Conv("Conv2d_0e_1x7", 192, (1, 7)),
        ),
        _pool_branch(192),
    )


def _mixed_8x8(second_of_split: str) -> tuple[Branch, ...]:
    return (
        (Conv("Conv2d_0a_1x1", 320, (1, 1)),),
        (
            Conv("Conv2d_0a_1x1", 384, (1, 1)),
            Split((Conv("Conv2d_0b_1x3", 384, (1, 3)), Conv(second_of_split, 384, (3, 1)))),
        ),
        (
            Conv("Conv2d_0a_1x1", 448, (1, 1)),
            Conv("Conv2d_0b_3x3", 384, (3, 3)),
            Split((Conv("Conv2d_0c_1x3", 384, (1, 3)), Conv("Conv2d_0d_3x1", 384, (3, 1)))),
        ),
        _pool_branch(192),
    )


MIXED: dict[str, tuple[Branch, ...]] = {
    "Mixed_5b": _mixed_35x35(pool_filters=32),
    "Mixed_5c": (
        (Conv("Conv2d_0a_1x1", 64, (1, 1)),),
        # slim's slip of the pen, kept for its checkpoints: 0b and Conv_1_0c where 5b and 5d
        # have 0a and Conv2d_0b.
        (Conv("Conv2d_0b_1x1", 48, (1, 1)), Conv("Conv_1_0c_5x5", 64, (5, 5))),
        *_mixed_35x35(pool_filters=64)[2:],
    ),
    "Mixed_5d": _mixed_35x35(pool_filters=64),
    "Mixed_6a": (
        # Both Conv2d_1a_1x1 have 3x3 kernels, whatever slim calls them.
        (Conv("Conv2d_1a_1x1", 384, (3, 3), 2, "VALID"),),
        (
            Conv("Conv2d_0a_1x1", 64, (1, 1)),
            Conv("Conv2d_0b_3x3", 96, (3, 3)),
            Conv("Conv2d_1a_1x1", 96, (3, 3), 2, "VALID"),
        ),
        (Pool("MaxPool_1a_3x3", "max", (3, 3), 2, "VALID"),),
    ),
    "Mixed_6b": _mixed_17x17(128),
    "Mixed_6c": _mixed_17x17(160),
    "Mixed_6d": _mixed_17x17(160),
    "Mixed_6e": _mixed_17x17(192),
    "Mixed_7a": (
        (
            Conv("Conv2d_0a_1x1", 192, (1, 1)),
            Conv("Conv2d_1a_3x3", 320, (3, 3), 2, "VALID"),
        ),
        (
            Conv("Conv2d_0a_1x1", 192, (1, 1)),
            Conv("Conv2d_0b_1x7", 192, (1, 7)),
            Conv("Conv2d_0c_7x1", 192, (7, 1)),
            Conv("Conv2d_1a_3x3", 192, (3, 3), 2, "VALID"),
        ),
        (Pool("MaxPool_1a_3x3", "max", (3, 3), 2, "VALID"),),
    ),
    "Mixed_7b": _mixed_8x8("Conv2d_0b_3x1"),
    "Mixed_7c": _mixed_8x8("Conv2d_0c_3x1"),
}

# The heads. A `{}x{}` in a scope is filled with the kernel that is left of the nominal one when
# the feature map is smaller (slim's small-input rule). Filters 0 stands for the classes.
AUX_INPUT = "Mixed_6e"
AUX: tuple[Conv | Pool, ...] = (
    Pool("AvgPool_1a_5x5", "avg", (5, 5), 3, "VALID"),
    Conv("Conv2d_1b_1x1", 128, (1, 1)),
    Conv("Conv2d_2a_{}x{}", 768, (5, 5), 1, "VALID", stddev=0.01),
    Conv("Conv2d_2b_1x1", 0, (1, 1), linear=True, stddev=0.001),
)
# The mean over the whole feature map, as slim has it with ``global_pool=True``, and Keras. slim's
# default, 8x8, is the same up to 330 pixels; beyond them it leaves more than one position.
TOP_POOL = Pool("AvgPool_1a_{}x{}", "avg", (1 << 16, 1 << 16), 1, "VALID")
# Scopes of what depends on the classes: the last convolutions of both heads.
CLASSIFIERS = (f"{SCOPE}/Logits/Conv2d_1c_1x1/", f"{SCOPE}/{AUX_END_POINT}/Conv2d_2b_1x1/")
TOP_CONV = Conv("Conv2d_1c_1x1", 0, (1, 1), linear=True)


# The smallest and the largest image side. Below the smallest no feature map is left. The largest is
# ours: one image takes up to 2 GB and 50 times as long as one of 299.
IMAGE_SIZES = (75, 2048)
# The aux head leaves one position as long as its pool leaves no more than 5x5.
AUX_IMAGE_SIZES = (107, 346)


@dataclass(frozen=True)
class Graph:
    """One member of the InceptionV3 family: what slim's arguments choose.

    ``classes`` 0 leaves the classifier out (slim's ``num_classes=None``): features only.
    ``depth_multiplier`` scales every convolution's filters, never below ``min_depth``.
    ``activation`` makes probabilities of logits: softmax over the classes, which add up to one, or
    the sigmoid of each, where any number of classes can be likely, or none.

    Raises:
        UsageError: a value for which slim has no network.
    """

    image_size: int = 299
    classes: int = 1001
    depth_multiplier: float = 1.0
    min_depth: int = 16
    aux: bool = True
    activation: Activation = "softmax"

    def __post_init__(self) -> None:
        if not 0 < self.depth_multiplier < 1000:
            raise UsageError(
                f"depth multiplier {self.depth_multiplier} is not greater than 0 (and below 1000)"
            )
        if self.classes < 0:
            raise UsageError(f"{self.classes} classes; expected 0 (features only) or more")
        if self.min_depth < 1:
            raise UsageError(f"min depth {self.min_depth}; expected 1 or more")
        if self.activation not in ACTIVATIONS:
            raise UsageError(f"activation {self.activation!r}; expected {' or '.join(ACTIVATIONS)}")
        if self.classes == 1 and self.activation == "softmax":
            raise UsageError(
                "1 class, and a softmax of one output is 1 for every picture; expected sigmoid"
            )
        if self.classes == 0 and self.aux:
            object.__setattr__(self, "aux", False)
        smallest, largest = AUX_IMAGE_SIZES if self.aux else IMAGE_SIZES
        if not smallest <= self.image_size <= largest:
            found = f"image size {self.image_size}; expected {smallest} to {largest}"
            other = "with the aux head; without it {} to {}".format(*IMAGE_SIZES)
            raise UsageError(f"{found} {other if self.aux else 'without the aux head'}")

    def depth(self, filters: int) -> int:
        """slim's ``depth(d)``: filters after the depth multiplier."""
        return max(int(filters * self.depth_multiplier), self.min_depth)

    @property
    def end_points(self) -> tuple[str, ...]:
        """Names of all end points, in slim's order."""
        base = (*(layer.scope for layer in STEM), *MIXED)
        aux = (AUX_END_POINT,) if self.aux else ()
        return (*base, *aux, *(TOP_END_POINTS if self.classes else TOP_END_POINTS[:1]))


T = TypeVar("T")


class Ops(Protocol[T]):
    """What the walk asks for at each layer; ``x`` is a feature map ``[N, H, W, C]``.

    A layer arrives resolved: full scope, final filters and kernel.
    """

    def size(self, x: T) -> tuple[int, int]:
        """Height and width."""

    def conv(self, x: T, layer: Conv) -> T:
        """Convolution with what follows it (see `Conv`)."""

    def pool(self, x: T, layer: Pool) -> T:
        """Max or average pooling."""

    def concat(self, xs: Sequence[T]) -> T:
        """Concatenation of the channels."""

    def dropout(self, x: T, keep_probability: float) -> T:
        """Dropout; the identity at inference."""

    def squeeze(self, x: T) -> T:
        """``[N, 1, 1, C]`` to ``[N, C]``."""

    def activate(self, x: T, activation: Activation) -> T:
        """Probabilities of logits ``[N, classes]``."""


def walk(graph: Graph, images: T, ops: Ops[T], *, last: str | None = None) -> dict[str, T]:
    """Runs ``images`` through the graph.

    Args:
        graph: which member of the family.
        images: ``[N, image_size, image_size, 3]`` in [-1, 1], in whatever form ``ops`` handles.
        ops: what each layer does.
        last: the end point to stop at; None runs to the end.

    Returns:
        End point name to value, in slim's order, up to ``last``.

    Raises:
        UsageError: ``last`` is no end point of this graph.
    """
    if last is not None and last not in graph.end_points:
        raise UsageError(f"unknown end point {last!r}; known: {', '.join(graph.end_points)}")
    ends: dict[str, T] = {}
    for name, value in _steps(graph, images, ops):
        ends[name] = value
        if name == last:
            break
    return ends


def _steps(graph: Graph, images: T, ops: Ops[T]) -> Iterator[tuple[str, T]]:
    """Yields each end point's name and value; lazily, so that `walk` can stop anywhere."""
    net = images
    for stem_layer in STEM:
        net = _apply(graph, net, stem_layer, SCOPE, ops)
        yield stem_layer.scope, net
    aux_input = net
    for name, branches in MIXED.items():
        outputs = []
        for number, branch in enumerate(branches):
            x = net
            for layer in branch:
                x = _apply(graph, x, layer, f"{SCOPE}/{name}/Branch_{number}", ops)
            outputs.append(x)
        net = ops.concat(outputs)
        if name == AUX_INPUT:
            aux_input = net
        yield name, net

    if graph.aux:
        x = aux_input
        for aux_layer in AUX:
            x = _apply(graph, x, aux_layer, f"{SCOPE}/{AUX_END_POINT}", ops)
        yield AUX_END_POINT, ops.squeeze(x)

    net = _apply(graph, net, TOP_POOL, f"{SCOPE}/Logits", ops)
    net = ops.dropout(net, DROPOUT_KEEP_PROBABILITY)
    yield "PreLogits", net
    if graph.classes:
        logits = ops.squeeze(_apply(graph, net, TOP_CONV, f"{SCOPE}/Logits", ops))
        yield "Logits", logits
        yield "Predictions", ops.activate(logits, graph.activation)


def _apply(graph: Graph, x: T, layer: Layer, scope: str, ops: Ops[T]) -> T:
    if isinstance(layer, Split):
        return ops.concat([_apply(graph, x, conv, scope, ops) for conv in layer.convs])
    kernel = layer.kernel
    if "{}" in layer.scope:
        height, width = ops.size(x)
        kernel = (min(kernel[0], height), min(kernel[1], width))
    scope = f"{scope}/{layer.scope.format(*kernel)}"
    if isinstance(layer, Pool):
        return ops.pool(x, layer._replace(scope=scope, kernel=kernel))
    filters = graph.depth(layer.filters) if layer.filters else graph.classes
    return ops.conv(x, layer._replace(scope=scope, kernel=kernel, filters=filters))
