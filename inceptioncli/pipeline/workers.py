"""Worker processes that survive what images do to them: every input is answered, in input order.

Each worker has a pipe of its own and answers its inputs one after the other, so that it is always
known which input a worker was at when it died or hung, and whatever it leaves in its pipe harms
nobody. Pools of libraries (concurrent.futures, pebble 5.2) have one pipe for the results of all
workers: when one is killed while it sends, the pipe is cut off and the whole run stuck.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing import connection, resource_tracker
from multiprocessing.pool import ExceptionWithTraceback  # type: ignore[attr-defined]
from typing import Any, Generic, TypeVar

from inceptioncli.errors import InceptionError
from inceptioncli.pipeline.recipe import Input
from inceptioncli.records import Failure

_logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")
Item = TypeVar("Item")

# What a worker may take on top of what the graph needs: enough for any picture within Pillow's
# limit of pixels, and a bound on what a hostile one can do to the machine.
HEADROOM_BYTES = 1 << 30
# A worker starts on its next input while its last answer is on the way. More of them waiting
# would only come later when this worker hangs.
_DEPTH = 2
# Signals by which a process dies of its own fault. Other deaths have been brought about from
# outside (the kernel in want of memory, an operator), so the input gets another try.
_FAULTS = {
    int(getattr(signal, name))
    for name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGSYS", "SIGTRAP")
    if hasattr(signal, name)
}
_TRIES = 2
# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# So many workers in a row may die before they are ready.
_STARTS = 3
_LONGEST_WAIT_S = 1.0


def map_in_workers(
    inputs: Iterable[Input],
    start: Callable[[], Callable[[Input], Answer | Failure]],
    *,
    count: int,
    timeout: float,
    ahead: int,
    while_waiting: Callable[[], None] = lambda: None,
) -> Generator[tuple[str, Answer | Failure], None, None]:
    """Answers inputs in worker processes, in order, each when it and all before it are answered.

    A worker that dies or hangs costs the one input that it was at. An exception in a worker comes
    out here. Closing the generator ends the workers.

    Args:
        inputs: taken in a thread, as they are needed.
        start: called once in each process, gives the function that answers; it and the answers
            are picklable.
        count: so many processes, started as inputs come, 1 or more.
        timeout: seconds that an answer may take; then its worker is killed.
        ahead: so many inputs at most are taken whose answers have not been passed on.
        while_waiting: called about once a second, or oftener, while the next answer is not there.

    Raises:
        InceptionError: workers die before they begin.
    """
    crew = _Crew(start, count, timeout, ahead)
    feed = _Feed(inputs, ahead)
    try:
        while True:
            crew.hand_out(feed)
            while crew.slots and crew.slots[0].answer is not None:
                slot = crew.slots.popleft()
                yield slot.input.path, slot.answer
                crew.hand_out(feed)
            if feed.ended and not crew.slots:
                return
            crew.collect(feed)
            while_waiting()
    finally:
        feed.close()
        crew.dismiss()


def in_batches(
    items: Iterable[Item], size: Callable[[], int], while_waiting: Callable[[], None]
) -> Generator[list[Item], None, None]:
    """What is there of the items, at least one and up to ``size()``, taken in a thread.

    ``while_waiting`` is called about once a second, or oftener, while nothing is there.
    """
    feed = _Feed(items, 2 * size())
    batch: list[Item] = []
    try:
        while not feed.ended:
            if (item := feed.peek()) is not None:
                feed.pop()
                batch.append(item)
                if len(batch) < size():
                    continue
            if batch:
                yield batch
                batch = []
            elif not feed.ended and connection.wait([feed.news], _LONGEST_WAIT_S):
                feed.hear()
            while_waiting()
    finally:
        feed.close()


class _Crew:
    """The workers, and the inputs whose answers have not been passed on.

    Attributes:
        slots: those inputs, in order.
    """

    def __init__(
        self, start: Callable[[], Callable[[Input], Any]], count: int, timeout: float, ahead: int
    ) -> None:
        self.slots: deque[_Slot] = deque()
        self._start = start
        self._count = count
        self._timeout = timeout
        self._ahead = ahead
        self._workers: list[_Worker] = []
        self._again: deque[_Slot] = deque()  # lost with a worker through no fault of their own
        self._deaths_at_start = 0
        self._looked_at = time.monotonic()

    def hand_out(self, feed: _Feed[Input]) -> None:
        """Gives inputs to workers that have room for them."""
        while self._again or len(self.slots) < self._ahead:
            if self._again:
                slot = self._again[0]
            elif (input := feed.peek()) is not None:
                slot = _Slot(input)
            else:
                return
            if slot.answer is None:
                self._start_workers(feed)
                worker = min(self._workers, key=lambda worker: (not worker.ready, worker.load))
                # One with content of its own goes only where somebody is there to receive it:
                # a full pipe in both directions would be a deadlock.
                depth = _DEPTH if slot.input.data is None else 1
                if not worker.ready or worker.load >= depth:
                    return
                if not worker.give(slot):
                    self._bury(worker)
                    continue
            if self._again:
                self._again.popleft()
            else:
                feed.pop()
                self.slots.append(slot)

    def _start_workers(self, feed: _Feed[Input]) -> None:
        if len(self._workers) == self._count:
            return
        feed.ring()  # For the next one that is put in, too.
        unanswered = sum(slot.answer is None for slot in self.slots)
        wanted = min(self._count, unanswered + feed.size)
        while len(self._workers) < wanted:
            self._workers.append(_Worker(self._start))

    def collect(self, feed: _Feed[Input]) -> None:
        """Waits for something to happen, and sees to it."""
        begun = time.monotonic()
        self._forgive(begun - self._looked_at)
        deadlines = [worker.since + self._timeout for worker in self._workers if worker.given]
        patience = max(0.0, min(deadlines, default=begun + _LONGEST_WAIT_S) - begun)
        patience = min(patience, _LONGEST_WAIT_S)
        by_connection: dict[Any, _Worker] = {w.connection: w for w in self._workers}
        happened = connection.wait([*by_connection, feed.news], patience)
        self._looked_at = time.monotonic()
        self._forgive(self._looked_at - begun - patience)
        for ready in happened:
            if ready is feed.news:
                feed.hear()
            elif not self._hear(by_connection[ready]):
                self._bury(by_connection[ready])
        for worker in tuple(self._workers):
            late = self._looked_at > worker.since + self._timeout
            if worker.given and late and worker.connection not in happened:
                message = f"no answer within {self._timeout:g} s; its worker was ended"
                worker.given[0].answer = Failure("timeout", message)
                self._bury(worker, patience=0)

    def dismiss(self) -> None:
        """Ends the workers, whatever they are at."""
        for worker in self._workers:
            worker.end(patience=0)
        self._workers.clear()

    def _forgive(self, seconds: float) -> None:
        """Takes time off that was no work: we were not looking, or all stopped (Ctrl-Z, sleep)."""
        if seconds > _LONGEST_WAIT_S:
            for worker in self._workers:
                worker.since += seconds

    def _hear(self, worker: _Worker) -> bool:
        """Takes a worker's message; False if it is dead."""
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            return False
        if isinstance(message, BaseException):
            raise message
        if not worker.ready:
            worker.ready = True
            self._deaths_at_start = 0
            return True
        worker.given.popleft().answer = message
        worker.since = time.monotonic()
        return True

    def _bury(self, worker: _Worker, patience: float = 2.0) -> None:
        """Removes a worker; what it was at is answered or tried again, what waited goes on."""
        while worker.has_sent() and self._hear(worker):
            pass  # What it sent before it died counts.
        self._workers.remove(worker)
        code = worker.end(patience)
        if worker.ready:
            if worker.given and worker.given[0].answer is None:
                _blame(worker.given[0], code)
        else:
            self._deaths_at_start += 1
            if self._deaths_at_start == _STARTS:
                raise InceptionError(
                    f"worker processes end before they begin ({_manner(code)}); "
                    "is there memory for them, and has the script that wants them its "
                    "`if __name__ == '__main__':`?"
                )
        again = [slot for slot in worker.given if slot.answer is None]
        self._again = deque([*again, *self._again])


class _Slot:
    """An input's place in the order, and its answer when there is one."""

    def __init__(self, input: Input) -> None:
        self.input = input
        self.answer: Any = input.failure
        self.tries = 0


class _Worker:
    """One process, and what it has been given and not answered, oldest first.

    Attributes:
        since: when it began the oldest.
    """

    def __init__(self, start: Callable[[], Callable[[Input], Any]]) -> None:
        context = multiprocessing.get_context("spawn")  # No locks of our threads are inherited.
        self.connection, theirs = context.Pipe()
        quiet = not _logger.isEnabledFor(logging.DEBUG)
        self._process = context.Process(target=_work, args=(theirs, start, quiet), daemon=True)
        with _interrupts_held_back():
            self._process.start()
        theirs.close()
        self.ready = False
        self.given: deque[_Slot] = deque()
        self.since = 0.0

    def has_sent(self) -> bool:
        """Whether there is something to hear."""
        try:
            return self.connection.poll(0)
        except (OSError, EOFError):
            return False

    @property
    def load(self) -> int:
        return len(self.given)

    def give(self, slot: _Slot) -> bool:
        """Hands an input over; False if nobody is there to take it."""
        try:
            self.connection.send(slot.input)
        except OSError:
            return False
        if not self.given:
            self.since = time.monotonic()
        self.given.append(slot)
        return True

    def end(self, patience: float) -> int:
        """Waits so many seconds for the process to end itself, then kills it; its exit code."""
        self.connection.close()
        self._process.join(patience)
        self._process.kill()
        self._process.join()
        return self._process.exitcode or 0


def _blame(slot: _Slot, code: int) -> None:
    """Answers for an input at which a worker died, unless it may have another try."""
    slot.tries += 1
    if -code in _FAULTS:
        message = f"the decoder ended its process ({_manner(code)})"
        slot.answer = Failure("decoder_crashed", message)
    elif slot.tries == _TRIES and -code == getattr(signal, "SIGKILL", None):
        message = f"its worker was killed {_TRIES} times, most often for want of memory"
        slot.answer = Failure("out_of_memory", message)
    elif slot.tries == _TRIES:
        message = f"its worker ended {_TRIES} times ({_manner(code)})"
        slot.answer = Failure("decoder_crashed", message)


class _Feed(Generic[Item]):
    """Takes items in a thread, so that a slow source holds up nothing else.

    Attributes:
        news: a connection that becomes readable when there may be something to take.
    """

    def __init__(self, items: Iterable[Item], size: int) -> None:
        self.news, self._bell = multiprocessing.Pipe(duplex=False)
        self._items = items
        self._queue: queue.Queue[Item | BaseException | None] = queue.Queue(size)
        self._next: Item | None = None
        self._hungry = threading.Event()
        self._closed = threading.Event()
        self.ended = False
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:
        """At least so many items are there to be taken."""
        return self._queue.qsize() + (self._next is not None)

    def peek(self) -> Item | None:
        """The next item, None if none is there now.

        Raises:
            BaseException: what the source of the items raised.
        """
        if self._next is None and not self.ended:
            self.ring()
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return None
            if isinstance(item, BaseException):
                raise item
            self._next = item
            self.ended = item is None
        return self._next

    def pop(self) -> None:
        """Takes the item that `peek` gave."""
        self._next = None

    def ring(self) -> None:
        """Asks for `news` of the next item that is put in."""
        self._hungry.set()

    def hear(self) -> None:
        """Takes a piece of news."""
        self.news.recv_bytes()

    def close(self) -> None:
        """Tells the thread to end; one that is kept waiting by its source ends with the process."""
        self._closed.set()

    def _take(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
            self._put(None)
        except BaseException as error:
            self._put(error)
        finally:
            # Here, because nobody can close a generator while this thread is in it.
            if isinstance(self._items, Generator):
                self._items.close()

    def _put(self, item: Item | BaseException | None) -> bool:
        # Of contents that come with their input one at a time waits here, for the sake of memory.
        while isinstance(item, Input) and item.data is not None and self._queue.qsize():
            if self._closed.wait(0.01):
                return False
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=0.5)
            except queue.Full:
                continue
            if self._hungry.is_set():
                self._hungry.clear()
                with contextlib.suppress(OSError):  # Unheard, it is noticed a second later.
                    self._bell.send_bytes(b"")
            return True
        return False


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """A process started inside never sees Ctrl-C, and is not left half started by one of ours."""
    held: list[int] = []
    handlers: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # Handlers run there alone.
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and callable(signal.getsignal(number)):
                handlers[number] = signal.signal(number, lambda number, frame: held.append(number))
    before = None
    if hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # Else `start` does it, and lets interrupts in again.
        # The process inherits the mask, for the time that Python takes to start there.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in held[:1]:
            signal.raise_signal(number)


def _manner(code: int) -> str:
    with contextlib.suppress(ValueError):
        if code < 0:
            return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"


def _work(
    pipe: connection.Connection,
    start: Callable[[], Callable[[Input], Any]],
    quiet: bool,
) -> None:
    """What a worker process does, until its pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if quiet:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
    _keep_small_memory()
    gc.disable()
    try:
        answer = start()
        gc.freeze()  # What has been made so far lives to the end.
        gc.enable()
        _limit_memory()
        _tell(pipe, None)
        while True:
            _tell(pipe, _answered(answer, pipe.recv()))
    except (EOFError, _ParentGoneError):
        return  # The parent has gone, or has no more use for this worker.
    except Exception as error:
        _tell(pipe, ExceptionWithTraceback(error, error.__traceback__))


class _ParentGoneError(Exception):
    """Nobody hears us any more."""


def _tell(pipe: connection.Connection, message: Any) -> None:
    try:
        pipe.send(message)
    except OSError as error:
        raise _ParentGoneError from error


def _answered(answer: Callable[[Input], Any], input: Input) -> Any:
    try:
        return answer(input)
    except MemoryError:
        return Failure("out_of_memory", f"it takes more than {HEADROOM_BYTES >> 20} MiB")
    except EOFError as error:  # Outside it would mean something else.
        raise RuntimeError("unexpected end") from error


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _keep_small_memory() -> None:
    """Has the allocator keep what an image takes for the next one.

    glibc gives arrays of 128 KiB and more back to the kernel, which clears every page before it is
    had again: 0.7 ms an image. Those of large pictures still go back.
    """
    with contextlib.suppress(AttributeError, TypeError, OSError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 8 << 20)
        libc.mallopt(_M_TRIM_THRESHOLD, 32 << 20)


def _limit_memory() -> None:
    """Lets a hostile picture take so much and no more; what goes beyond is a MemoryError."""
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = used + HEADROOM_BYTES
    if soft == resource.RLIM_INFINITY or limit < soft:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
