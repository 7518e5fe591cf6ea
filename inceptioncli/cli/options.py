"""Options that several commands share, each said once."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable
from io import BufferedReader
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import click

from inceptioncli.architecture import ACTIVATIONS, Activation
from inceptioncli.choices import DEVICES, PRECISIONS
from inceptioncli.weights.registry import DEFAULT

if TYPE_CHECKING:
    from pathlib import Path

    from inceptioncli.classifier import Classifier
    from inceptioncli.images.inputs import Inputs

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


def collected(name: str, kind: type[Any], *options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one argument of the command: ``name``, a NamedTuple of their values."""

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def collecting(**values: Any) -> Any:
            fields = {field: values.pop(field) for field in kind._fields}
            return command(**values, **{name: kind(**fields)})

        decorated: Any = collecting
        for option in reversed(options):
            decorated = option(decorated)
        return cast(F, decorated)

    return decorate


class GraphOptions(NamedTuple):
    """Which graph runs, where, and on what part of the picture."""

    weights: str
    labels: str | None
    device: str
    precision: str
    crop: float | None
    activation: Activation | None
    image_size: int | None
    exact_decode: bool
    offline: bool

    def load(
        self, inputs: Inputs, output: Path | None = None, *, for_classes: bool = False
    ) -> Classifier:
        """The classifier for these inputs, and for what they continue; as `inceptioncli.load`."""
        from inceptioncli.classifier import load
        from inceptioncli.engine.devices import IMAGES_THAT_REPAY_A_GPU, number_decides

        enough = IMAGES_THAT_REPAY_A_GPU if number_decides(self.device, self.precision) else 2
        return load(
            self.weights,
            device=self.device,
            precision=self.precision,
            labels=self.labels,
            crop=self.crop,
            activation=self.activation,
            image_size=self.image_size,
            exact_decode=self.exact_decode,
            offline=self.offline,
            at_least=None if inputs.streamed else inputs.peek(enough),
            output=output,
            for_classes=for_classes,
        )


def untold_options(command: F) -> F:
    """What is asked for weight files that can't tell it; those that can are right."""
    activation = click.option(
        "--activation",
        cls=SharedOption,
        type=click.Choice(ACTIVATIONS),
        help="What makes probabilities of the classifier's outputs, for weight files that can't "
        "tell: softmax over all classes, or the sigmoid of each.  [default: the file's, else "
        "softmax]",
    )
    image_size = click.option(
        "--image-size",
        cls=SharedOption,
        metavar="N",
        type=click.IntRange(min=1),
        help="Side of the square input, for weight files that can't tell; 75 at least.  "
        "[default: the file's, else 299]",
    )
    return activation(image_size(command))


# The options of every command that runs the graph.
graph_options = collected(
    "graph",
    GraphOptions,
    click.option(
        "-w",
        "--weights",
        cls=SharedOption,
        metavar="NAME|PATH",
        default=DEFAULT,
        show_default=True,
        help="Weights by name (see `inceptioncli weights list`), or a weight file: Keras "
        ".h5, .weights.h5 or .keras, slim checkpoint, frozen .pb, or .safetensors.",
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
        "images to repay its start; a list that comes through a pipe is not waited for, and "
        "an output is continued on what it was begun on.",
    ),
    click.option(
        "--precision",
        cls=SharedOption,
        type=click.Choice(PRECISIONS),
        default="float32",
        show_default=True,
        help="Arithmetic: float32 or int8 on the CPU; float32, bfloat16 or float16 on a GPU.",
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
    untold_options,
    click.option(
        "--exact-decode",
        cls=SharedOption,
        is_flag=True,
        help="Decode and weigh every pixel of large pictures; by default they are scaled down on "
        "the way, which takes a quarter of the time and changes values by a fifth of a grey level.",
    ),
    click.option("--offline", cls=SharedOption, is_flag=True, help="Never use the network."),
)


no_follow_option = click.option(
    "--no-follow",
    is_flag=True,
    help="Enter no folder that a link in a folder leads to; linked files are read all the same.",
)


class NamedInputs(NamedTuple):
    """What the user names: paths, and a list of more."""

    paths: tuple[str, ...]
    input_list: BufferedReader | None
    nul_separated: bool
    no_follow: bool

    def open(self) -> Inputs:
        """The inputs; raises click.UsageError for what makes no sense."""
        if self.nul_separated and self.input_list is None:
            raise click.UsageError("-0 goes with --input-list.")
        if not self.paths and self.input_list is None:
            raise click.UsageError(
                "No images given. Name files or folders, - for standard input, or "
                "--input-list FILE."
            )
        if self.paths.count("-") + (self.input_list is sys.stdin.buffer) > 1:
            raise click.UsageError("Standard input can be read only once.")
        from inceptioncli.images.inputs import Inputs

        return Inputs(
            self.paths,
            self.input_list,
            nul_separated=self.nul_separated,
            follow=not self.no_follow,
        )


input_options = collected(
    "named",
    NamedInputs,
    # Readable or not is for the record to say; Click would refuse the whole run.
    click.argument("paths", nargs=-1, type=click.Path(readable=False)),
    click.option(
        "-i",
        "--input-list",
        metavar="FILE",
        type=click.File("rb", lazy=False),
        help="File with paths, one a line; - for standard input.",
    ),
    click.option(
        "-0",
        "nul_separated",
        is_flag=True,
        help="Entries of the input list end with NUL (find -print0).",
    ),
    no_follow_option,
)


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
