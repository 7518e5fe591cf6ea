"""A training run in figures: a row for each epoch or strength, as CSV and as a curve."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from inceptioncli.files import replacing


class Epoch(NamedTuple):
    """An epoch's metrics; accuracies are top-1, in [0, 1]. Training's are under augmentation."""

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


class Strength(NamedTuple):
    """What a strength of the regularisation gives: log losses in nats, accuracy in [0, 1]."""

    strength: float
    training_log_loss: float
    validation_log_loss: float
    validation_accuracy: float


# What is drawn, side by side: the title of an axis, and the fields along it with their names.
Panels = Mapping[str, Mapping[str, str]]
EPOCH_PANELS: Panels = {
    "loss": {"loss": "training", "validation_loss": "validation"},
    "accuracy": {"accuracy": "training", "validation_accuracy": "validation"},
}
STRENGTH_PANELS: Panels = {
    "log loss": {"training_log_loss": "training", "validation_log_loss": "validation"},
    "accuracy": {"validation_accuracy": "validation"},
}


def write(output: Path, rows: Sequence[Epoch] | Sequence[Strength]) -> None:
    """Writes ``.metrics.csv`` and ``.curve.png`` beside a model, each atomically."""
    _write_csv(output.with_suffix(".metrics.csv"), rows)
    _write_curve(output.with_suffix(".curve.png"), rows)


def _write_csv(path: Path, rows: Sequence[Epoch] | Sequence[Strength]) -> None:
    with replacing(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0]._fields)
        writer.writerows(rows)


def _write_curve(path: Path, rows: Sequence[Epoch] | Sequence[Strength]) -> None:
    """Draws the panels against the first column; strengths from strong to weak."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    across = rows[0]._fields[0]
    strengths = isinstance(rows[0], Strength)
    panels = STRENGTH_PANELS if strengths else EPOCH_PANELS
    for axes, (title, lines) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for field, label in lines.items():
            values = [getattr(row, field) for row in rows]
            axes.plot([row[0] for row in rows], values, marker=".", label=label)
        axes.set(xlabel=across, ylabel=title)
        if strengths:
            axes.set_xscale("log")
            axes.invert_xaxis()
        axes.grid(alpha=0.3)
        axes.legend()
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=100)
