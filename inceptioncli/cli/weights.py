"""``inceptioncli weights``: list, download, path, verify, convert, remove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from inceptioncli.architecture import Activation
from inceptioncli.choices import DTYPES, INPUT_SCALES, InputScale
from inceptioncli.cli.options import SharedOption, debug_option, untold_options
from inceptioncli.cli.table import format_table
from inceptioncli.errors import ExitCode, OutputError, UsageError, WeightsError
from inceptioncli.labels import check_count, counted, read_labels
from inceptioncli.terminal import printable
from inceptioncli.weights.registry import DEFAULT, NAMED, named


@click.group()
@debug_option
def weights() -> None:
    """List, download, verify, convert and remove weights."""


@weights.command("list")
@debug_option
def list_() -> None:
    """List the weights that have names, and where they are.

    Then what is compiled, if anything is: from which weights, and what it takes with the weights
    packed for processors.
    """
    from inceptioncli.cache import compiled_folder, downloads_folder
    from inceptioncli.engine.kept import kept
    from inceptioncli.weights.collection import state

    rows = [("NAME", "LAYOUT", "STATE", "CLASSES", "MB", "ABOUT")]
    for entry in NAMED.values():
        rows.append(
            (
                entry.name,
                entry.layout,
                state(entry),
                str(entry.classes),
                f"{entry.bytes / 1e6:.0f}",
                entry.about,
            )
        )
    click.echo(format_table(rows, numbers=(3, 4)))
    try:
        downloads, graphs = downloads_folder(), kept()
    except OutputError as error:  # no home
        click.echo(f"\n{error}", err=True)
        return
    click.echo(f"\nDownloads: {downloads}")
    compiled = [("COMPILED FROM", "PRECISION", "MB")]
    for graph in graphs:
        name = f"{graph.name} ({graph.variant})" if graph.variant else graph.name
        compiled.append((printable(name), graph.precision, f"{graph.bytes / 1e6:.0f}"))
    if len(compiled) > 1:
        click.echo(f"\n{format_table(compiled, numbers=(2,))}")
        click.echo(f"\nCompiled: {compiled_folder()}")


@weights.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--offline", cls=SharedOption, is_flag=True, help="Never use the network.")
@debug_option
def download(names: tuple[str, ...], offline: bool) -> None:
    """Download weights into the cache.

    By default imagenet. Prints where they are.
    """
    from inceptioncli.weights.collection import choose, fetch

    for name in names or (DEFAULT,):
        named(name)
        click.echo(fetch(choose(name), offline=offline, keep=True))


@weights.command()
@click.argument("name", default=DEFAULT)
@debug_option
def path(name: str) -> None:
    """Print where the file of named weights is.

    By default that of imagenet; an error if it is not on this machine.
    """
    from inceptioncli.weights.collection import require_local

    click.echo(require_local(named(name)))


@weights.command()
@click.argument("given", metavar="[NAME|PATH]...", nargs=-1)
@debug_option
def verify(given: tuple[str, ...]) -> int:
    """Check that weights are sound.

    Reads all of them (by default imagenet) and checks hash, names, shapes and values. Exit code 5
    if any is not sound.
    """
    from inceptioncli.weights.collection import verify as verify_weights
    from inceptioncli.weights.model import WITHOUT_TOP

    code = ExitCode.OK
    for each in given or (DEFAULT,):
        try:
            verified = verify_weights(each)
        except WeightsError as error:
            click.echo(f"Error: {printable(str(error))}", err=True)
            code = error.exit_code
            continue
        model = verified.weights.model
        graph = model.graph
        classes = counted(graph.classes, "class", "classes")
        if graph.activation != "softmax":
            classes += f" ({graph.activation})"
        head = "with" if graph.aux else "without"
        sound = "sound"
        if not graph.classes:
            sound += f" for features only ({printable(model.features_only or WITHOUT_TOP)})"
        click.echo(
            f"{printable(str(verified.path))}: {sound}; {len(verified.weights.arrays)} variables, "
            f"{classes}, depth multiplier {graph.depth_multiplier:g}, "
            f"{head} aux head, SHA-256 {verified.sha256}"
        )
    return code


@weights.command()
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST.safetensors", type=click.Path(path_type=Path))
@click.option("--labels", metavar="FILE", type=click.Path(path_type=Path), help="Class names.")
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    default="float32",
    show_default=True,
    help="Of the arrays in the file; float16 halves it and is read as float32.",
)
@untold_options
@click.option(
    "--input-scale",
    type=click.Choice(INPUT_SCALES),
    help="The pixels that the network was trained on: folded into the first convolution, exactly. "
    "imagenet is 0..1, less ImageNet's mean, by its deviation, of each channel.  [default: -1..1]",
)
@click.option("--overwrite", is_flag=True, help="Replace DST if it exists.")
@click.option("--offline", cls=SharedOption, is_flag=True, help="Never use the network.")
@debug_option
def convert(
    source: str,
    destination: Path,
    labels: Path | None,
    dtype: str,
    activation: Activation | None,
    image_size: int | None,
    input_scale: InputScale | None,
    overwrite: bool,
    offline: bool,
) -> None:
    """Convert weights to one .safetensors file.

    SRC is a name or a file of any known layout. DST holds the whole model: weights, class names,
    preprocessing.
    """
    if destination.suffix != ".safetensors":
        raise UsageError(f"{destination}: expected a name that ends in .safetensors")
    if not destination.absolute().parent.is_dir():
        raise OutputError(f"{destination}: there is no such folder; make it first")
    if destination.exists() and not overwrite:
        raise OutputError(f"{destination} exists; give --overwrite to replace it")

    from inceptioncli.weights.collection import choose, load
    from inceptioncli.weights.folding import with_input_scale
    from inceptioncli.weights.formats.own import write_safetensors

    chosen = choose(source, activation=activation, image_size=image_size)
    content = load(chosen, offline=offline)
    if input_scale is not None:
        content = with_input_scale(content, input_scale, source)
    if labels is not None:
        given = read_labels(labels)
        check_count(given, content.model.graph.classes, str(labels))
        content = replace(content, model=replace(content.model, labels=given))
    write_safetensors(destination, content, dtype=dtype)
    click.echo(destination)


@weights.command()
@click.argument("given", metavar="[NAME|PATH]...", nargs=-1)
@click.option(
    "--unused",
    is_flag=True,
    help="Delete graphs compiled by other versions or from weights that are not here any more, and "
    "what killed runs and downloads left.",
)
@debug_option
def remove(given: tuple[str, ...], unused: bool) -> None:
    """Delete downloads and compiled graphs.

    Of a name, the downloaded file and the graphs compiled from it; of a path, the compiled graphs
    alone: the file is yours.
    """
    from inceptioncli.engine import kept
    from inceptioncli.weights import collection

    if unused and given:
        raise click.UsageError("--unused goes without names and paths.")
    if unused:
        _tell_of(kept.remove_unused(), "nothing to remove")
    elif not given:
        raise click.MissingParameter(param_hint="'NAME|PATH...'", param_type="argument")
    for each in given:
        chosen = collection.choose(each)
        deleted = collection.remove(chosen.named) if chosen.named else []
        _tell_of(deleted + kept.forget(chosen.sha256), f"{each}: nothing to remove")


def _tell_of(deleted: Sequence[Path], nothing: str) -> None:
    for file in deleted:
        click.echo(f"removed {printable(str(file))}", err=True)
    if not deleted:
        click.echo(printable(nothing), err=True)
