"""``inceptioncli features``."""

from __future__ import annotations

from pathlib import Path

import click

from inceptioncli.choices import DTYPES, POOLS
from inceptioncli.cli.batch import Batch, Found, batch_options, continuable, work_through
from inceptioncli.cli.options import (
    GraphOptions,
    Inputs,
    debug_option,
    graph_options,
    input_options,
)


@click.command()
@input_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, readable=False),
    metavar="DIR",
    required=True,
    help="Folder for the arrays. The same command continues it.",
)
@click.option(
    "-e",
    "--end-point",
    multiple=True,
    metavar="END_POINT",
    default=("PreLogits",),
    show_default=True,
    help="End point to write (see `inceptioncli model`); repeatable.",
)
@click.option(
    "--pool",
    type=click.Choice(POOLS),
    default="none",
    show_default=True,
    help="Over the spatial positions: the average, or the largest value of each channel.",
)
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    default="float32",
    show_default=True,
    help="Type of the numbers written.",
)
@batch_options
@graph_options
@debug_option
def features(
    inputs: Inputs,
    output: Path,
    end_point: tuple[str, ...],
    pool: str,
    dtype: str,
    batch: Batch,
    graph: GraphOptions,
) -> int:
    """Write activations of end points to .npy files.

    PATHS are files, folders (searched for images, recursively), or - for one image on standard
    input. DIR/END_POINT.npy holds a row for each image, DIR/index.jsonl tells which row is whose
    and which images failed. Both can be read while they grow, and the same command continues them
    after any interruption.

    Exit codes: as of `inceptioncli classify`.
    """
    inputs.check()

    from inceptioncli.output.store import Store
    from inceptioncli.output.targets import Arrays

    found = Found(inputs, graph.device)
    classifier = graph.load(found.at_least)
    wanted = classifier.feature_options(end_point, pool, dtype)
    options = {"command": "features", **wanted._asdict()}
    store = Store(
        {**classifier.provenance(), "options": options, **inputs.provenance()},
        Arrays(output, classifier.row_shapes(wanted), dtype),
        overwrite=batch.overwrite,
        retry_errors=batch.retry_errors,
    )

    with continuable(store, str(output), batch):
        return work_through(found, classifier, batch, store, ranking=None, features=wanted)
