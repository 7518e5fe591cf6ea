"""What `classify` and `features` share: batch options, the loop, progress, the summary."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from inceptioncli.choices import TIMEOUT_S
from inceptioncli.cli.options import Inputs, collected
from inceptioncli.errors import ExitCode, OutputError, TooManyFailuresError
from inceptioncli.terminal import printable

if TYPE_CHECKING:
    from inceptioncli.classifier import Classifier
    from inceptioncli.images.sources import Source
    from inceptioncli.output.store import Store
    from inceptioncli.pipeline import Result
    from inceptioncli.pipeline.layout import Layout
    from inceptioncli.pipeline.recipe import FeatureOptions, Ranking


class Batch(NamedTuple):
    """How many images are worked through."""

    workers: int | None
    timeout: float
    overwrite: bool
    retry_errors: bool
    max_errors: int | None


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


class Found:
    """The inputs, with as many of them looked up as matters for how they are run.

    Attributes:
        at_least: so many there are.
        single: there is one, or none.
        known: tells of paths that need not be looked into any more; may be set before `sources`
            is used.
    """

    def __init__(self, inputs: Inputs, device: str) -> None:
        from inceptioncli.engine.devices import IMAGES_THAT_REPAY_A_GPU, has_gpu
        from inceptioncli.images.sources import sources

        self.inputs = inputs
        self.known: Callable[[str], bool] = lambda path: False
        found = sources(inputs.named(), known=lambda path: self.known(path))
        if device == "auto" and has_gpu():
            peek = IMAGES_THAT_REPAY_A_GPU
        else:
            peek = 0 if inputs.streamed else 2
        first = list(itertools.islice(found, peek))
        self.at_least = len(first)
        self.single = len(first) < min(peek, 2)
        self.sources: Iterator[Source] = itertools.chain(first, found)


def work_through(
    found: Found,
    classifier: Classifier,
    batch: Batch,
    keep: Callable[[Result], None],
    *,
    ranking: Ranking | None,
    features: FeatureOptions,
    store: Store | None,
    show_progress: bool = True,
) -> int:
    """Runs the graph on all inputs that have no record in the store yet, and says how it went.

    Args:
        found: the inputs.
        classifier: what runs.
        batch: the user's options.
        keep: writes a result.
        ranking: which predictions are wanted.
        features: which features are wanted.
        store: where results are kept, if in files.
        show_progress: results themselves do not show it.

    Returns:
        The exit code.

    Raises:
        TooManyFailuresError: more than ``batch.max_errors``.
    """
    inputs, counts = found.sources, Counter[str | None]()
    if store is not None:
        found.known = store.ledger.knows
        inputs = store.ledger.new(found.sources)
        counts.update(store.ledger.counts)

    def tick() -> None:
        progress.refresh()
        if store is not None:
            store.commit_if_due()

    with contextlib.ExitStack() as stack:
        progress = Progress(found.inputs, counts.total(), shown=show_progress)
        stack.callback(progress.close)
        layout = _layout(found, classifier, batch, in_files=store is not None)
        alone = layout.workers == 0 and store is None
        results = classifier.run(
            inputs,
            layout,
            ranking=ranking,
            features=features,
            timeout=batch.timeout,
            while_waiting=None if alone else tick,
        )
        stack.enter_context(contextlib.closing(results))
        going_on = "; a higher one goes on from here" if store is not None else ""
        _check_failures(counts, batch.max_errors, going_on)
        for result in results:
            keep(result)
            counts[result.failure.code if result.failure else None] += 1
            progress.show(counts)
            if result.failure is not None:
                _check_failures(counts, batch.max_errors, going_on)
        if store is not None:
            store.finish()
            counts = store.ledger.counts
    return _summarize(counts)


@contextlib.contextmanager
def continuable(store: Store, name: str, batch: Batch) -> Iterator[Store]:
    """The store; when the run is interrupted, says what is kept and how to go on."""
    try:
        with store:
            yield store
    except (KeyboardInterrupt, SystemExit, OutputError):
        count = store.committed
        told = f"{printable(name)}: {count:,} record{'' if count == 1 else 's'}; the same command "
        told += "without --overwrite continues" if batch.overwrite else "continues"
        click.echo(told, err=True)
        raise


class Progress:
    """A bar on standard error, if that is a terminal.

    Args:
        inputs: walked a second time, ahead of the work, for the total.
        done: so many have their records already.
        shown: whether there is to be one at all.
    """

    def __init__(self, inputs: Inputs, done: int, *, shown: bool) -> None:
        self._closed = threading.Event()
        self._refreshed_at = time.monotonic()
        self._bar: Any = None
        if not shown or not sys.stderr.isatty():
            return
        from tqdm import tqdm

        # Some terminals (of CI, of `script`) say that they have no room at all.
        sized = os.get_terminal_size(sys.stderr.fileno()).columns > 0
        size: dict[str, Any] = {"dynamic_ncols": True} if sized else {"ncols": 80, "nrows": 24}
        self._bar = tqdm(initial=done, unit="img", smoothing=0.1, **size)
        if not inputs.streamed:
            threading.Thread(target=self._count, args=(inputs,), daemon=True).start()

    def show(self, counts: Counter[str | None]) -> None:
        """Shows how many are done, and how many of them failed."""
        if self._bar is not None:
            if failed := counts.total() - counts[None]:
                self._bar.set_postfix_str(f"{failed:,} failed", refresh=False)
            self._bar.update(counts.total() - self._bar.n)

    def refresh(self) -> None:
        """Keeps the clock going while nothing comes."""
        if self._bar is not None and time.monotonic() - self._refreshed_at > 1:
            self._refreshed_at = time.monotonic()
            self._bar.refresh()

    def close(self) -> None:
        """Leaves the last state on the terminal."""
        self._closed.set()
        if self._bar is not None:
            self._bar.close()

    def _count(self, inputs: Inputs) -> None:
        from inceptioncli.images.sources import sources

        with contextlib.suppress(OSError):
            for total, _ in enumerate(sources(inputs.named_again(), warn=False), 1):
                if self._closed.is_set():
                    return
                self._bar.total = max(total, self._bar.n)


def _layout(found: Found, classifier: Classifier, batch: Batch, *, in_files: bool) -> Layout:
    if batch.workers is None and found.single:
        # A process for one image would double the time to its label.
        return classifier.layout(1 if in_files else 0)
    return classifier.layout(batch.workers)


def _check_failures(counts: Counter[str | None], allowed: int | None, going_on: str) -> None:
    failed = counts.total() - counts[None]
    if allowed is not None and failed > allowed:
        raise TooManyFailuresError(f"{failed} failed, more than --max-errors {allowed}{going_on}")


def _summarize(counts: Counter[str | None]) -> int:
    ok, failed = counts[None], counts.total() - counts[None]
    if failed:
        named = ", ".join(f"{count} {code}" for code, count in counts.most_common() if code)
        click.echo(f"{ok} ok, {failed} failed ({named})", err=True)
    elif not ok:
        click.echo("no images found", err=True)
    if not ok:
        return ExitCode.NONE_OK
    return ExitCode.SOME_FAILED if failed else ExitCode.OK
