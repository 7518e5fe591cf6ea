"""``inceptioncli classify``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inceptioncli.cli.batch import Batch, Found, batch_options, continuable, work_through
from inceptioncli.cli.options import (
    GraphOptions,
    Inputs,
    debug_option,
    graph_options,
    input_options,
)
from inceptioncli.output.formats import FILE_FORMATS, FORMATS, STREAM_FORMATS, stream_lines
from inceptioncli.records import Record
from inceptioncli.terminal import printable

if TYPE_CHECKING:
    from inceptioncli.output.base import Output
    from inceptioncli.output.formats import Format


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


@click.command()
@input_options
@click.option(
    "-k",
    "--top-k",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="So many classes for each image.",
)
@click.option(
    "-t",
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Leave out classes with a lower probability.",
)
@click.option(
    "-f",
    "--format",
    type=click.Choice(tuple(FORMATS)),
    help=f"Format of the results: on standard output {_either(STREAM_FORMATS)}; in a file "
    f"{_either(FILE_FORMATS)}.  [default: text; of a file, what its suffix says]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="File for the results, in place of standard output. The same command continues it.",
)
@click.option(
    "--dump",
    multiple=True,
    metavar="END_POINT",
    help="Write this end point's activations too, in the same pass; repeatable.",
)
@click.option(
    "--dump-dir",
    type=click.Path(path_type=Path, readable=False),
    metavar="DIR",
    help="Folder for what --dump writes, as of `inceptioncli features`.",
)
@batch_options
@graph_options
@debug_option
def classify(
    inputs: Inputs,
    top_k: int,
    threshold: float,
    format: str | None,
    output: Path | None,
    dump: tuple[str, ...],
    dump_dir: Path | None,
    batch: Batch,
    graph: GraphOptions,
) -> int:
    """Print the most probable classes of images, or write them to a file.

    PATHS are files, folders (searched for images, recursively), or - for one image on standard
    input. Results go to standard output, each as soon as it is there, or to a file, which the same
    command continues after any interruption; all else goes to standard error.

    Exit codes: 0 all images classified; 2 usage; 3 some failed; 4 none could be classified;
    5 weights missing or wrong; 6 output or cache can't be written; 7 the output belongs to another
    run; 8 more failures than --max-errors.
    """
    inputs.check()
    _check_outputs(format, output, dump, dump_dir, batch)

    wanted: Format | None = None
    if output is not None:
        from inceptioncli.output.targets import file_format

        wanted = file_format(output, format)
    found = Found(inputs, graph.device)
    classifier = graph.load(found.at_least)
    ranking = classifier.ranking(top_k, threshold)
    features = classifier.feature_options(dump)
    columns = min(top_k, classifier.ready.model.graph.classes)
    options = {
        "command": "classify",
        "top_k": top_k,
        "threshold": threshold,
        "format": wanted.name if wanted else None,
        "dump": features.end_points,
        # The arrays belong to one table.
        "output": str(output) if output and dump_dir else None,
        "dump_dir": str(dump_dir) if dump_dir else None,
    }
    store: Store | None = None
    if output is not None or dump_dir is not None:
        from inceptioncli.output.store import Store
        from inceptioncli.output.targets import Arrays, Table, Target

        targets: list[Target] = []
        if output is not None and wanted is not None:
            targets.append(Table.at(output, wanted, columns))
        if dump_dir is not None:
            shapes = classifier.row_shapes(features)
            targets.append(Arrays(dump_dir, shapes, features.dtype))
        store = Store(
            {**classifier.provenance(), "options": options, **inputs.provenance()},
            *targets,
            overwrite=batch.overwrite,
            again=output is None,
            retry_errors=batch.retry_errors,
        )
    records: Output
    opened: contextlib.AbstractContextManager[object]
    if output is not None and store is not None:
        records, opened = store, continuable(store, str(output), batch)
    else:
        from inceptioncli.output.streams import Shown, StreamWriter

        writer = StreamWriter(sys.stdout.buffer, stream_lines(format or "text", columns))
        records = opened = Shown(store, writer) if store else writer

    def tell(record: Record) -> None:
        if record.failure is not None and output is None and format in (None, "text"):
            code, message = record.failure
            click.echo(f"{printable(record.path)}: {code}: {message}", err=True)

    with opened:
        return work_through(
            found,
            classifier,
            batch,
            records,
            ranking=ranking,
            features=features,
            in_files=store is not None,
            show_progress=output is not None or not sys.stdout.isatty(),
            tell=tell,
        )


def _check_outputs(
    format: str | None,
    output: Path | None,
    dump: tuple[str, ...],
    dump_dir: Path | None,
    batch: Batch,
) -> None:
    if bool(dump) != (dump_dir is not None):
        raise click.UsageError("--dump END_POINT and --dump-dir DIR go together.")
    if batch.retry_errors and output is None:
        raise click.UsageError("--retry-errors goes with --output.")
    if batch.overwrite and output is None and dump_dir is None:
        raise click.UsageError("--overwrite goes with --output or --dump-dir.")
    if output is None and format is not None and format not in STREAM_FORMATS:
        raise click.UsageError(f"-f {format} goes with --output.")
