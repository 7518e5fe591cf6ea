"""slim's frozen graphs, plain or inside their ``.tar.gz``: their constants are the variables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from inceptioncli.weights.formats import graphdef
from inceptioncli.weights.formats.archive import frozen_graph, is_archive
from inceptioncli.weights.formats.found import Found, Variable, damaged, is_slim_variable

# Protocol buffers can't be larger.
_LARGEST_BYTES = 1 << 31


@contextmanager
def open_frozen_graph(path: Path) -> Iterator[Found]:
    """Opens a frozen graph; nothing of it is run.

    Raises:
        WeightsError: damaged.
    """
    try:
        constants = graphdef.constants(memoryview(_content(path)))
    except ValueError as error:
        raise damaged(path, "frozen graph", error) from error
    yield Found(
        {
            name: Variable(name, constant.shape, partial(graphdef.array, constant))
            for name, constant in constants.items()
            if is_slim_variable(name)
        }
    )


def _content(path: Path) -> bytes:
    """The graph's bytes. All arrays will be views of them, so they are the only copy."""
    if is_archive(path):
        return frozen_graph(path)
    if path.stat().st_size > _LARGEST_BYTES:
        raise ValueError(f"{path.stat().st_size:,} bytes are more than a graph can have")
    return path.read_bytes()
