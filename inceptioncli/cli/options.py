"""Options that several commands share, each said once."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from inceptioncli.engine.base import DEVICES, PRECISIONS
from inceptioncli.weights.registry import DEFAULT

ENVIRONMENT_PREFIX = "INCEPTIONCLI"
LOGGER = "inceptioncli"

F = TypeVar("F", bound=Callable[..., Any])


class SharedOption(click.Option):
    """An option that also comes from ``INCEPTIONCLI_<OPTION>``, for all commands at once.

    ``INCEPTIONCLI_<COMMAND>_<OPTION>`` wins over it, as the more specific.
    """

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Looks at the command's variable first, then at the shared one."""
        shared = f"{ENVIRONMENT_PREFIX}_{(self.name or '').upper()}"
        return super().resolve_envvar_value(ctx) or os.environ.get(shared) or None


def graph_options(command: F) -> F:
    """The options of every command that runs the graph."""
    for option in reversed(
        (
            click.option(
                "-w",
                "--weights",
                cls=SharedOption,
                metavar="NAME|PATH",
                default=DEFAULT,
                show_default=True,
                help="Weights by name (see `inceptioncli weights list`), or a weight file: Keras "
                ".h5, slim checkpoint, frozen .pb, or .safetensors.",
            ),
            click.option(
                "--labels",
                cls=SharedOption,
                metavar="FILE",
                type=click.Path(readable=False),
                help="Class names, one a line or JSON, in place of the model's own.",
            ),
            click.option(
                "--device",
                cls=SharedOption,
                metavar="DEVICE",
                default="auto",
                show_default=True,
                help=f"{DEVICES}. auto takes a GPU when there is one and there are enough "
                "images to repay its start.",
            ),
            click.option(
                "--precision",
                cls=SharedOption,
                type=click.Choice(PRECISIONS),
                default="float32",
                show_default=True,
                help="Arithmetic: float32 or int8 on the CPU; float32, bfloat16 or float16 on "
                "a GPU.",
            ),
            click.option(
                "--crop",
                cls=SharedOption,
                metavar="FRACTION",
                type=click.FloatRange(0, 1, min_open=True),
                help="Central part of each side that is kept before resizing; 1.0 is the whole "
                "image, 0.875 is slim's published evaluation.  [default: the model's, "
                "mostly 1.0]",
            ),
            click.option(
                "--offline", cls=SharedOption, is_flag=True, help="Never use the network."
            ),
        )
    ):
        command = option(command)
    return command


def input_options(command: F) -> F:
    """The arguments and options that name inputs."""
    for option in (
        click.option(
            "-0",
            "nul_separated",
            is_flag=True,
            help="Entries of the input list end with NUL (find -print0).",
        ),
        click.option(
            "-i",
            "--input-list",
            metavar="FILE",
            type=click.File("rb", lazy=False),
            help="File with paths, one a line; - for standard input.",
        ),
        # Readable or not is for the record to say; Click would refuse the whole run.
        click.argument("paths", nargs=-1, type=click.Path(readable=False)),
    ):
        command = option(command)
    return command


def debug_option(command: F) -> F:
    """``--debug``, for the group and every command."""
    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_set_debug,
        help="Show tracebacks and what native libraries print.",
    )(command)


def _set_debug(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        logging.getLogger(LOGGER).setLevel(logging.DEBUG)
