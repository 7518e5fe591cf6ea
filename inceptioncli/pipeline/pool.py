"""A lasting pool of workers that survive what images do to them: every source is answered.

Each worker has a pipe of its own and answers its sources one after the other, so that it is always
known which source a worker was at when it died or hung, and whatever it leaves in its pipe harms
nobody. Pools of libraries (concurrent.futures, pebble 5.2) have one pipe for the results of all
workers: when one is killed while it sends, the pipe is cut off and the whole run stuck.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing import connection, resource_tracker, util
from pathlib import Path
from typing import Any

from inceptioncli.errors import ImageError, InceptionError, UsageError
from inceptioncli.images.source import Source, Unusable
from inceptioncli.pipeline.job import Job, manner
from inceptioncli.pipeline.worker import DEEPEST, Answer, work

_logger = logging.getLogger(__name__)

# A worker starts on its next source while its last answer is on the way. It is given more of them
# when it waits for what it reads.
_DEPTH = 2
_LONG_READ_S = 0.002
# So many workers in a row may end, or take so long, before they are ready.
_STARTS = 3
_START_S = 300.0
# How long a worker may take to end by itself, and how long the system may take to end it.
_PATIENCE_S = 2.0
_BURIAL_S = 10.0
# So often somebody looks at the clock, so that it shows when nobody could.
_LONGEST_WAIT_S = 1.0


class Pool:
    """Worker processes that answer sources, in whatever order they get done.

    A worker that dies or hangs costs the one source that it was at. Safe to be used by many
    threads. To be closed, or used as a context manager; its processes end with this one.

    Args:
        start: called once in each process; gives the function that makes an answer of what
            was read, the source and the task. Both, tasks and answers are picklable.
        count: so many processes, started as there is work for them, 1 or more.
    """

    def __init__(self, start: Callable[[], Callable[..., Any]], count: int) -> None:
        self._start = start
        self._count = count
        self._inbox: deque[Job] = deque()  # what nobody has been given yet
        self._workers: list[_Worker] = []
        self._deaths_at_start = 0
        self._looked_at = time.monotonic()
        self._error: BaseException | None = None
        self._lock = threading.RLock()  # of the inbox's end, and of the bell
        self._news, self._bell = multiprocessing.Pipe(duplex=False)
        self._rung = False
        self._thread = threading.Thread(target=self._supervise, name="pool", daemon=True)
        self._thread.start()

    @property
    def broken(self) -> bool:
        """Whether it answers no more, closed or for want of workers."""
        return self._error is not None

    def submit(self, source: Source, task: Any, timeout: float) -> Future[Any]:
        """Has a source answered.

        Args:
            source: what; it is `Source.held`.
            task: what is wanted of it; sent once to each worker as long as it is the same object.
            timeout: seconds that the answer may take; then its worker is killed.

        Returns:
            The answer to come, or a `Record` of its failure. It raises what a worker raised, and
            InceptionError when workers die before they begin, or the pool is closed first.
        """
        job = Job(source, task, timeout)
        if isinstance(source.locator, Unusable) and job.begin():
            # There is nothing to be done, and its name may be too long for a pipe.
            error = ImageError(*source.locator.failure, source.stamp())
            job.hear(Answer(source.failed(error)))
            return job.future
        with self._lock:
            if self._error is not None:
                job.future.set_exception(self._error)
            else:
                self._inbox.append(job)
                self._ring()
        return job.future

    def close(self, *, wait: bool = True) -> None:
        """Ends the workers, whatever they are at; does not ``wait`` for that from a finalizer.

        A finalizer may run in any thread, in the middle of anything of ours.
        """
        self._break(InceptionError("the worker processes have been closed"))
        if wait and threading.current_thread() is not self._thread:
            self._thread.join(_BURIAL_S)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _ring(self) -> None:
        if not self._rung:
            self._rung = True
            self._bell.send_bytes(b"")

    def _break(self, error: BaseException) -> None:
        """Answers no more; the first reason is the one that is told."""
        with self._lock:
            self._error = self._error or error
            self._ring()

    def _supervise(self) -> None:
        """What the pool's own thread does."""
        if hasattr(signal, "pthread_sigmask"):
            resource_tracker.ensure_running()  # Else `start` does it, and lets interrupts in again.
            # Workers inherit the mask, and never see a Ctrl-C while Python starts there.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        # Before `multiprocessing` ends the workers at the end of the program: it would look as if
        # somebody had killed them, and others be started in their place.
        ending = util.Finalize(self, self.close, exitpriority=10)
        try:
            while self._error is None:
                self._hand_out()
                self._collect()
        except BaseException as error:
            self._break(error)
        ending.cancel()
        for worker in self._workers:
            worker.end(patience=0)
        with self._lock:  # Nobody is at `submit`, nor will ring any more.
            self._rung = True
            jobs = [*(job for worker in self._workers for job in worker.given), *self._inbox]
        self._news.close()
        self._bell.close()
        assert self._error is not None
        for job in jobs:
            job.fail(self._error)

    def _hand_out(self) -> None:
        """Gives jobs to workers that have room for them."""
        while self._inbox and self._error is None:
            job = self._inbox[0]
            self._start_workers()
            worker = min(self._workers, key=lambda worker: (not worker.ready, worker.load))
            if not worker.has_room_for(job):
                return
            self._inbox.popleft()
            if not job.begin():  # cancelled
                continue
            if not worker.give(job):
                self._inbox.appendleft(job)
                self._bury(worker)

    def _start_workers(self) -> None:
        unanswered = len(self._inbox) + sum(worker.load for worker in self._workers)
        while len(self._workers) < min(self._count, unanswered):
            self._workers.append(_Worker(self._start))

    def _collect(self) -> None:
        """Waits for something to happen, and sees to it."""
        begun = time.monotonic()
        self._forgive(begun - self._looked_at)
        deadline = min((worker.deadline for worker in self._workers), default=float("inf"))
        patience = min(max(0.0, deadline - begun), _LONGEST_WAIT_S)
        by_connection: dict[Any, _Worker] = {w.connection: w for w in self._workers}
        busy = deadline < float("inf")
        happened = connection.wait([*by_connection, self._news], patience if busy else None)
        self._looked_at = time.monotonic()
        if busy:
            self._forgive(self._looked_at - begun - patience)
        for ready in happened:
            if ready is self._news:
                with self._lock:
                    self._news.recv_bytes()
                    self._rung = False
            elif not self._hear(by_connection[ready]):
                self._bury(by_connection[ready])
        for worker in tuple(self._workers):
            if self._looked_at > worker.deadline and worker.connection not in happened:
                self._bury(worker, late=True)

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
        else:
            if message.waited > _LONG_READ_S:
                worker.depth = min(worker.depth + 1, DEEPEST)
            worker.given.popleft().hear(message)
        worker.since = self._looked_at
        return True

    def _bury(self, worker: _Worker, *, late: bool = False) -> None:
        """Removes a worker; what it was at is answered or tried again, what waited goes on."""
        at = worker.given[0] if worker.given else None
        while worker.has_sent() and self._hear(worker):
            pass  # What it sent before it died counts.
        self._workers.remove(worker)
        code = worker.end(0 if late else _PATIENCE_S)
        if not worker.ready:
            self._deaths_at_start += 1
            if self._deaths_at_start == _STARTS:
                raise InceptionError(
                    f"worker processes end before they begin ({manner(code)}); "
                    "is there memory for them, and has the script that wants them its "
                    "`if __name__ == '__main__':`?"
                )
        elif worker.given:
            job = worker.given[0]
            # Late, with an answer at the last moment, it was ended while at the next one.
            record = (job.too_late() if job is at else None) if late else job.blamed(code)
            if record is not None:
                worker.given.popleft().hear(Answer(record))
        self._inbox.extendleft(reversed(worker.given))


class _Worker:
    """One process, and what it has been given and not answered, oldest first.

    Attributes:
        since: when it began the oldest, or was started.
        depth: so many sources it may have.
    """

    def __init__(self, start: Callable[[], Callable[..., Any]]) -> None:
        context = multiprocessing.get_context("spawn")  # No locks of our threads are inherited.
        quiet = not _logger.isEnabledFor(logging.DEBUG)
        _check_working_folder()
        try:
            self.connection, theirs = context.Pipe()
            self._process = context.Process(target=work, args=(theirs, start, quiet), daemon=True)
            self._process.start()
        except OSError as error:
            raise InceptionError(f"a worker process can't be started: {error}") from error
        theirs.close()
        self.ready = False
        self.given: deque[Job] = deque()
        self.since = time.monotonic()
        self.depth = _DEPTH
        self._task: Any = None

    @property
    def load(self) -> int:
        return len(self.given)

    def has_room_for(self, job: Job) -> bool:
        """Whether a job can be handed over, and will be received.

        What is large, as a content or a new task may be, goes only where nobody is busy: a full
        pipe in both directions would be a deadlock.
        """
        large = job.source.locator.nbytes or job.task is not self._task
        return self.ready and self.load < (1 if large else self.depth)

    @property
    def deadline(self) -> float:
        """When it will have taken too long."""
        if not self.ready:
            return self.since + _START_S
        return self.since + self.given[0].timeout if self.given else float("inf")

    def has_sent(self) -> bool:
        """Whether there is something to hear."""
        try:
            return self.connection.poll(0)
        except (OSError, EOFError):
            return False

    def give(self, job: Job) -> bool:
        """Hands a job over; False if nobody is there to take it."""
        try:
            self.connection.send((job.source, None if job.task is self._task else job.task))
        except OSError:
            return False
        self._task = job.task
        if not self.given:
            self.since = time.monotonic()
        self.given.append(job)
        return True

    def end(self, patience: float) -> int:
        """Waits so many seconds for the process to end itself, then kills it; its exit code."""
        self.connection.close()
        self._process.join(patience)
        self._process.kill()
        self._process.join(_BURIAL_S)
        if self._process.exitcode is None:
            _logger.debug("process %s can't be ended", self._process.pid)
        return self._process.exitcode or 0


def _check_working_folder() -> None:
    """Raises UsageError if `multiprocessing` would find no folder to start a process in."""
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise UsageError(
            "the working folder has been removed, and worker processes start in it; change to one "
            "that is there, or give -j 0"
        ) from error
