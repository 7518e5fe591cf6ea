"""slim's checkpoints, V1 and V2, plain or inside their ``.tar.gz``; TensorFlow reads them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from inceptioncli.errors import WeightsError
from inceptioncli.noise import native_stderr_hidden
from inceptioncli.weights.formats.archive import is_archive, unpack_checkpoint
from inceptioncli.weights.formats.found import Found, Variable, damaged, is_slim_variable


def checkpoint_prefix(path: Path) -> Path | None:
    """The prefix of the V2 checkpoint that ``path`` (prefix, index or shard) means, if any."""
    for name in (path.name, path.name.removesuffix(".index"), path.name.rpartition(".data-")[0]):
        if name and path.with_name(f"{name}.index").is_file():
            return path.with_name(name)
    return None


@contextmanager
def open_checkpoint(path: Path) -> Iterator[Found]:
    """Opens a checkpoint: a V1 file, a V2 prefix, or an archive with either.

    Raises:
        WeightsError: damaged, or there is no TensorFlow.
    """
    tf = _tensorflow(path)
    with _unpacked(path) as file:
        try:
            reader = tf.train.load_checkpoint(str(checkpoint_prefix(file) or file))
            shapes = reader.get_variable_to_shape_map()
        except Exception as error:  # Of any kind, for damage.
            raise damaged(path, "checkpoint", error) from error
        yield Found(
            {
                name: Variable(name, tuple(shape), partial(reader.get_tensor, name))
                for name, shape in shapes.items()
                if is_slim_variable(name)
            }
        )


def _tensorflow(path: Path) -> Any:
    try:
        with native_stderr_hidden():
            import tensorflow as tf
    except ImportError as error:
        raise WeightsError(
            f"{path}: a checkpoint is read with TensorFlow, which can't be imported here; "
            "`pip install tensorflow`, or convert the weights where there is one, with "
            "`inceptioncli weights convert`"
        ) from error
    return tf


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """The file itself; of an archive the checkpoint in it, for a while."""
    if not is_archive(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="inceptioncli-") as folder:
        yield unpack_checkpoint(path, Path(folder))
