"""``inceptioncli weights``: list, download, path, verify, convert, remove."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from inceptioncli.cli.options import SharedOption, debug_option
from inceptioncli.cli.table import format_table
from inceptioncli.errors import OutputError, UsageError
from inceptioncli.weights.registry import DEFAULT, NAMED, named


@click.group()
@debug_option
def weights() -> None:
    """What weights there are, where they are, and whether they are sound."""


@weights.command("list")
@debug_option
def list_() -> None:
    """List the weights that have names, and those that are on this machine."""
    from inceptioncli.weights.cache import downloads_folder
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
    click.echo(f"\nDownloads: {downloads_folder()}")


@weights.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--offline", cls=SharedOption, is_flag=True, help="Never use the network.")
@debug_option
def download(names: tuple[str, ...], offline: bool) -> None:
    """Download weights (by default imagenet) into the cache, and print where they are."""
    from inceptioncli.weights.collection import choose, fetch

    for name in names or (DEFAULT,):
        named(name)
        click.echo(fetch(choose(name), offline=offline))


@weights.command()
@click.argument("name", default=DEFAULT)
@debug_option
def path(name: str) -> None:
    """Print the path of weights (by default imagenet) that are on this machine."""
    from inceptioncli.weights.collection import require_local

    click.echo(require_local(named(name)))


@weights.command()
@click.argument("given", metavar="[NAME|PATH]...", nargs=-1)
@debug_option
def verify(given: tuple[str, ...]) -> None:
    """Read weights (by default imagenet) and check hash, names, shapes and values."""
    from inceptioncli.weights.collection import verify as verify_weights

    for each in given or (DEFAULT,):
        verified = verify_weights(each)
        graph = verified.weights.model.graph
        head = "with" if graph.aux else "without"
        click.echo(
            f"{verified.path}: sound; {len(verified.weights.arrays)} variables, "
            f"{graph.classes} classes, depth multiplier {graph.depth_multiplier:g}, "
            f"{head} aux head, SHA-256 {verified.sha256}"
        )


@weights.command()
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST.safetensors", type=click.Path(path_type=Path))
@click.option("--labels", metavar="FILE", type=click.Path(path_type=Path), help="Class names.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="Of the arrays in the file; float16 halves it and is read as float32.",
)
@click.option("--overwrite", is_flag=True, help="Replace DST if it exists.")
@click.option("--offline", cls=SharedOption, is_flag=True, help="Never use the network.")
@debug_option
def convert(
    source: str,
    destination: Path,
    labels: Path | None,
    dtype: str,
    overwrite: bool,
    offline: bool,
) -> None:
    """Convert weights of any known layout to .safetensors: the whole model in one file."""
    if destination.suffix != ".safetensors":
        raise UsageError(f"{destination}: expected a name that ends in .safetensors")
    if destination.exists() and not overwrite:
        raise OutputError(f"{destination} exists; give --overwrite to replace it")

    from inceptioncli.labels import check_count, read_labels
    from inceptioncli.weights.collection import choose, load
    from inceptioncli.weights.formats.own import write_safetensors

    content = load(choose(source), offline=offline)
    if labels is not None:
        given = read_labels(labels)
        check_count(given, content.model.graph.classes, str(labels))
        content = replace(content, model=replace(content.model, labels=given))
    write_safetensors(destination, content, dtype=dtype)


@weights.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@debug_option
def remove(names: tuple[str, ...]) -> None:
    """Delete downloaded weights, and the graphs compiled from them, from the cache."""
    from inceptioncli.engine.compile import forget
    from inceptioncli.weights.collection import remove as remove_download

    for name in names:
        entry = named(name)
        deleted = [*remove_download(entry), *forget(entry.sha256)]
        for file in deleted:
            click.echo(f"removed {file}", err=True)
        if not deleted:
            click.echo(f"{name}: nothing to remove", err=True)
