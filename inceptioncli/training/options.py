"""Options of a training run, checked against each other."""

from __future__ import annotations

from dataclasses import dataclass

from inceptioncli.choices import Mode, Optimizer
from inceptioncli.errors import UsageError

EPOCHS = 30
BATCH_SIZE = 32
LEARNING_RATES: dict[Optimizer, float] = {"adamw": 0.001, "rmsprop": 0.045}  # the paper's
LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Options:
    """How to train; None stands for what the mode or the start suggests.

    Attributes:
        mode: ``head`` fits the softmax layer on PreLogits, ``full`` the whole graph.
        start: weights to start from, a name or a path; None for random ones (``full`` only).
        optimizer: of ``full``, as are the next three.
        epochs: passes over the training images.
        batch_size: images in a step.
        learning_rate: the highest of the schedule.
        validation: fraction of each class to measure on, in (0, 1).
        seed: of split and folds, order, initialisation and augmentation; 0 to 2**32 - 1.
        depth_multiplier: of ``full`` from random weights.
        image_size: of ``full`` from random weights.
        freeze_until: end point up to which nothing learns (``full``).
        crop: central fraction of each side, in (0, 1]; None for the start's.
        offline: never download.

    Raises:
        UsageError: a value out of range, or options that don't go together.
    """

    mode: Mode = "head"
    start: str | None = "imagenet"
    optimizer: Optimizer = "adamw"
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    validation: float = 0.1
    seed: int = 0
    depth_multiplier: float | None = None
    image_size: int | None = None
    freeze_until: str | None = None
    crop: float | None = None
    offline: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.validation < 1:
            raise UsageError(f"validation {self.validation} is not between 0 and 1")
        if self.crop is not None and not 0 < self.crop <= 1:
            raise UsageError(f"crop {self.crop} is not in (0, 1]; 1.0 keeps the whole image")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise UsageError(f"seed {self.seed} is not between 0 and {LARGEST_SEED}")
        if self.mode == "full":
            return
        for name, value in (
            ("epochs", self.epochs),
            ("batch-size", self.batch_size),
            ("learning-rate", self.learning_rate),
            ("freeze-until", self.freeze_until),
            ("depth-multiplier", self.depth_multiplier),
            ("image-size", self.image_size),
            ("optimizer", self.optimizer if self.optimizer != "adamw" else None),
        ):
            if value is not None:
                raise UsageError(f"--{name} goes with --mode full; the head alone has none")
        if self.start is None:
            raise UsageError("--from none goes with --mode full; a head needs features")
