"""The LiteRT runtime: files opened as its ``CompiledModel`` and closed, without its chatter."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from inceptioncli.noise import native_stderr_hidden


def open_model(path: Path, threads: int, packed: Path | None) -> Any:
    """A LiteRT file as a ``CompiledModel``; to be closed with `close_model`.

    Args:
        path: the file.
        threads: so many CPU threads.
        packed: file with the weights as XNNPACK packs them; written if it holds something else.
            Without one every opening packs them anew, in memory of its own.
    """
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.options import CpuOptions, Options

    cpu = CpuOptions(
        num_threads=threads,
        xnnpack_weight_cache_path="" if packed is None else os.fspath(packed),
    )
    with native_stderr_hidden():  # It tells of all accelerators that it finds or doesn't.
        return CompiledModel.from_file(os.fspath(path), options=Options(cpu_options=cpu))


def import_runtime() -> None:
    """Imports LiteRT ahead of its first use, which takes a tenth of a second."""
    import ai_edge_litert.compiled_model
    import ai_edge_litert.options  # noqa: F401


def close_model(model: Any) -> None:
    """Gives back what a ``CompiledModel`` holds, and its environment, which nobody shares."""
    with native_stderr_hidden():
        model.close()
        model.environment.close()
