"""``inceptioncli classify``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from inceptioncli.cli.batch import batch_options, work_through
from inceptioncli.cli.options import (
    GraphOptions,
    NamedInputs,
    debug_option,
    graph_options,
    input_options,
)
from inceptioncli.output.formats import FORMATS, stream_lines
from inceptioncli.runs.values import Batch


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
    type=click.Choice(list(FORMATS)),
    help="Format of the results: on standard output text, jsonl, json or csv; in a file jsonl, "
    "csv or parquet.  [default: text; of a file, what its suffix says]",
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
    named: NamedInputs,
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

    Exit codes, of this run: 0 all that was new is classified; 2 usage; 3 some failed; 4 there is no
    result at all, neither of this run nor in its output; 5 weights missing or wrong; 6 output or
    cache can't be written; 7 the output belongs to another run; 8 more failures than --max-errors.
    """
    inputs = named.open()
    from inceptioncli.output.streams import StreamWriter
    from inceptioncli.runs.stores import check_outputs

    # Before weights are fetched for nothing.
    check_outputs(batch, output=output, format=format, dumps=bool(dump), folder=dump_dir)
    continued = None if batch.overwrite else output or dump_dir
    with graph.load(inputs, continued, for_classes=True) as classifier:
        run = classifier.run(
            inputs,
            output,
            top_k=top_k,
            threshold=threshold,
            format=format,
            dump=dump,
            dump_dir=dump_dir,
            batch=batch,
        )
        if output is not None:
            return work_through(run, inputs, batch, output=str(output))
        columns = min(top_k, len(classifier.labels))
        return work_through(
            run,
            inputs,
            batch,
            output=None,
            writer=StreamWriter(sys.stdout.buffer, stream_lines(format or "text", columns)),
            tell_failures=format in (None, "text"),
            show_progress=not sys.stdout.isatty(),
        )
