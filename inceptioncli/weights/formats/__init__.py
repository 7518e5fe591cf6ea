"""Weight files of every known layout, read into one form: {slim variable: array}.

Models are data: arrays are taken by name and checked against the architecture's table, and
nothing in a file is ever executed.
"""

from __future__ import annotations

import glob
import math
import struct
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from inceptioncli.architecture import BATCH_NORM_EPSILON, Activation, Graph
from inceptioncli.errors import WeightsError
from inceptioncli.summary import Shape, convolutions, variables
from inceptioncli.weights.folding import UNSCALED, called, fold_input_scale, without_gamma
from inceptioncli.weights.formats.found import GZIP_MAGIC, Found, FoundVariables, graph_of, reason
from inceptioncli.weights.model import Model, Weights
from inceptioncli.weights.registry import Layout

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KNOWN_LAYOUTS = (
    "a Keras InceptionV3 .keras, .h5 or .weights.h5, a slim checkpoint, a frozen graph .pb "
    "(or a .tar.gz with one of the two), or a .safetensors made by inceptioncli"
)

# Twice as many as InceptionV3 has take 256 MB. More of them must be in the file, of which float16
# packed by gzip takes a byte or two for each.
_FREE_VALUES = 1 << 26
_VALUES_PER_BYTE = 4

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ZIP_MAGIC = b"PK\x03\x04"
# The last eight bytes of a LevelDB table: V1 checkpoints and V2 index files are such tables.
_TABLE_MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)


def files_of(path: Path) -> tuple[Path, ...]:
    """The files that make up the weights at ``path``: one, or a V2 checkpoint's index and shards.

    Raises:
        WeightsError: there is nothing that can be read.
    """
    from inceptioncli.weights.formats.checkpoint import checkpoint_prefix

    prefix = checkpoint_prefix(path)
    if prefix is not None:
        shards = sorted(prefix.parent.glob(f"{glob.escape(prefix.name)}.data-*-of-*"))
        if not shards:
            raise WeightsError(f"{prefix}.index has no {prefix.name}.data-00000-of-00001 beside it")
        return (prefix.with_name(f"{prefix.name}.index"), *shards)
    if path.is_dir():
        raise WeightsError(f"{path} is a folder; expected {KNOWN_LAYOUTS}")
    try:
        with path.open("rb"):
            return (path,)
    except OSError as error:
        raise WeightsError(f"{path}: cannot read weights: {error.strerror}") from error


def identify(path: Path) -> Layout:
    """Tells the layout of the file (or checkpoint prefix) from its content.

    Raises:
        WeightsError: it is none that we know.
    """
    first = files_of(path)[0]
    size = first.stat().st_size
    with first.open("rb") as file:
        head = file.read(16)
        file.seek(max(0, size - len(_TABLE_MAGIC)))
        tail = file.read()
    if head.startswith(_HDF5_MAGIC):
        return "keras"
    if tail == _TABLE_MAGIC:
        return "slim-checkpoint"
    if head.startswith(GZIP_MAGIC):
        from inceptioncli.weights.formats.archive import archived_layout

        return archived_layout(path)
    if len(head) > 8 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] <= size - 8:
        return "safetensors"
    # A GraphDef is a run of field 1 (node, length-delimited); it has no magic number.
    if head.startswith(b"\n"):
        return "slim-frozen"
    what = "an empty file" if size == 0 else "of no layout that is known here"
    if head.startswith(_ZIP_MAGIC):
        from inceptioncli.weights.formats.keras_archive import CONFIG, WEIGHTS, is_keras_archive

        if is_keras_archive(path):
            return "keras-archive"
        what = f"a zip archive without {CONFIG} and {WEIGHTS}, which a .keras has (PyTorch?)"
    raise WeightsError(f"{path} is {what}; expected {KNOWN_LAYOUTS}")


def read(
    path: Path,
    *,
    source_sha256: str = "",
    activation: Activation | None = None,
    image_size: int | None = None,
) -> Weights:
    """Reads weights of any known layout.

    Args:
        path: a file, or the prefix of a V2 checkpoint.
        source_sha256: hash of the file, for the model's provenance.
        activation: of the classifier, where the file can't tell; None for softmax.
        image_size: side of the input, where the file can't tell; None for 299.

    Raises:
        UsageError: the file can tell, and says otherwise; or no graph is like this.
        WeightsError: unreadable, of an unknown layout, or with a variable that is missing, of the
            wrong shape, or not finite. The message names the file and the variable.
    """
    with _open(identify(path), path) as found:
        graph = graph_of(found, path, activation, image_size)
        model = found.model or _default_model(graph, found, path, source_sha256)
        arrays = _checked_arrays(found.variables, model.graph, path)
        return Weights(model, _as_ours(arrays, found, model.graph, path))


def _open(layout: Layout, path: Path) -> AbstractContextManager[Found]:
    """Opens a file with its layout's reader, whose imports are heavy and wait until then."""
    match layout:
        case "keras":
            from inceptioncli.weights.formats.keras_h5 import open_keras

            return open_keras(path)
        case "keras-archive":
            from inceptioncli.weights.formats.keras_archive import open_keras_archive

            return open_keras_archive(path)
        case "slim-checkpoint":
            from inceptioncli.weights.formats.checkpoint import open_checkpoint

            return open_checkpoint(path)
        case "slim-frozen":
            from inceptioncli.weights.formats.frozen import open_frozen_graph

            return open_frozen_graph(path)
        case "safetensors":
            from inceptioncli.weights.formats.own import open_safetensors

            return open_safetensors(path)


def _default_model(graph: Graph, found: Found, path: Path, source_sha256: str) -> Model:
    return Model(
        graph=graph,
        label_offset=1 if graph.classes == 1001 else 0,
        source=path.name,
        source_sha256=source_sha256,
        input_scale=None if found.input_scale is None else called(found.input_scale),
        features_only=found.features_only,
    )


def _checked_arrays(
    found: FoundVariables, graph: Graph, path: Path
) -> Mapping[str, NDArray[np.float32]]:
    import numpy as np

    expected = variables(graph)
    gammas = {
        name: expected[f"{scope}/beta"]
        for scope in _batch_norms(graph)
        if (name := f"{scope}/gamma") in found
    }
    missing = [name for name in expected if name not in found]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise WeightsError(
            f"{path}: variable {missing[0]}{more} is missing; "
            f"expected all {len(expected)} variables of InceptionV3"
        )
    expected |= gammas
    for name, shape in expected.items():
        if found[name].shape != shape:
            raise WeightsError(
                f"{path}: {_called(name, found)} has shape {_show(found[name].shape)}; "
                f"expected {_show(shape)}"
            )
    _check_memory(expected, path)
    arrays = {}
    for name in expected:
        try:
            stored = found[name].read()
        except Exception as error:  # Each library has its own exceptions for damage.
            raise WeightsError(
                f"{path}: {_called(name, found)} can't be read; the file is damaged "
                f"({reason(error)})"
            ) from error
        if stored.dtype.kind != "f" and stored.dtype.name != "bfloat16":
            raise WeightsError(
                f"{path}: {_called(name, found)} is of {stored.dtype}; expected an array of floats"
            )
        with np.errstate(all="ignore"):  # Looked for below, with a name.
            array = np.asarray(stored, dtype=np.float32)
        _check_finite(array, name, found, path)
        if name.endswith("moving_variance") and (array < 0).any():
            raise WeightsError(
                f"{path}: {_called(name, found)} holds negative variances; the file is damaged"
            )
        arrays[name] = array
    return arrays


def _check_memory(shapes: Mapping[str, Shape], path: Path) -> None:
    """Raises WeightsError for a small file of a huge network.

    In some layouts one value can stand for many.
    """
    values = sum(math.prod(shape) for shape in shapes.values())
    size = sum(file.stat().st_size for file in files_of(path))
    if values > max(_FREE_VALUES, _VALUES_PER_BYTE * size):
        raise WeightsError(
            f"{path}: {values:,} values in a file of {size:,} bytes; expected one that holds them"
        )


def _as_ours(
    arrays: Mapping[str, NDArray[np.float32]], found: Found, graph: Graph, path: Path
) -> Mapping[str, NDArray[np.float32]]:
    """The arrays with all folded into them that the file's network has and ours hasn't."""
    import numpy as np

    folded = arrays
    with np.errstate(all="ignore"):  # Looked for below, with a name.
        for scope in _batch_norms(graph):
            epsilon = found.epsilons.get(scope, BATCH_NORM_EPSILON)
            if f"{scope}/gamma" in arrays or epsilon != BATCH_NORM_EPSILON:
                folded = without_gamma(folded, scope, epsilon)
        if found.input_scale is not None and called(found.input_scale) != UNSCALED:
            folded = fold_input_scale(folded, found.input_scale)
    for name, array in folded.items():
        if array is not arrays[name]:
            _check_finite(array, name, found.variables, path)
    return folded


def _batch_norms(graph: Graph) -> list[str]:
    return [f"{conv.scope}/BatchNorm" for conv in convolutions(graph) if not conv.linear]


def _check_finite(array: NDArray[np.float32], name: str, found: FoundVariables, path: Path) -> None:
    import numpy as np

    if not np.isfinite(array).all():
        raise WeightsError(
            f"{path}: {_called(name, found)} holds NaN or infinite values; "
            "the file is damaged or its training diverged"
        )


def _called(name: str, found: FoundVariables) -> str:
    origin = found[name].origin
    return name if origin == name else f"{origin} ({name})"


def _show(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "scalar"
