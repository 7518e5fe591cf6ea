"""``inceptioncli model``."""

from __future__ import annotations

from collections.abc import Sequence
from json import dumps

import click

from inceptioncli.architecture import ACTIVATIONS, Activation, Graph
from inceptioncli.cli.options import debug_option
from inceptioncli.cli.table import format_table
from inceptioncli.summary import Shape, Summary, summarize


@click.command()
@click.option("--layers", is_flag=True, help="Every convolution, in place of the end points.")
@click.option("--json", is_flag=True, help="Everything as JSON.")
@click.option(
    "--image-size",
    type=click.IntRange(min=1),
    default=299,
    show_default=True,
    help="Side of the square input: 75 to 2048, with the aux head 107 to 346.",
)
@click.option(
    "--depth-multiplier",
    type=float,
    default=1.0,
    show_default=True,
    help="Factor on every convolution's filters (16 at least).",
)
@click.option(
    "--classes",
    type=click.IntRange(min=0),
    default=1001,
    show_default=True,
    help="Outputs of the classifier; 0 for none.",
)
@click.option(
    "--activation",
    type=click.Choice(ACTIVATIONS),
    default="softmax",
    show_default=True,
    help="What makes Predictions of Logits; one class takes sigmoid.",
)
@click.option(
    "--aux/--no-aux", default=True, show_default=True, help="The auxiliary head, used in training."
)
@debug_option
def model(
    layers: bool,
    json: bool,
    image_size: int,
    depth_multiplier: float,
    classes: int,
    activation: Activation,
    aux: bool,
) -> None:
    """Show the InceptionV3 graph in figures.

    End points with shapes, parameters and multiply-adds. Parameters count the batch-norm
    statistics; those of an end point are its own, the last column adds them up.
    """
    summary = summarize(
        Graph(
            image_size=image_size,
            classes=classes,
            depth_multiplier=depth_multiplier,
            aux=aux,
            activation=activation,
        )
    )
    if json:
        click.echo(_as_json(summary))
    else:
        click.echo(_layer_table(summary) if layers else _end_point_table(summary))


def _as_json(summary: Summary) -> str:
    fields = {
        "image_size": summary.graph.image_size,
        "classes": summary.graph.classes,
        "activation": summary.graph.activation,
        "parameters": summary.parameters,
        "multiply_adds": summary.multiply_adds,
        "end_points": [end._asdict() for end in summary.end_points],
        "layers": [layer._asdict() for layer in summary.layers],
    }
    return dumps(fields, indent=2)


def _end_point_table(summary: Summary) -> str:
    so_far = 0
    rows: list[Sequence[str]] = [("END POINT", "SHAPE", "PARAMETERS", "MULTIPLY-ADDS", "SO FAR")]
    for end in summary.end_points:
        so_far += end.parameters
        rows.append(
            (
                end.name,
                _shape(end.shape),
                f"{end.parameters:,}",
                _millions(end.multiply_adds),
                f"{so_far:,}",
            )
        )
    return f"{format_table(rows, numbers=(2, 3, 4))}\n{_total(summary)}"


def _layer_table(summary: Summary) -> str:
    rows: list[Sequence[str]] = [
        ("CONVOLUTION", "KERNEL", "PADDING", "OUTPUT", "STRIDE", "PARAMETERS", "MULTIPLY-ADDS")
    ]
    for layer in summary.layers:
        rows.append(
            (
                layer.name,
                _shape(layer.kernel),
                layer.padding,
                _shape(layer.output),
                str(layer.stride),
                f"{layer.parameters:,}",
                _millions(layer.multiply_adds),
            )
        )
    return f"{format_table(rows, numbers=(4, 5, 6))}\n{_total(summary)}"


def _total(summary: Summary) -> str:
    size, activation = summary.graph.image_size, summary.graph.activation
    return (
        f"{summary.parameters:,} parameters, {summary.multiply_adds / 1e9:.2f} G multiply-adds "
        f"for one image of {size}x{size}"
    ) + ("" if activation == "softmax" else f"; Predictions by {activation}")


def _shape(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M"
