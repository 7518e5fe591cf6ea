"""A worker: the process that reads, decodes and computes, until its pipe is closed.

It reads the sources that it has been given while it computes, so that a slow disk or a network in
between costs no time. What it tells is an `Answer` for each source, in the order they came.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import connection
from multiprocessing.pool import ExceptionWithTraceback  # type: ignore[attr-defined]
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

from inceptioncli.errors import ImageError
from inceptioncli.images.source import Source
from inceptioncli.noise import claim_process

# What a worker may take on top of what the graph needs: enough for any picture within Pillow's
# limit of pixels, and a bound on what a hostile one can do to the machine.
HEADROOM_BYTES = 1 << 30
# So many sources at most a worker has been given and not answered; all but one are read ahead,
# those of more bytes excepted.
DEEPEST = 10
_READ_AHEAD_BYTES = 8 << 20
# Of each reading thread, with its stack.
_READER_BYTES = _READ_AHEAD_BYTES + (8 << 20)
# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


class Answer(NamedTuple):
    """What a worker tells of a source.

    Attributes:
        value: what came of it, or a `Record` of its failure.
        waited: seconds that it had nothing to do but to read.
        error: what was raised in place of an answer, a bug or a reason to end the run.
    """

    value: Any
    waited: float = 0.0
    error: BaseException | None = None


def work(pipe: connection.Connection, start: Callable[[], Callable[..., Any]], quiet: bool) -> None:
    """What a worker process does.

    Args:
        pipe: gives pairs of a source and a task, what is wanted of it, None for the task before;
            takes None when the worker is ready, then answers; in place of None the exception for
            which it can't begin.
        start: gives the function that makes an answer of what was read, the source, the task.
        quiet: send what native code prints nowhere.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    claim_process()
    if quiet:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
    _keep_small_memory()
    gc.disable()
    try:
        answer = start()
    except Exception as error:
        with contextlib.suppress(_ParentGoneError):
            _tell(pipe, _pickled(_sendable(error)))
        return
    gc.freeze()  # What has been made so far lives to the end.
    gc.enable()
    _limit_memory()
    # The parent may go, or have no more use for this worker.
    with contextlib.suppress(EOFError, _ParentGoneError), ThreadPoolExecutor(DEEPEST) as readers:
        _tell(pipe, _pickled(None))
        task: Any = None
        # What goes wrong beside an answer (no memory for what comes by the pipe) ends the process,
        # which costs what it was given.
        for source, given, reading in _given(pipe, readers):
            task = task if given is None else given
            _tell(pipe, _answer(answer, source, task, reading))


class _ParentGoneError(Exception):
    """Nobody hears us any more."""


def _tell(pipe: connection.Connection, message: memoryview) -> None:
    try:
        pipe.send_bytes(message)
    except OSError as error:
        raise _ParentGoneError from error


def _given(
    pipe: connection.Connection, readers: ThreadPoolExecutor
) -> Iterator[tuple[Source, Any, Future[Any] | None]]:
    """Sources with their tasks as they come, and the content of those that are read ahead.

    Raises:
        Exception: one could not be received; those before it have been given.
    """
    ahead: deque[tuple[Source, Any, Future[Any] | None]] = deque()
    error: Exception | None = None
    while error is None or ahead:
        while error is None and (not ahead or pipe.poll(0)):
            try:
                source, task = pipe.recv()
            except (EOFError, OSError):
                raise  # Nobody waits for an answer.
            except Exception as found:
                error = found
                break
            # One that is computed at once needs no thread, nor does what came by the pipe.
            later = bool(ahead) and not source.locator.nbytes
            reading = readers.submit(source.locator.read, _READ_AHEAD_BYTES) if later else None
            ahead.append((source, task, reading))
        if ahead:
            yield ahead.popleft()
    assert error is not None
    raise error


def _answer(
    answer: Callable[..., Any], source: Source, task: Any, reading: Future[Any] | None
) -> memoryview:
    """The pickled `Answer`; one that can't be pickled is a bug like any other."""
    waited = 0.0
    try:
        begun = time.monotonic()
        found = _found(source, reading)
        waited = time.monotonic() - begun
        return _pickled(Answer(answer(found, source, task), waited))
    except ImageError as error:
        told = Answer(source.failed(error), waited)
    except MemoryError:
        message = f"it takes more than {HEADROOM_BYTES >> 20} MiB"
        told = Answer(source.failed(ImageError("out_of_memory", message, source.stamp())), waited)
    except BaseException as error:  # A panic of an extension in Rust is no Exception.
        told = Answer(None, waited, _sendable(error))
    return _pickled(told)


def _pickled(message: Any) -> memoryview:
    return ForkingPickler.dumps(message)


def _sendable(error: BaseException) -> Any:
    """An exception that can be pickled as it is, and keeps its traceback on the way."""
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
        whole = isinstance(error, Exception) and (copy.args, str(copy)) == (error.args, str(error))
    except Exception:
        whole = False
    if not whole:
        error = RuntimeError(_in_words(error)).with_traceback(error.__traceback__)
    return ExceptionWithTraceback(error, error.__traceback__)


def _in_words(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # It can't even say what it is about.
        return type(error).__name__


def _found(source: Source, reading: Future[Any] | None) -> Any:
    if reading is not None:
        with contextlib.suppress(MemoryError):  # There was none beside another picture.
            found = reading.result()
            if found is not None:
                return found
    return source.locator.read()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _keep_small_memory() -> None:
    """Has the allocator keep what an image takes for the next one.

    glibc gives arrays of 128 KiB and more back to the kernel, which clears every page before it is
    had again: 0.7 ms an image. Those of large pictures still go back. Without more arenas than one
    reading threads take no address space of their own, which is limited.
    """
    with contextlib.suppress(AttributeError, TypeError, OSError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 8 << 20)
        libc.mallopt(_M_TRIM_THRESHOLD, 32 << 20)
        libc.mallopt(_M_ARENA_MAX, 1)


def _limit_memory() -> None:
    """Lets a hostile picture take so much and no more; what goes beyond is a MemoryError."""
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = used + HEADROOM_BYTES + DEEPEST * _READER_BYTES
    if soft == resource.RLIM_INFINITY or limit < soft:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
