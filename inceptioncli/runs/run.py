"""A run: inputs that have no record yet go through the pipeline into an output."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Generator, Iterator
from types import TracebackType

from inceptioncli.errors import TooManyFailuresError
from inceptioncli.images.inputs import Inputs
from inceptioncli.output.base import Output
from inceptioncli.pipeline import Pipeline
from inceptioncli.pipeline.inference import Products
from inceptioncli.runs.values import Batch, Committed, Event, Summary, Waiting


class Run:
    """One run, to be iterated once, in a ``with`` block.

    Args:
        inputs: what is worked through; what the output has a record of is left out.
        pipeline: what runs; it is not closed.
        products: what is wanted of each image.
        output: where records are kept.
        batch: how.
        first: a run that is to be done before this one, as part of it.

    Attributes:
        output: where records are kept; its ``ledger.counts`` grow.
    """

    def __init__(
        self,
        inputs: Inputs,
        pipeline: Pipeline,
        products: Products,
        output: Output,
        batch: Batch,
        *,
        first: Run | None = None,
    ) -> None:
        self.output = output
        self._inputs = inputs
        self._pipeline = pipeline
        self._products = products
        self._batch = batch
        self._first = first
        self._events = self._run()

    def __iter__(self) -> Iterator[Event]:
        """Gives a record for each new input, in their order, and what else happens.

        Raises:
            TooManyFailuresError: more than ``batch.max_errors``; what is done is kept.
            InceptionError: as of the products, the output and the pipeline.
        """
        return self._events

    def finish(self) -> Summary:
        """Runs to the end, whatever happens in between."""
        with self:
            for _ in self:
                pass
        return self.summary

    @property
    def summary(self) -> Summary:
        """What it has come to so far."""
        ledger, strict = self.output.ledger, self._batch.strict
        (ok, failures), (older_ok, older) = _outcomes(ledger.fresh), _outcomes(ledger.before)
        return Summary(ok, failures, older_ok, older, ledger.changed, strict)

    def __enter__(self) -> Run:
        self.output.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._events.close()
        self.output.__exit__(kind, error, traceback)

    def _run(self) -> Generator[Event, None, None]:
        if self._first is not None:
            with self._first:
                yield from self._first
        output = self.output
        self._inputs.known = output.ledger.knows
        records = self._pipeline.records(
            output.ledger.new(self._inputs, all_come=self._inputs.all_come),
            self._products,
            timeout=self._batch.timeout,
            ticks=output.kept,
        )
        with contextlib.closing(records):
            for record in records:
                if record is None:
                    yield Waiting()
                else:
                    output.append(record)
                    yield record
                    if record.failure is not None:
                        self._check(output.ledger.fresh)
                if output.commit_if_due():
                    yield Committed(output.ledger.committed)
        output.finish()

    def _check(self, counts: Counter[str | None]) -> None:
        failed, allowed = counts.total() - counts[None], self._batch.max_errors
        if allowed is not None and failed > allowed:
            raise TooManyFailuresError(f"{failed} failed, more than --max-errors {allowed}")


def _outcomes(counts: Counter[str | None]) -> tuple[int, dict[str, int]]:
    """How many images have what was asked for, and how many failed in which way."""
    failures = {code: count for code, count in counts.most_common() if code is not None and count}
    return counts[None], failures
