"""What the tests' workers do; each input's path says what happens to it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from inceptioncli.pipeline.recipe import Input
from inceptioncli.records import Failure


def start() -> Callable[[Input], str | Failure]:
    return answer


def start_badly() -> Callable[[Input], str]:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def answer(input: Input) -> str | Failure:
    path = input.path
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
    elif path == "memory":
        bytearray(3 << 30)
    elif path == "noise":
        os.write(2, b"native noise\n")
    elif path == "large":
        return "x" * 5_000_000
    elif path == "pid":
        return str(os.getpid())
    elif input.data is not None:
        return f"{len(input.data)} bytes"
    return f"did {path}"
