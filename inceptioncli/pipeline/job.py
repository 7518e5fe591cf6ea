"""A job: a source that is to be answered, and what becomes of it when its worker dies."""

from __future__ import annotations

import contextlib
import signal
from concurrent.futures import Future
from typing import Any

from inceptioncli.errors import ImageError
from inceptioncli.images.source import Source
from inceptioncli.pipeline.worker import Answer
from inceptioncli.records import Record

# Signals by which a process dies of its own fault. Other deaths have been brought about from
# outside (the kernel in want of memory, an operator), so the source gets another try.
_FAULTS = {
    int(getattr(signal, name))
    for name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGSYS", "SIGTRAP")
    if hasattr(signal, name)
}
_TRIES = 2


class Job:
    """A source that is to be answered, and how often that has been tried."""

    def __init__(self, source: Source, task: Any, timeout: float) -> None:
        self.source = source
        self.task = task
        self.timeout = timeout
        # Before it is read: should a worker die at it and it change meanwhile, that will show.
        self._stamp = source.stamp()
        self.future: Future[Any] = Future()
        self._begun = False
        self._tries = 0

    def begin(self) -> bool:
        """To be called before it is given away; False if nobody wants it any more."""
        self._begun = self._begun or self.future.set_running_or_notify_cancel()
        return self._begun

    def hear(self, answer: Answer) -> None:
        """Takes what a worker tells."""
        if answer.error is not None:
            self.future.set_exception(answer.error)
        else:
            self.future.set_result(answer.value)

    def fail(self, error: BaseException) -> None:
        if self.begin():
            self.future.set_exception(error)

    def too_late(self) -> Record:
        """What is told of a source that took longer than it may."""
        return self._failed("timeout", f"no answer within {self.timeout:g} s; its worker was ended")

    def blamed(self, code: int) -> Record | None:
        """What is told of a source at which a worker died; None if it may have another try."""
        self._tries += 1
        if -code in _FAULTS:
            told = f"the decoder ended its process ({manner(code)})"
            return self._failed("decoder_crashed", told)
        if self._tries < _TRIES:
            return None
        if -code == getattr(signal, "SIGKILL", None):
            message = f"its worker was killed {_TRIES} times, most often for want of memory"
            return self._failed("out_of_memory", message)
        return self._failed("decoder_crashed", f"its worker ended {_TRIES} times ({manner(code)})")

    def _failed(self, code: str, message: str) -> Record:
        return self.source.failed(ImageError(code, message, self._stamp))


def manner(code: int) -> str:
    """How a process has ended, by its exit code, in words."""
    with contextlib.suppress(ValueError):
        if code < 0:
            return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
