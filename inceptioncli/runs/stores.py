"""Stores of predictions and features, each with the fingerprint of the run that writes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inceptioncli.engine.base import Ready
from inceptioncli.errors import UsageError
from inceptioncli.images.inputs import Inputs
from inceptioncli.images.picture import Decoding
from inceptioncli.labels import Label
from inceptioncli.output.base import Output, Unkept
from inceptioncli.products.features import Features
from inceptioncli.products.predictions import Predictions
from inceptioncli.runs.values import Batch
from inceptioncli.version import __version__


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
        UsageError: end points without a folder, a folder without end points, or a format that files
            don't have.
        OutputError: they can't be written.
        ForeignOutputError: they belong to another run, or another process is writing them.
    """
    if bool(features.shapes) != (folder is not None):
        raise UsageError("end points to dump and a folder for them go together")
    if output is None and folder is None:
        return Unkept()
    from inceptioncli.output.store import Store
    from inceptioncli.output.targets import Arrays, Table, Target, file_format

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
    return Store(
        {**provenance, "options": options, **inputs.provenance()},
        *targets,
        overwrite=batch.overwrite,
        again=output is None,
        retry_errors=batch.retry_errors,
    )


def open_features(
    provenance: Mapping[str, Any], inputs: Inputs, features: Features, batch: Batch, folder: Path
) -> Output:
    """Where features alone go: a folder of arrays; see `open_predictions`."""
    from inceptioncli.output.store import Store
    from inceptioncli.output.targets import Arrays

    options = {
        "command": "features",
        "end_points": features.end_points,
        "pool": features.pool,
        "dtype": features.dtype,
    }
    return Store(
        {**provenance, "options": options, **inputs.provenance()},
        Arrays(folder, features.shapes, features.dtype),
        overwrite=batch.overwrite,
        retry_errors=batch.retry_errors,
    )


def provenance(ready: Ready, decoding: Decoding, labels: tuple[Label, ...]) -> dict[str, Any]:
    """What results depend on, apart from options and images, as JSON can hold it."""
    text = json.dumps([*labels]).encode()
    side = decoding.size
    activation = ready.model.graph.activation
    return {
        "version": __version__,
        "weights": {"name": ready.weights.given, "sha256": ready.weights.sha256},
        "engine": ready.engine,
        "precision": ready.precision,
        **({} if activation == "softmax" else {"activation": activation}),
        "crop": decoding.crop,
        "decode": "exact" if decoding.exact else "scaled",
        "resize": f"squashed to {side}x{side}, bilinear, antialiased",
        "labels": {"classes": len(labels), "sha256": hashlib.sha256(text).hexdigest()},
    }
