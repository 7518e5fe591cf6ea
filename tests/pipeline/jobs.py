"""What the tests' workers do; each input's path says what happens to it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from inceptioncli.errors import ImageError
from inceptioncli.images.read import Found
from inceptioncli.images.source import Content, Locator, Source
from inceptioncli.records import FileStamp

Answer = Callable[[Any, Source, Any], Any]


class Nothing(Locator):
    """Where nothing is to be read."""

    def read(self, most: int | None = None) -> Found:
        return Found(b"")


class Clock(Locator):
    """Whose content is the time at which it has been read."""

    def read(self, most: int | None = None) -> Found:
        time.sleep(0.01)
        return Found(repr(time.monotonic()).encode())


class Immense:
    """Whose pickle does not fit into a worker's memory."""

    def __reduce__(self) -> tuple[Any, ...]:
        return bytes, (bytes(3 << 30),)


class Unreceivable(Locator):
    """Whose pickle can't be read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("no number",)


class TooClumsyError(Exception):
    """It can't be pickled: what it is made from is not what it keeps."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class SpeechlessError(Exception):
    """It can't say what it is about."""

    def __str__(self) -> str:
        raise LookupError

    def __reduce__(self) -> str:
        raise LookupError


class ForgetfulError(Exception):
    """Its pickle is another exception: what it was made from is lost."""

    def __init__(self, one: str = "nothing") -> None:
        super().__init__(f"{one} and more")


class PanicError(BaseException):
    """As a Rust extension's panic: no Exception."""


def sources(paths: Iterable[str]) -> Iterator[Source]:
    return (Source(path, Nothing()) for path in paths)


def start() -> Answer:
    return answer


def start_badly() -> Answer:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def start_never() -> Answer:
    time.sleep(1000)
    raise AssertionError


def answer(found: Found, source: Source, task: Any) -> Any:
    path = source.path
    if path.startswith("signal "):
        os.kill(os.getpid(), int(path.split()[1]))
    elif path.startswith("once "):  # dies the first time only
        _, number, flag = path.split(" ", 2)
        if not Path(flag).exists():
            Path(flag).touch()
            os.kill(os.getpid(), int(number))
    elif path.startswith("exit "):
        os._exit(int(path.split()[1]))
    elif path.startswith("sleep "):
        time.sleep(float(path.split()[1]))
    elif path == "loop":
        while True:
            pass
    elif path == "bug":
        raise ZeroDivisionError("a bug")
    elif path == "clumsy":
        raise TooClumsyError(1, 2)
    elif path == "speechless":
        raise SpeechlessError
    elif path == "forgetful":
        raise ForgetfulError("one")
    elif path == "panic":
        raise PanicError("index out of bounds")
    elif path == "image":
        raise ImageError("truncated", "too short", FileStamp(3, "then"))
    elif path == "lambda":
        return lambda: None
    elif path == "immense":
        return Immense()
    elif path == "clock":
        time.sleep(0.05)
        return float(found.content), time.monotonic()
    elif path == "task":
        return task
    elif path == "memory":
        bytearray(3 << 30)
    elif path == "noise":
        os.write(2, b"native noise\n")
    elif path == "large":
        return "x" * 5_000_000
    elif path == "pid":
        return str(os.getpid())
    elif isinstance(source.locator, Content):
        return f"{len(found.content)} bytes"
    return f"did {path}"
