"""The pipeline: paths to results, in input order, in this process or in worker processes."""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from inceptioncli.choices import TIMEOUT_S
from inceptioncli.errors import ImageError
from inceptioncli.images.read import read_stream
from inceptioncli.images.sources import Source, failure_to_read
from inceptioncli.noise import native_stderr_hidden
from inceptioncli.pipeline.layout import Layout
from inceptioncli.pipeline.recipe import Input, Output, Recipe
from inceptioncli.records import STDIN, Failure, Prediction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# So many answers may wait for their turn behind a slow one, within so many bytes for each worker.
_AHEAD = 64
_AHEAD_BYTES = 64 << 20


class Result(NamedTuple):
    """What became of one input: predictions and features, or a failure."""

    path: str
    predictions: tuple[Prediction, ...]
    features: dict[str, NDArray[np.floating]]
    failure: Failure | None = None


def run(
    sources: Iterable[Source],
    recipe: Recipe,
    layout: Layout,
    *,
    timeout: float = TIMEOUT_S,
    output_bytes: int = 0,
    while_waiting: Callable[[], None] | None = None,
) -> Generator[Result, None, None]:
    """Follows the recipe for each input; results come in order, each as soon as it is there.

    Args:
        sources: the inputs, taken as they are needed.
        recipe: what is done with each.
        layout: 0 workers for this process alone, where a decoder that crashes or hangs takes the
            run with it.
        timeout: seconds that an image may take in a worker.
        output_bytes: size of one result, for a bound on the memory of those that wait.
        while_waiting: called now and then, at least once a second while nothing comes.
    """
    inputs = (_input(source, timeout) for source in sources)
    with contextlib.closing(
        _run_here(inputs, recipe, layout.threads, while_waiting)
        if layout.workers == 0
        else _run_in_workers(inputs, recipe, layout, timeout, output_bytes, while_waiting)
    ) as answers:
        for path, answer in answers:
            if isinstance(answer, Failure):
                yield Result(path, (), {}, answer)
            else:
                yield Result(path, *answer)


_Answers = Generator[tuple[str, Output | Failure], None, None]


def _run_here(
    inputs: Iterator[Input],
    recipe: Recipe,
    threads: int,
    while_waiting: Callable[[], None] | None,
) -> _Answers:
    engine = recipe.open_engine(threads)
    if while_waiting is not None:
        from inceptioncli.pipeline.workers import in_batches

        batches = in_batches(inputs, lambda: 1, while_waiting)
        inputs = (input for batch in batches for input in batch)
    for input in inputs:
        with native_stderr_hidden():
            image = recipe.decoding.decode(input)
        yield input.path, image if isinstance(image, Failure) else recipe.infer(engine, [image])[0]


def _run_in_workers(
    inputs: Iterator[Input],
    recipe: Recipe,
    layout: Layout,
    timeout: float,
    output_bytes: int,
    while_waiting: Callable[[], None] | None,
) -> _Answers:
    from inceptioncli.pipeline.workers import in_batches, map_in_workers

    options: dict[str, Any] = {
        "count": layout.workers,
        "timeout": timeout,
        "ahead": min(_AHEAD, max(2, _AHEAD_BYTES // max(1, output_bytes))) * layout.workers,
    }
    waiting = while_waiting or (lambda: None)
    if recipe.portable:
        start = functools.partial(recipe.start, layout.threads)
        yield from map_in_workers(inputs, start, while_waiting=waiting, **options)
        return
    engine = recipe.open_engine(layout.threads)
    # While the device is at a batch, the workers decode the next.
    decoded = map_in_workers(inputs, recipe.decoding.start, **options)
    batched = in_batches(decoded, lambda: engine.batch_size, waiting)
    with contextlib.closing(batched) as batches:
        for batch in batches:
            images = [image for _, image in batch if not isinstance(image, Failure)]
            outputs = iter(recipe.infer(engine, images) if images else ())
            for path, image in batch:
                yield path, image if isinstance(image, Failure) else next(outputs)


def _input(source: Source, timeout: float) -> Input:
    """A source as a worker can take it: failures told early, streams read here."""
    path, failure = source
    if failure is not None:
        return Input(path, failure=failure)
    try:
        if path != STDIN and stat.S_ISREG(os.stat(path).st_mode):
            return Input(path)
        return Input(path, read_stream(path, timeout))
    except OSError as error:
        return Input(path, failure=failure_to_read(error))
    except ValueError:  # NUL in its name
        return Input(path)
    except ImageError as error:
        return Input(path, failure=Failure(error.code, str(error)))
