"""A training run in figures: one row for each epoch, as CSV and as a curve."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from inceptioncli.files import replacing


class Epoch(NamedTuple):
    """An epoch's metrics; accuracies are top-1, in [0, 1]. Training's are under augmentation."""

    number: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


def write_csv(path: Path, history: Sequence[Epoch]) -> None:
    """Writes one row for each epoch, atomically."""
    with replacing(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("epoch", *Epoch._fields[1:]))
        writer.writerows(history)


def write_curve(path: Path, history: Sequence[Epoch]) -> None:
    """Draws loss and accuracy against epochs as a PNG, atomically."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    numbers = [epoch.number for epoch in history]
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for field, label in ((name, "training"), (f"validation_{name}", "validation")):
            values = [getattr(epoch, field) for epoch in history]
            axes.plot(numbers, values, marker=".", label=label)
        axes.set(xlabel="epoch", ylabel=name)
        axes.grid(alpha=0.3)
        axes.legend()
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=100)
