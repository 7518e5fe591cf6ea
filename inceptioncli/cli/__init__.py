"""The command line: parse, call the library, show; the one place with exit codes and messages."""

from __future__ import annotations

import logging
import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import click

from inceptioncli import __version__
from inceptioncli.cli.classify import classify
from inceptioncli.cli.model import model
from inceptioncli.cli.options import ENVIRONMENT_PREFIX, LOGGER, debug_option
from inceptioncli.cli.train import train
from inceptioncli.cli.weights import weights
from inceptioncli.errors import InceptionError
from inceptioncli.terminal import printable

INTERRUPTED = 130
TERMINATED = 143
PIPE_CLOSED = 141
CANNOT_WRITE = 6


class _PipeClosedError(Exception):
    """Whoever read our results has gone."""


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        """Renames a closed pipe, which Click's `main` would turn into exit code 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _PipeClosedError from error


@click.group(
    cls=_Commands,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "auto_envvar_prefix": ENVIRONMENT_PREFIX,
    },
)
@click.version_option(__version__, "-V", "--version", prog_name="inceptioncli")
@debug_option
def cli() -> None:
    """Labels and features from images, with InceptionV3.

    Classify a picture:  inceptioncli classify photo.jpg
    """


for _command in (classify, train, model, weights):
    cli.add_command(_command)


def main() -> NoReturn:
    """Runs the command line and exits with the design's exit codes."""
    logger = logging.getLogger(LOGGER)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    # TensorFlow's absl gives the root logger a handler, which would say everything twice.
    logger.propagate = False
    logger.setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(_run(logger))


def _run(logger: logging.Logger) -> int:
    try:
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except InceptionError as error:
        if logger.isEnabledFor(logging.DEBUG):
            logger.exception("error")
        else:
            click.echo(f"Error: {printable(str(error))}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except _PipeClosedError:
        _drop_stdout()
        return PIPE_CLOSED
    except OSError as error:
        if logger.isEnabledFor(logging.DEBUG):
            raise
        click.echo(f"Error: cannot write results: {error.strerror or error}", err=True)
        _drop_stdout()
        return CANNOT_WRITE
    return code if isinstance(code, int) else 0


def _drop_stdout() -> None:
    """Sends what is still buffered nowhere; flushed at exit it would fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(TERMINATED)
