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
from inceptioncli.errors import ExitCode, OutputError, TooManyFailuresError
from inceptioncli.records import Record
from inceptioncli.runs.values import Batch, Summary
from inceptioncli.terminal import printable

if TYPE_CHECKING:
    from inceptioncli.images.inputs import Inputs
    from inceptioncli.output.streams import StreamWriter
    from inceptioncli.runs.run import Run


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
        "--retry-changed",
        is_flag=True,
        help="Do the results in the output again whose files have changed since.",
    ),
    click.option(
        "--strict",
        is_flag=True,
        help="Failures that are in the output from before count for the exit code, too.",
    ),
    click.option(
        "--max-errors",
        type=click.IntRange(min=0),
        metavar="N",
        help="Stop when more than N images have failed in this run.",
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
    if told := _told(run.summary, kept=run.output.kept):
        click.echo(told, err=True)
    return run.summary.exit_code


@contextlib.contextmanager
def _continuable(run: Run, name: str, batch: Batch) -> Iterator[None]:
    """When the run ends early, says what is kept and how to go on."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, OutputError, TooManyFailuresError):
        count = run.output.ledger.committed
        told = f"{printable(name)}: {count:,} record{'' if count == 1 else 's'}; the same command "
        told += "without --overwrite continues" if batch.overwrite else "continues"
        click.echo(told, err=True)
        raise


def _told(summary: Summary, *, kept: bool) -> str:
    """The last line: what the run did, and what of what was there before deserves a word."""
    parts = []
    if summary.failed:
        named = ", ".join(f"{count} {code}" for code, count in summary.failures.items())
        new = summary.ok + summary.failed
        parts.append(f"{new} new: {summary.ok} ok, {summary.failed} failed ({named})")
    elif summary.ok and kept:
        parts.append(f"{summary.ok} new: {summary.ok} ok")
    elif summary == Summary(0, {}, strict=summary.strict):
        return "no images found"
    if summary.older_failed == 1:
        parts.append("1 older failure, --retry-errors tries it again")
    elif summary.older_failed:
        parts.append(f"{summary.older_failed} older failures, --retry-errors tries them again")
    if summary.changed == 1:
        parts.append("1 older result whose file has changed, --retry-changed does it again")
    elif summary.changed:
        told = "older results whose files have changed, --retry-changed does them again"
        parts.append(f"{summary.changed} {told}")
    if parts and not (summary.ok or summary.failed):
        parts.insert(0, "nothing new")
    return "; ".join(parts)
