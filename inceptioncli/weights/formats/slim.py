"""slim's layouts: V1 and V2 checkpoints and frozen graphs, plain or inside their ``.tar.gz``."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from inceptioncli.architecture import SCOPE
from inceptioncli.errors import WeightsError
from inceptioncli.noise import native_stderr_hidden
from inceptioncli.weights.formats.found import Found, Variable
from inceptioncli.weights.registry import Layout

_ARCHIVED: dict[str, Layout] = {".pb": "slim-frozen", ".ckpt": "slim-checkpoint"}
# The published archives unpack to under 110 MB; this is far above that and far below harm.
_LARGEST_MEMBER_BYTES = 1 << 30
_ARCHIVE_ERRORS = (tarfile.TarError, EOFError, zlib.error, OSError)


def checkpoint_prefix(path: Path) -> Path | None:
    """The prefix of the V2 checkpoint that ``path`` (prefix, index or shard) means, if any."""
    for name in (path.name, path.name.removesuffix(".index"), path.name.rpartition(".data-")[0]):
        if name and path.with_name(f"{name}.index").is_file():
            return path.with_name(name)
    return None


def archived_layout(path: Path) -> Layout:
    """Tells what a ``.tar.gz`` holds.

    Raises:
        WeightsError: damaged, or neither a frozen graph nor a checkpoint in it.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                for part, layout in _ARCHIVED.items():
                    if _is_wanted(member, part):
                        return layout
    except _ARCHIVE_ERRORS as error:
        raise WeightsError(f"{path}: damaged archive ({error})") from error
    raise WeightsError(f"{path}: no frozen graph (.pb) and no checkpoint (.ckpt) in this archive")


@contextmanager
def open_checkpoint(path: Path) -> Iterator[Found]:
    """Opens a checkpoint: a V1 file, a V2 prefix, or an archive with either.

    Raises:
        WeightsError: damaged.
    """
    tf = _tensorflow()
    with _unpacked(path, ".ckpt") as file:
        try:
            reader = tf.train.load_checkpoint(str(checkpoint_prefix(file) or file))
            shapes = reader.get_variable_to_shape_map()
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            raise _damaged(path, "checkpoint", error) from error
        yield Found(
            {
                name: Variable(name, tuple(shape), partial(reader.get_tensor, name))
                for name, shape in shapes.items()
                if _ours(name, path)
            }
        )


@contextmanager
def open_frozen_graph(path: Path) -> Iterator[Found]:
    """Opens a frozen graph: its constants are the variables; nothing of it is run.

    Raises:
        WeightsError: damaged.
    """
    tf = _tensorflow()
    from google.protobuf.message import DecodeError

    graph = tf.compat.v1.GraphDef()
    with _unpacked(path, ".pb") as file:
        try:
            graph.ParseFromString(file.read_bytes())
        except DecodeError as error:
            raise _damaged(path, "frozen graph", error) from error
    tensors = {
        node.name: node.attr["value"].tensor
        for node in graph.node
        if node.op == "Const" and _ours(node.name, path)
    }

    yield Found(
        {
            name: Variable(
                name,
                tuple(side.size for side in tensor.tensor_shape.dim),
                partial(tf.make_ndarray, tensor),
            )
            for name, tensor in tensors.items()
        }
    )


def _tensorflow() -> Any:
    with native_stderr_hidden():
        import tensorflow as tf
    return tf


def _ours(name: str, path: Path) -> bool:
    if not name.startswith(f"{SCOPE}/"):
        return False
    if name.endswith("/BatchNorm/gamma"):
        raise WeightsError(f"{path}: {name} found; InceptionV3's batch norm has no gamma here")
    return True


@contextmanager
def _unpacked(path: Path, part: str) -> Iterator[Path]:
    """The file itself, or for an archive its members with ``part`` in their names, for a while."""
    if not path.is_file() or not tarfile.is_tarfile(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="inceptioncli-") as folder:
        try:
            with tarfile.open(path, "r:gz") as archive:
                for member in archive:
                    # Base names only: a member's folders could lead anywhere.
                    name = Path(member.name).name
                    if not _is_wanted(member, part):
                        continue
                    if member.size > _LARGEST_MEMBER_BYTES:
                        raise WeightsError(f"{path}: {name} in it has {member.size:,} bytes")
                    content = archive.extractfile(member)
                    if content is not None:
                        with content, Path(folder, name).open("wb") as file:
                            shutil.copyfileobj(content, file)
        except _ARCHIVE_ERRORS as error:
            raise WeightsError(f"{path}: damaged archive ({error})") from error
        yield min(Path(folder).iterdir(), key=lambda file: (file.suffix != ".index", file.name))


def _is_wanted(member: tarfile.TarInfo, part: str) -> bool:
    """Whether an archive's member is a graph (``.pb``) or part of a checkpoint (``.ckpt``)."""
    name = Path(member.name).name
    if not member.isfile() or name.startswith("."):  # macOS packs a ._file beside each file
        return False
    return name.endswith(part) if part == ".pb" else part in name


def _damaged(path: Path, what: str, error: Exception) -> WeightsError:
    return WeightsError(f"{path}: damaged {what} ({str(error).splitlines()[0]})")
