"""The program: its commands, what it does with errors and signals, and how it ends."""

from __future__ import annotations

import errno
import importlib
import io
import logging
import os
import re
import signal
import sys
import warnings
from types import FrameType
from typing import Any, NoReturn, TextIO

import click

from inceptioncli.cli.options import ENVIRONMENT_PREFIX, LOGGER, debug_option
from inceptioncli.errors import ExitCode, InceptionError
from inceptioncli.noise import claim_process
from inceptioncli.terminal import printable
from inceptioncli.version import __version__

# What the dynamic linker, Python's threads, LiteRT and the system say of it.
_WANT_OF_MEMORY = re.compile(
    "failed to map segment|cannot allocate memory|failed to allocate|can't start new thread", re.I
)

_COMMANDS = ("classify", "features", "model", "train", "weights")


class _Commands(click.Group):
    """Commands whose modules, each named as its command, are imported when they are asked for."""

    def __init__(self, **options: Any) -> None:
        # By their names Click lists commands, and suggests one for what is misspelt.
        super().__init__(commands={name: click.Command(name) for name in _COMMANDS}, **options)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"inceptioncli.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(
    cls=_Commands,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "auto_envvar_prefix": ENVIRONMENT_PREFIX,
    },
)
@click.version_option(
    __version__,
    "-V",
    "--version",
    prog_name="inceptioncli",
    allow_from_autoenv=False,  # Images and scripts set INCEPTIONCLI_VERSION for their own use.
)
@debug_option
def cli() -> None:
    """Labels and features from images, with InceptionV3.

    Classify a picture:  inceptioncli classify photo.jpg
    """


def run() -> NoReturn:
    """Runs the command line and exits with the design's exit codes."""
    _open_missing_streams()
    claim_process()
    logger = logging.getLogger(LOGGER)
    handler = logging.StreamHandler(_own_stderr())
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    # TensorFlow's absl gives the root logger a handler, which would say everything twice.
    logger.propagate = False
    logger.setLevel(logging.INFO)
    # What Pillow warns of is either harmless or an error of ours, with a record.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # nohup has SIGHUP ignored, and means it.
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _terminate)
    try:
        code = _exit_code(logger)
    except Exception as error:
        told = f"a bug of inceptioncli: {type(error).__name__}: {error}"
        code = _fail(logger, f"{told}; --debug shows where", ExitCode.BUG)
    sys.exit(code)


def _exit_code(logger: logging.Logger) -> int:
    try:
        if callable(signal.getsignal(signal.SIGINT)):  # not ignored, as in the background
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except InceptionError as error:
        return _fail(logger, str(error), error.exit_code)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        for line in shown.getvalue().rstrip("\n").split("\n"):
            click.echo(printable(line), err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return ExitCode.INTERRUPTED
    except SystemExit as error:
        # Click's `main` turns a closed pipe into exit code 1; nothing else here exits so.
        if error.code == ExitCode.BUG:
            _drop_stdout()
            return ExitCode.PIPE_CLOSED
        raise
    except BrokenPipeError:
        _drop_stdout()
        return ExitCode.PIPE_CLOSED
    except Exception as error:
        if _is_want_of_memory(error):
            told = "there is not enough memory, or `ulimit -v` allows too little of it"
            return _fail(logger, f"{told}: {_last_line(error)}", ExitCode.BUG)
        if not isinstance(error, OSError) or error.filename is not None:
            raise  # A bug; as is what is about a file, and nobody foresaw. A stream has no name.
        closed = error.errno == errno.EBADF  # see `_open_missing_streams`
        why = "standard output is closed" if closed else error.strerror or error
        code = _fail(logger, f"cannot write results: {why}", ExitCode.OUTPUT)
        _drop_stdout()
    return code if isinstance(code, int) else ExitCode.OK


def _fail(logger: logging.Logger, message: str, code: int) -> int:
    if logger.isEnabledFor(logging.DEBUG):
        logger.exception("error")
    else:
        click.echo(f"Error: {printable(message)}", err=True)
    return code


def _is_want_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or what it comes from, is that memory or address space is used up."""
    while error is not None:
        if isinstance(error, MemoryError) or _WANT_OF_MEMORY.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _last_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1]


def _own_stderr() -> TextIO:
    """Standard error on a descriptor of its own, for what a thread says while `noise` hides 2."""
    encoding = sys.stderr.encoding
    return open(os.dup(2), "w", encoding=encoding, errors="backslashreplace", buffering=1)


def _open_missing_streams() -> None:
    """Opens what the caller has closed, before some other file gets its number.

    Results that can't be written are an error, so writing to standard output fails; messages and
    an empty input are none.
    """
    for number, name, mode, flags in (
        (0, "stdin", "r", os.O_RDONLY),
        (1, "stdout", "w", os.O_RDONLY),
        (2, "stderr", "w", os.O_WRONLY),
    ):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
            setattr(sys, name, os.fdopen(number, mode))


def _drop_stdout() -> None:
    """Sends what is still buffered nowhere; flushed at exit it would fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)  # as shells have it: 143 for SIGTERM, 129 for SIGHUP
