"""Features: activations of end points, pooled or not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from inceptioncli.architecture import Graph
from inceptioncli.choices import DTYPES, POOLS, nearest
from inceptioncli.errors import ImageError, UsageError
from inceptioncli.products.base import Outcome
from inceptioncli.records import Record
from inceptioncli.summary import Shape, summarize
from inceptioncli.terminal import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Features(NamedTuple):
    """End points of which a record has a row; made by `features_of`.

    Attributes:
        shapes: end point name to the shape of its row.
        pool: over the positions: ``none``, ``avg`` or ``max``.
        dtype: ``float32`` or ``float16``.
    """

    shapes: Mapping[str, Shape]
    pool: str = "none"
    dtype: str = "float32"

    @property
    def end_points(self) -> tuple[str, ...]:
        return tuple(self.shapes)

    def only(self, names: Iterable[str]) -> Features:
        """The same of some of the end points."""
        return self._replace(shapes={name: self.shapes[name] for name in names})

    @property
    def upright(self) -> None:
        return None

    @property
    def nbytes(self) -> int:
        return 4 * sum(map(math.prod, self.shapes.values()))  # of float32; others are smaller

    def add(self, record: Record, outcome: Outcome) -> Record:
        """See `Product`.

        Raises:
            UsageError: values that do not fit ``dtype``.
        """
        rows = {
            name: self._cast(name, _pooled(outcome.end_points[name], self.pool).reshape(shape))
            for name, shape in self.shapes.items()
        }
        return record._replace(features=rows)

    def _cast(self, name: str, values: NDArray[np.float32]) -> NDArray[np.floating]:
        import numpy as np

        dtype: np.dtype[np.floating] = np.dtype(self.dtype)
        with np.errstate(over="ignore"):
            cast = values.astype(dtype)
        if not np.isfinite(cast).all() and np.isfinite(values).all():
            raise UsageError(
                f"{name}: the value {values.flat[np.abs(values).argmax()]:g} does not fit {dtype} "
                f"(at most {np.finfo(dtype).max:g}); use --dtype float32"
            )
        return cast


def features_of(
    graph: Graph, end_points: Iterable[str], pool: str = "none", dtype: str = "float32"
) -> Features:
    """The features of a graph's end points, each once.

    Raises:
        UsageError: an unknown end point, pool or type.
    """
    names = tuple(dict.fromkeys(end_points))
    for name in names:
        if name not in graph.end_points:
            near = nearest(name, graph.end_points)
            hint = f"did you mean {near}? " if near else ""
            raise UsageError(
                f"unknown end point {name!r}; {hint}known: {', '.join(graph.end_points)}"
            )
    if pool not in POOLS:
        raise UsageError(f"unknown pool {pool!r}; expected {', '.join(POOLS)}")
    if dtype not in DTYPES:
        raise UsageError(f"unknown dtype {dtype!r}; expected {' or '.join(DTYPES)}")
    shapes = {end.name: end.shape for end in summarize(graph).end_points} if names else {}
    return Features({name: _row_shape(shapes[name], pool) for name in names}, pool, dtype)


def stacked(
    records: Iterable[Record | None], features: Features
) -> dict[str, NDArray[np.floating]]:
    """The rows of records, in memory: ``[rows, *shape]`` of each end point.

    Raises:
        ImageError: a record is a failure; rows could no longer be told apart.
    """
    import numpy as np

    rows: dict[str, list[NDArray[np.floating]]] = {name: [] for name in features.shapes}
    for record in records:
        if record is None:
            continue
        if record.failure is not None:
            code, message = record.failure
            raise ImageError(code, f"{printable(record.path)}: {message}")
        for name, values in record.features.items():
            rows[name].append(values)
    return {
        name: np.array(rows[name], features.dtype).reshape(-1, *shape)
        for name, shape in features.shapes.items()
    }


def _row_shape(shape: Shape, pool: str) -> Shape:
    """An end point's shape ``[*shape]`` as a row of features: pooled, without positions of 1x1."""
    return shape[2:] if len(shape) == 3 and (pool != "none" or shape[:2] == (1, 1)) else shape


def _pooled(values: NDArray[np.float32], pool: str) -> NDArray[np.float32]:
    """``[H, W, C]`` to ``[C]`` if it is to be pooled; all else as it is."""
    import numpy as np

    if values.ndim == 3 and pool == "max":
        values = np.amax(values, axis=(0, 1))
    elif values.ndim == 3 and pool == "avg":
        values = np.mean(values, axis=(0, 1), dtype=np.float32)
    return values
