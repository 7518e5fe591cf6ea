"""``inceptioncli classify``."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Iterable
from io import BufferedIOBase

import click

from inceptioncli.cli.options import debug_option, graph_options, input_options
from inceptioncli.output import FORMATS, open_writer
from inceptioncli.terminal import printable

SOME_FAILED = 3
NONE_CLASSIFIED = 4


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
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="Format of the results on standard output.",
)
@graph_options
@debug_option
@click.pass_context
def classify(
    context: click.Context,
    paths: tuple[str, ...],
    input_list: BufferedIOBase | None,
    nul_separated: bool,
    top_k: int,
    threshold: float,
    format: str,
    weights: str,
    labels: str | None,
    device: str,
    precision: str,
    crop: float | None,
    offline: bool,
) -> int:
    """Print the most probable classes of images.

    PATHS are files, folders (searched for images, recursively), or - for one image on standard
    input. Results go to standard output, each as soon as it is there; all else to standard error.

    Exit codes: 0 all images classified; 2 usage; 3 some failed; 4 none could be classified;
    5 weights missing or wrong; 6 output or cache can't be written.
    """
    inputs = _inputs(paths, input_list, nul_separated)

    from inceptioncli.classifier import load
    from inceptioncli.engine.select import IMAGES_THAT_REPAY_A_GPU, has_gpu
    from inceptioncli.images.sources import sources

    found = sources(inputs)
    # How many there are matters to `auto` alone, and only where there is a GPU to choose.
    undecided = device == "auto" and has_gpu()
    first = list(itertools.islice(found, IMAGES_THAT_REPAY_A_GPU)) if undecided else []
    classifier = load(
        weights,
        device=device,
        precision=precision,
        labels=labels,
        crop=crop,
        offline=offline,
        at_least=len(first),
    )
    results = classifier.run(itertools.chain(first, found), classifier.layout(2), ranking=classifier.ranking(top_k, threshold))
    from inceptioncli.records import Record
    records = (Record(r.path, r.predictions, r.failure) for r in results)
    columns = min(top_k, classifier.ready.model.graph.classes)
    writer = open_writer(format, sys.stdout.buffer, columns)
    ok = 0
    failures: Counter[str] = Counter()
    try:
        for record in records:
            writer.write(record)
            if record.failure is None:
                ok += 1
                continue
            failures[record.failure.code] += 1
            if format == "text":
                code, message = record.failure
                click.echo(f"{printable(record.path)}: {code}: {message}", err=True)
    finally:
        writer.close()  # An interrupted array is an array all the same.
    return _summarize(ok, failures)


def _inputs(
    paths: tuple[str, ...], input_list: BufferedIOBase | None, nul_separated: bool
) -> Iterable[str]:
    if nul_separated and input_list is None:
        raise click.UsageError("-0 goes with --input-list.")
    if not paths and input_list is None:
        raise click.UsageError(
            "No images given. Name files or folders, - for standard input, or --input-list FILE."
        )
    if paths.count("-") + (input_list is sys.stdin.buffer) > 1:
        raise click.UsageError("Standard input can be read only once.")
    if input_list is None:
        return paths

    from inceptioncli.images.sources import read_list

    return itertools.chain(paths, read_list(input_list, nul_separated=nul_separated))


def _summarize(ok: int, failures: Counter[str]) -> int:
    """Says how it went, if not well; returns the exit code."""
    if failures:
        counts = ", ".join(f"{count} {code}" for code, count in failures.most_common())
        click.echo(f"{ok} ok, {failures.total()} failed ({counts})", err=True)
    elif not ok:
        click.echo("no images found", err=True)
    if not ok:
        return NONE_CLASSIFIED
    return SOME_FAILED if failures else 0
