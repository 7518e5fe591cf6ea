"""``inceptioncli features``."""

from __future__ import annotations

from pathlib import Path

import click

from inceptioncli.choices import DTYPES, POOLS
from inceptioncli.cli.batch import batch_options, work_through
from inceptioncli.cli.options import (
    GraphOptions,
    NamedInputs,
    debug_option,
    graph_options,
    input_options,
)
from inceptioncli.runs.values import Batch


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
    named: NamedInputs,
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
    after any interruption. A finished folder keeps its end points and gets those that it lacks.

    Exit codes: as of `inceptioncli classify`.
    """
    inputs = named.open()
    with graph.load(inputs, None if batch.overwrite else output) as classifier:
        run = classifier.run_features(
            inputs, output, end_points=end_point, pool=pool, dtype=dtype, batch=batch
        )
        return work_through(run, inputs, batch, output=str(output))
