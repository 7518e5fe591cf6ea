"""The graph in numbers: shapes, variables, parameters and multiply-adds, from a walk with shapes.

Standard library only, so that `inceptioncli model` answers at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from inceptioncli.architecture import Activation, Conv, Graph, Padding, Pool, walk

Shape = tuple[int, ...]


class LayerSummary(NamedTuple):
    """A convolution; ``parameters`` count batch-norm statistics, ``kernel`` is [h, w, in, out]."""

    name: str
    kernel: tuple[int, int, int, int]
    stride: int
    padding: Padding
    output: Shape
    parameters: int
    multiply_adds: int


class EndPointSummary(NamedTuple):
    """An end point, with what the convolutions since the one before it cost."""

    name: str
    shape: Shape
    parameters: int
    multiply_adds: int


class Summary(NamedTuple):
    """A whole graph; end points in slim's order, layers in slim's creation order."""

    graph: Graph
    end_points: tuple[EndPointSummary, ...]
    layers: tuple[LayerSummary, ...]

    @property
    def parameters(self) -> int:
        """All parameters, batch-norm statistics included."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the convolutions, for one image."""
        return sum(layer.multiply_adds for layer in self.layers)


def summarize(graph: Graph) -> Summary:
    """Walks the graph with shapes."""
    ops = _ShapeOps()
    image = _Traced((graph.image_size, graph.image_size, 3))
    ends = walk(graph, image, ops)
    counted = 0
    end_points = []
    for name, value in ends.items():
        since = ops.layers[counted : value.layers]
        counted = max(counted, value.layers)
        end_points.append(
            EndPointSummary(
                name,
                value.shape,
                sum(layer.parameters for layer in since),
                sum(layer.multiply_adds for layer in since),
            )
        )
    return Summary(graph, tuple(end_points), tuple(ops.layers))


def variables(graph: Graph) -> dict[str, Shape]:
    """slim's variables and their shapes, in creation order."""
    shapes: dict[str, Shape] = {}
    for conv, layer in _convolutions(graph):
        shapes[f"{conv.scope}/weights"] = layer.kernel
        for suffix in variable_suffixes(conv):
            shapes[f"{conv.scope}/{suffix}"] = (conv.filters,)
    return shapes


def convolutions(graph: Graph) -> tuple[Conv, ...]:
    """The graph's convolutions, resolved (full scopes, final filters), in creation order."""
    return tuple(conv for conv, _ in _convolutions(graph))


def variable_suffixes(conv: Conv) -> tuple[str, ...]:
    """Names below a convolution's scope of its variables besides ``weights``."""
    if conv.linear:
        return ("biases",)
    return ("BatchNorm/beta", "BatchNorm/moving_mean", "BatchNorm/moving_variance")


def windows(layer: Conv | Pool, height: int, width: int) -> tuple[int, int]:
    """Height and width of what a layer makes of a feature map: so many windows fit on it."""

    def count(side: int, window: int) -> int:
        if layer.padding == "SAME":
            return math.ceil(side / layer.stride)
        return (side - window) // layer.stride + 1

    return count(height, layer.kernel[0]), count(width, layer.kernel[1])


def _convolutions(graph: Graph) -> Sequence[tuple[Conv, LayerSummary]]:
    ops = _ShapeOps()
    walk(graph, _Traced((graph.image_size, graph.image_size, 3)), ops)
    return list(zip(ops.convs, ops.layers, strict=True))


class _Traced(NamedTuple):
    """A feature map's shape, without the batch, and how many layers had been met when it came."""

    shape: Shape
    layers: int = 0


@dataclass
class _ShapeOps:
    convs: list[Conv] = field(default_factory=list)
    layers: list[LayerSummary] = field(default_factory=list)

    def size(self, x: _Traced) -> tuple[int, int]:
        return x.shape[0], x.shape[1]

    def conv(self, x: _Traced, layer: Conv) -> _Traced:
        output = (*windows(layer, *x.shape[:2]), layer.filters)
        kernel = (*layer.kernel, x.shape[2], layer.filters)
        weights = math.prod(kernel)
        self.convs.append(layer)
        self.layers.append(
            LayerSummary(
                name=layer.scope,
                kernel=kernel,
                stride=layer.stride,
                padding=layer.padding,
                output=output,
                parameters=weights + layer.filters * len(variable_suffixes(layer)),
                multiply_adds=weights * output[0] * output[1],
            )
        )
        return _Traced(output, len(self.layers))

    def pool(self, x: _Traced, layer: Pool) -> _Traced:
        return _Traced((*windows(layer, *x.shape[:2]), x.shape[2]), len(self.layers))

    def concat(self, xs: Sequence[_Traced]) -> _Traced:
        channels = sum(x.shape[2] for x in xs)
        return _Traced((*xs[0].shape[:2], channels), len(self.layers))

    def dropout(self, x: _Traced, keep_probability: float) -> _Traced:
        return x

    def squeeze(self, x: _Traced) -> _Traced:
        return _Traced(x.shape[2:], x.layers)

    def activate(self, x: _Traced, activation: Activation) -> _Traced:
        return x
