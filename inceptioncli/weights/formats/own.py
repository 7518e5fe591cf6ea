"""Our own layout: a ``.safetensors`` file with slim's names and the whole model in its metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from inceptioncli.errors import InceptionError, WeightsError
from inceptioncli.files import cannot_write, replacing
from inceptioncli.weights.formats.found import Found, Variable, damaged
from inceptioncli.weights.model import Model, Weights

_FLOATS = ("F16", "F32", "F64")


@contextmanager
def open_safetensors(path: Path) -> Iterator[Found]:
    """Opens a file that `write_safetensors` made.

    Raises:
        WeightsError: damaged, or its metadata is not what we write.
    """
    try:
        file: Any = safe_open(path, framework="numpy")
    except (OSError, ValueError, SafetensorError) as error:
        raise damaged(path, "safetensors file", error) from error
    with file:
        try:
            model = Model.from_metadata(file.metadata() or {})
        except KeyError as error:
            raise WeightsError(
                f"{path}: metadata field {error} is missing; expected a file made by "
                "`inceptioncli weights convert` or `inceptioncli train`"
            ) from error
        except (TypeError, ValueError, OverflowError, InceptionError) as error:
            raise WeightsError(f"{path}: wrong metadata ({error})") from error
        names = file.keys()
        yield Found({name: _variable(file, name, path) for name in names}, model)


def _variable(file: Any, name: str, path: Path) -> Variable:
    stored = file.get_slice(name)
    if stored.get_dtype() not in _FLOATS:
        raise WeightsError(
            f"{path}: {name} is of {stored.get_dtype()}; expected one of {', '.join(_FLOATS)}"
        )
    return Variable(name, tuple(stored.get_shape()), partial(file.get_tensor, name))


def write_safetensors(path: Path, weights: Weights, *, dtype: str = "float32") -> None:
    """Writes a whole model as one file, atomically; ``dtype`` is float32 or float16.

    Raises:
        OutputError: the file can't be written.
        WeightsError: a value is too large for float16.
    """
    with np.errstate(over="ignore"):  # Looked for below, with a name.
        arrays = {name: array.astype(dtype) for name, array in weights.arrays.items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise WeightsError(f"{path}: {name} has values too large for {dtype}; use float32")
    write_arrays(path, arrays, weights.model.to_metadata())


def write_arrays(
    path: Path, arrays: Mapping[str, NDArray[Any]], metadata: dict[str, str] | None = None
) -> None:
    """Writes any arrays as a safetensors file, atomically.

    Raises:
        OutputError: the file can't be written.
    """
    with replacing(path) as beside:
        try:
            save_file(dict(arrays), beside, metadata=metadata)
        except SafetensorError as error:  # Its word for a full disk, among others.
            raise cannot_write(path, error) from error
        _sort_metadata(beside)


def _sort_metadata(path: Path) -> None:
    """Puts the metadata in order: safetensors writes them in another one each time.

    The same model has to be the same bytes. A header is JSON after its length in 8 bytes, padded
    with spaces; sorting does not change its length.
    """
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        if "__metadata__" in header:
            header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
            text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
            assert len(text) <= length
            file.seek(8)
            file.write(text.ljust(length))
