"""Stores of predictions and features, each with the fingerprint of the run that writes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inceptioncli.architecture import Graph
from inceptioncli.engine.base import Ready
from inceptioncli.errors import UsageError
from inceptioncli.files import working_folder
from inceptioncli.images.inputs import Inputs
from inceptioncli.images.picture import Decoding
from inceptioncli.labels import Label
from inceptioncli.output.base import Output, Unkept
from inceptioncli.pipeline import Pipeline
from inceptioncli.products.features import Features
from inceptioncli.products.predictions import Predictions
from inceptioncli.runs.run import Run
from inceptioncli.runs.values import Batch
from inceptioncli.version import RESULTS_VERSION, __version__

if TYPE_CHECKING:
    from inceptioncli.output.store import Store
    from inceptioncli.output.targets import Target


def check_outputs(
    batch: Batch,
    *,
    output: Path | None,
    format: str | None,
    dumps: bool,
    folder: Path | None,
) -> None:
    """Raises UsageError where options of `open_predictions` don't go together.

    They are end points (``dumps``) without a folder or the reverse, what there is to be done with
    an output where there is none, or a format that the file can't have, or nothing but a file.
    """
    from inceptioncli.output.formats import STREAM_FORMATS
    from inceptioncli.output.targets import file_format

    if dumps != (folder is not None):
        raise UsageError("--dump END_POINT and --dump-dir DIR go together")
    if output is not None:
        file_format(output, format)
        return
    for name in ("retry_errors", "retry_changed"):
        if getattr(batch, name):
            raise UsageError(f"--{name.replace('_', '-')} goes with --output")
    if batch.overwrite and folder is None:
        raise UsageError("--overwrite goes with --output or --dump-dir")
    if format is not None and format not in STREAM_FORMATS:
        raise UsageError(f"-f {format} goes with --output")


def open_predictions(
    provenance: Mapping[str, Any],
    inputs: Inputs,
    predictions: Predictions,
    features: Features,
    batch: Batch,
    *,
    output: Path | None,
    format: str | None,
    folder: Path | None,
) -> Output:
    """Where predictions go, and features of the same pass.

    Args:
        provenance: what results depend on (see `provenance`).
        inputs: what is run.
        predictions: which predictions.
        features: which features; none without ``folder``, which is for their arrays.
        batch: what becomes of what is there.
        output: a file; None for records that nobody keeps.
        format: of the file; None for what its suffix says.
        folder: for the arrays.

    Raises:
        UsageError: as of `check_outputs`.
        OutputError: they can't be written.
        ForeignOutputError: they belong to another run, or another process is writing them.
    """
    dumps = bool(features.shapes)
    check_outputs(batch, output=output, format=format, dumps=dumps, folder=folder)
    if output is None and folder is None:
        return Unkept()
    from inceptioncli.output.targets import Arrays, Table, file_format

    targets: list[Target] = []  # The note of the first is the one that counts.
    wanted = None
    if output is not None:
        wanted = file_format(output, format)
        targets.append(Table.at(output, wanted, min(predictions.top_k, len(predictions.labels))))
    if folder is not None:
        targets.append(Arrays(folder, features.shapes, features.dtype))
    options = {
        "command": "classify",
        "top_k": predictions.top_k,
        "threshold": predictions.threshold,
        "format": wanted.name if wanted else None,
        "dump": features.end_points,
        # The arrays belong to one table.
        "output": str(output) if output and folder else None,
        "dump_dir": str(folder) if folder else None,
    }
    return _store(provenance, options, inputs, targets, batch, again=output is None)


def open_features(
    provenance: Mapping[str, Any], inputs: Inputs, features: Features, batch: Batch, folder: Path
) -> Store:
    """Where features alone go: a folder of arrays; see `open_predictions`.

    What a finished folder lacks of them is its ``addition``.
    """
    from inceptioncli.output.targets import Arrays

    options = {
        "command": "features",
        "end_points": features.end_points,
        "pool": features.pool,
        "dtype": features.dtype,
    }
    arrays = Arrays(folder, features.shapes, features.dtype)
    return _store(provenance, options, inputs, [arrays], batch)


def with_kept(end_points: Iterable[str], folder: Path, graph: Graph, batch: Batch) -> list[str]:
    """End points, behind those that a folder of features has and keeps when others are added."""
    from inceptioncli.output.places import note_of

    note = None if batch.overwrite else note_of(folder)
    kept = note.get("options", {}).get("end_points", ()) if note else ()
    # What the graph does not have is another graph's, and the output will say so.
    return [*(name for name in kept if name in graph.end_points), *end_points]


def addition_to(store: Store, pipeline: Pipeline, features: Features, batch: Batch) -> Run | None:
    """The run that gives a folder's rows the end points that it lacks; None if it has them all."""
    addition = store.addition
    if addition is None:
        return None
    rows = Inputs((), handed_over=addition.paths())
    return Run(rows, pipeline, (features.only(addition.names),), addition, batch)


def recorded_engine(output: Path) -> str | None:
    """The engine that an output was begun with; None if nobody has begun it."""
    from inceptioncli.output.places import note_of

    note = note_of(output)
    return note.get("engine") if note else None


def _store(
    provenance: Mapping[str, Any],
    options: Mapping[str, Any],
    inputs: Inputs,
    targets: Sequence[Target],
    batch: Batch,
    *,
    again: bool = False,
) -> Store:
    from inceptioncli.output.store import Store

    store = Store(
        {**provenance, "options": options, **inputs.provenance()},
        *targets,
        overwrite=batch.overwrite,
        again=again,
        retry_errors=batch.retry_errors,
        retry_changed=batch.retry_changed,
    )
    inputs.at_relative = lambda: store.found_from(working_folder())
    return store


def provenance(ready: Ready, decoding: Decoding, labels: tuple[Label, ...]) -> dict[str, Any]:
    """What results depend on, apart from options and images, as JSON can hold it."""
    text = json.dumps([*labels]).encode()
    side = decoding.size
    activation = ready.model.graph.activation
    return {
        "version": __version__,
        "results_version": RESULTS_VERSION,
        "weights": {"name": ready.weights.given, "sha256": ready.weights.sha256},
        "engine": ready.engine,
        "precision": ready.precision,
        **({} if activation == "softmax" else {"activation": activation}),
        "crop": decoding.crop,
        "decode": "exact" if decoding.exact else "scaled",
        "resize": f"squashed to {side}x{side}, bilinear, antialiased",
        "labels": {"classes": len(labels), "sha256": hashlib.sha256(text).hexdigest()},
    }
