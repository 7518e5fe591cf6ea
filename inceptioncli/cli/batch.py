"""What the commands that work through many images share: options, the loop, the summary."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from inceptioncli.choices import TIMEOUT_S
from inceptioncli.cli.options import collected
from inceptioncli.cli.progress import Progress
from inceptioncli.errors import ExitCode, OutputError
from inceptioncli.records import Record
from inceptioncli.runs.values import Batch
from inceptioncli.terminal import printable

if TYPE_CHECKING:
    from inceptioncli.images.inputs import Inputs
    from inceptioncli.output.streams import StreamWriter
    from inceptioncli.runs.run import Run
    from inceptioncli.runs.values import Summary


def _check_number(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if math.isnan(value):
        raise click.BadParameter("nan is no number of seconds")
    return value


batch_options = collected(
    "batch",
    Batch,
    click.option(
        "-j",
        "--workers",
        type=click.IntRange(min=0),
        metavar="N",
        help="Processes that decode images and run the graph; 0 for this process alone, without "
        "limits of time and memory for a hostile image.  [default: one for each core, as memory "
        "allows; for a single image 0]",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(0, 86_400, min_open=True),
        callback=_check_number,
        metavar="SECONDS",
        default=TIMEOUT_S,
        show_default=True,
        help="An image that takes a worker longer is a failure.",
    ),
    click.option("--overwrite", is_flag=True, help="Start anew, whatever the output holds."),
    click.option("--retry-errors", is_flag=True, help="Try the failures in the output again."),
    click.option(
        "--max-errors",
        type=click.IntRange(min=0),
        metavar="N",
        help="Stop when more than N images have failed.",
    ),
)


def work_through(
    run: Run,
    inputs: Inputs,
    batch: Batch,
    *,
    output: str | None,
    writer: StreamWriter | None = None,
    tell_failures: bool = False,
    show_progress: bool = True,
) -> ExitCode:
    """Follows a run to its end and says how it went.

    Args:
        run: what happens.
        inputs: what it works through, to be counted for the progress.
        batch: the user's options.
        output: what the results are called in messages, if the same command continues them.
        writer: where records are shown as they come.
        tell_failures: results themselves do not.
        show_progress: results themselves do not show it.
    """
    with contextlib.ExitStack() as stack:
        if output is not None:
            stack.enter_context(_continuable(run, output, batch))
        stack.enter_context(run)
        if writer is not None:
            stack.enter_context(writer)
        progress = Progress(inputs, run.output.ledger.counts.total(), shown=show_progress)
        stack.callback(progress.close)
        for event in run:
            if isinstance(event, Record):
                if writer is not None:
                    writer.write(event)
                if tell_failures and event.failure is not None:
                    code, message = event.failure
                    click.echo(f"{printable(event.path)}: {code}: {message}", err=True)
                progress.show(run.output.ledger.counts)
            else:
                progress.refresh()
    return _summarize(run.summary)


@contextlib.contextmanager
def _continuable(run: Run, name: str, batch: Batch) -> Iterator[None]:
    """When the run is interrupted, says what is kept and how to go on."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, OutputError):
        count = run.output.ledger.committed
        told = f"{printable(name)}: {count:,} record{'' if count == 1 else 's'}; the same command "
        told += "without --overwrite continues" if batch.overwrite else "continues"
        click.echo(told, err=True)
        raise


def _summarize(summary: Summary) -> ExitCode:
    if summary.failed:
        named = ", ".join(f"{count} {code}" for code, count in summary.failures.items())
        click.echo(f"{summary.ok} ok, {summary.failed} failed ({named})", err=True)
    elif not summary.ok:
        click.echo("no images found", err=True)
    return summary.exit_code
