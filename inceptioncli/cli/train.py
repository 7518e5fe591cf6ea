"""``inceptioncli train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from inceptioncli.architecture import AUX_IMAGE_SIZES
from inceptioncli.choices import MODES, OPTIMIZERS, Mode, Optimizer
from inceptioncli.cli.options import SharedOption, debug_option, no_follow_option
from inceptioncli.errors import ExitCode
from inceptioncli.labels import counted
from inceptioncli.terminal import printable
from inceptioncli.weights.registry import DEFAULT

if TYPE_CHECKING:
    from inceptioncli.training import Trained


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="MODEL.safetensors",
    type=click.Path(path_type=Path),
    help="The model to write; metrics (.metrics.csv) and curve (.curve.png) appear beside it.",
)
@click.option(
    "--labels-csv",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Table with columns path,label in place of class folders; paths are relative to DATA.",
)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="head",
    show_default=True,
    help="head: the softmax layer on fixed features, by logistic regression; full: the whole "
    "graph, with TensorFlow.",
)
@click.option(
    "--from",
    "from_",
    metavar="NAME|PATH|none",
    envvar="INCEPTIONCLI_TRAIN_FROM",
    default=DEFAULT,
    show_default=True,
    help="Weights to start from; none for random ones.",
)
@click.option(
    "--depth-multiplier",
    type=click.FloatRange(0, min_open=True),
    help="Width of the graph, for --mode full --from none.  [default: 1.0]",
)
@click.option(
    "--image-size",
    type=click.IntRange(*AUX_IMAGE_SIZES),
    help="Side of the input, for --mode full --from none.  [default: 299]",
)
@click.option(
    "--freeze-until", metavar="END_POINT", help="Learn only beyond this end point (--mode full)."
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    help="Passes over the images (--mode full).  [default: 30]",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Images in a step (--mode full).  [default: 32]",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, min_open=True),
    help="Highest of the schedule (--mode full).  [default: 0.001 with adamw, 0.045 with rmsprop]",
)
@click.option(
    "--optimizer",
    type=click.Choice(OPTIMIZERS),
    default="adamw",
    show_default=True,
    help="adamw with warm-up and cosine decay, or the paper's rmsprop (--mode full).",
)
@click.option(
    "--validation",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.1,
    show_default=True,
    help="Fraction of each class to measure on.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of all chance."
)
@click.option(
    "--crop",
    cls=SharedOption,
    metavar="FRACTION",
    type=click.FloatRange(0, 1, min_open=True),
    help="Central part of each side that is kept before resizing.  [default: the start's, "
    "mostly 1.0]",
)
@click.option("--offline", cls=SharedOption, is_flag=True, help="Never use the network.")
@no_follow_option
@click.option(
    "--overwrite", is_flag=True, help="Replace the model, and whatever an unfinished run left."
)
@debug_option
def train(
    data: Path,
    output: Path,
    labels_csv: Path | None,
    mode: Mode,
    from_: str,
    depth_multiplier: float | None,
    image_size: int | None,
    freeze_until: str | None,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    optimizer: Optimizer,
    validation: float,
    seed: int,
    crop: float | None,
    offline: bool,
    no_follow: bool,
    overwrite: bool,
) -> ExitCode:
    """Train a model for your own classes.

    DATA is a folder with one folder of images per class. A folder that is named by a WordNet id
    gets ImageNet's name for it. An interrupted run goes on with the same command. What the
    validation images are judged best with is kept: the strength of the regularisation with the
    lowest log loss of a head, the epoch with the best accuracy of a whole graph.

    Exit codes: 0 trained; 2 usage, data that can't be used, or a loss that became NaN (the last
    good epoch is kept); 3 trained, but some images were skipped; 5 weights missing or wrong;
    6 output exists or can't be written; 7 an unfinished run of something else is in the way.
    """
    from inceptioncli import training
    from inceptioncli.training import data as labelled_data
    from inceptioncli.training.options import Options

    training.require(mode)

    options = Options(
        mode=mode,
        start=None if from_ == "none" else from_,
        optimizer=optimizer,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        validation=validation,
        seed=seed,
        depth_multiplier=depth_multiplier,
        image_size=image_size,
        freeze_until=freeze_until,
        crop=crop,
        offline=offline,
    )
    if labels_csv:
        labelled = labelled_data.from_csv(labels_csv, data)
    else:
        labelled = labelled_data.from_folders(data, follow=not no_follow)
    origin = str(labels_csv or data)
    try:
        trained = training.train(labelled, options, output, origin=origin, overwrite=overwrite)
    except KeyboardInterrupt:
        click.echo("what is done is kept: the same command goes on from here", err=True)
        raise
    return _report(trained, output)


def _report(trained: Trained, output: Path) -> ExitCode:
    """Says what came of it."""
    for skipped in trained.skipped:
        click.echo(f"skipped {printable(skipped.path)}: {skipped.message}", err=True)
    facts = trained.facts
    if "strength" in facts:
        judged = (
            f"log loss {facts['validation_log_loss']:.4f}, "
            f"calibration error {facts['validation_calibration_error']:.3f} "
            f"(strength {facts['strength']:.2g}, temperature {facts['temperature']:.2f})"
        )
    else:
        judged = f"best epoch {facts['best_epoch']}"
    click.echo(
        f"{output}: validation accuracy {facts['validation_accuracy']:.1%}, {judged}, "
        f"{counted(len(trained.skipped), 'image', 'images')} skipped",
        err=True,
    )
    if trained.diverged_in is not None:
        click.echo(
            f"the loss became NaN in epoch {trained.diverged_in}; the best epoch before it was "
            "kept. Lower --learning-rate",
            err=True,
        )
        return ExitCode.USAGE
    return ExitCode.SOME_FAILED if trained.skipped else ExitCode.OK
