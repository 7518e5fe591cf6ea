"""Training: own classes from labelled images, as one `.safetensors` file that is a whole model."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from inceptioncli.architecture import Graph
from inceptioncli.errors import OutputError, UsageError, WeightsError
from inceptioncli.summary import variables
from inceptioncli.training import data as labelled_data
from inceptioncli.training.data import Example, Labelled, Skipped
from inceptioncli.weights import collection
from inceptioncli.weights.collection import Chosen
from inceptioncli.weights.formats.own import write_safetensors
from inceptioncli.weights.model import Model, Weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from inceptioncli.training.loop import Fitted, Task

_logger = logging.getLogger(__name__)

Mode = Literal["head", "full"]
Optimizer = Literal["adamw", "rmsprop"]

EPOCHS: dict[Mode, int] = {"head": 50, "full": 30}
LEARNING_RATES: dict[tuple[Mode, Optimizer], float] = {
    ("head", "adamw"): 0.01,
    ("full", "adamw"): 0.001,
    ("full", "rmsprop"): 0.045,  # the paper's
}


@dataclass(frozen=True)
class Options:
    """How to train; None stands for what the mode or the start suggests.

    Attributes:
        mode: ``head`` fits the softmax layer on PreLogits, ``full`` the whole graph.
        start: weights to start from, a name or a path; None for random ones (``full`` only).
        optimizer: of ``full``; ``head`` takes AdamW.
        epochs: passes over the training images.
        batch_size: images in a step.
        learning_rate: the highest of the schedule.
        validation: fraction of each class to measure on.
        seed: of split, order, initialisation and augmentation.
        depth_multiplier: of ``full`` from random weights.
        image_size: of ``full`` from random weights.
        freeze_until: end point up to which nothing learns (``full``).
        crop: central fraction of each side; None for the start's.
        offline: never download.
    """

    mode: Mode = "head"
    start: str | None = "imagenet"
    optimizer: Optimizer = "adamw"
    epochs: int | None = None
    batch_size: int = 32
    learning_rate: float | None = None
    validation: float = 0.1
    seed: int = 0
    depth_multiplier: float | None = None
    image_size: int | None = None
    freeze_until: str | None = None
    crop: float | None = None
    offline: bool = False

    def __post_init__(self) -> None:
        if self.mode == "head":
            for name, value in (
                ("freeze-until", self.freeze_until),
                ("depth-multiplier", self.depth_multiplier),
                ("image-size", self.image_size),
            ):
                if value is not None:
                    raise UsageError(f"--{name} goes with --mode full; the head alone has none")
            if self.start is None:
                raise UsageError("--from none goes with --mode full; a head needs features")
            if self.optimizer != "adamw":
                raise UsageError("--optimizer goes with --mode full; the head takes adamw")


class Trained(NamedTuple):
    """What came of it."""

    path: Path
    fitted: Fitted
    skipped: tuple[Skipped, ...]


def train(
    labelled: Labelled, options: Options, output: Path, *, origin: str, overwrite: bool = False
) -> Trained:
    """Trains a model and writes it to ``output``.

    Beside it appear ``.metrics.csv`` and ``.curve.png``, and while it runs ``.training/`` with
    what an interrupted run goes on from.

    Args:
        labelled: classes and images (`data.from_folders`, `data.from_csv`).
        options: how.
        output: the model's path; ends in ``.safetensors``.
        origin: what the images are called in messages.
        overwrite: replace ``output`` and whatever an unfinished run left.

    Raises:
        DataError: too few usable images.
        UsageError: options that don't go together, or don't fit the start's weights.
        WeightsError: the start's weights can't be had or read.
        OutputError: ``output`` exists, or can't be written.
        ForeignOutputError: an unfinished run with other options or data is in the way.
        DivergedError: the loss is no number from the first epoch on.
    """
    if output.suffix != ".safetensors":
        raise UsageError(f"{output}: expected a name that ends in .safetensors")
    folder = output.with_suffix(".training")
    if overwrite:
        shutil.rmtree(folder, ignore_errors=True)
    elif output.exists():
        raise OutputError(f"{output} exists; give --overwrite to replace it")
    run = _Run(labelled, options, output, folder, origin)
    trained = run.head() if options.mode == "head" else run.full()
    shutil.rmtree(folder, ignore_errors=True)
    return trained


class _Run:
    """One call of `train`: what both modes share."""

    def __init__(
        self, labelled: Labelled, options: Options, output: Path, folder: Path, origin: str
    ) -> None:
        self.labelled = labelled
        self.options = options
        self.output = output
        self.folder = folder
        self.origin = origin
        self.chosen: Chosen | None = None
        self.start: Weights | None = None
        if options.start is not None:
            self.chosen = collection.choose(options.start)
            self.start = collection.load(self.chosen, offline=options.offline)
        model_crop = self.start.model.crop if self.start else 1.0
        self.crop = model_crop if options.crop is None else options.crop
        self.epochs = options.epochs or EPOCHS[options.mode]
        self.learning_rate = (
            options.learning_rate or LEARNING_RATES[options.mode, options.optimizer]
        )
        facts = json.dumps([asdict(options), labelled_data.fingerprint(labelled)])
        start_sha256 = self.chosen.sha256 if self.chosen else ""
        self.identity = hashlib.sha256(f"{facts}{start_sha256}".encode()).hexdigest()

    def head(self) -> Trained:
        """Features once, then the softmax layer."""
        from inceptioncli.engine.select import open_engine
        from inceptioncli.training import head
        from inceptioncli.training.features import extract

        assert self.chosen is not None
        assert self.start is not None
        engine = open_engine(self.chosen, "cpu", "float32", offline=self.options.offline).engine
        # Features depend on the weights, the crop and the image, and on no option of the fit.
        features = extract(
            self.labelled.examples,
            engine,
            crop=self.crop,
            folder=self.folder / f"{self.chosen.sha256[:16]}-{self.crop}",
        )
        usable, split = self._split(features.skipped)
        graph = Graph(
            image_size=self.start.model.graph.image_size,
            classes=len(usable.labels),
            depth_multiplier=self.start.model.graph.depth_multiplier,
            min_depth=self.start.model.graph.min_depth,
            aux=False,
        )
        names = variables(graph)
        task = head.task(
            _stack(split.training, features.rows),
            _stack(split.validation, features.rows),
            classes=graph.classes,
            epochs=self.epochs,
            batch_size=self.options.batch_size,
            learning_rate=self.learning_rate,
            seed=self.options.seed,
            base={name: array for name, array in self.start.arrays.items() if name in names},
        )
        return self._fit(task, graph, usable, features.skipped, split)

    def full(self) -> Trained:
        """The whole graph."""
        from inceptioncli.training import full

        graph = self._full_graph()
        if self.options.freeze_until and self.options.freeze_until not in graph.end_points:
            raise UsageError(
                f"unknown end point {self.options.freeze_until!r}; "
                f"known: {', '.join(graph.end_points)}"
            )
        examples = self.labelled.examples
        skipped = full.unusable(examples, size=graph.image_size, crop=self.crop)
        usable, split = self._split(skipped)
        shapes = variables(graph)
        start = self.start.arrays if self.start else {}
        task = full.task(
            graph,
            split.training,
            split.validation,
            # The heads of a start with other classes have other shapes and begin anew.
            start={name: array for name, array in start.items() if array.shape == shapes.get(name)},
            epochs=self.epochs,
            batch_size=self.options.batch_size,
            learning_rate=self.learning_rate,
            optimizer=self.options.optimizer,
            freeze_until=self.options.freeze_until,
            crop=self.crop,
            seed=self.options.seed,
        )
        return self._fit(task, graph, usable, skipped, split)

    def _full_graph(self) -> Graph:
        classes = len(self.labelled.labels)
        if self.start is None:
            return Graph(
                image_size=self.options.image_size or 299,
                classes=classes,
                depth_multiplier=self.options.depth_multiplier or 1.0,
            )
        graph = self.start.model.graph
        for name, asked, found in (
            ("depth multiplier", self.options.depth_multiplier, graph.depth_multiplier),
            ("image size", self.options.image_size, graph.image_size),
        ):
            if asked is not None and asked != found:
                raise WeightsError(
                    f"{self.options.start} has {name} {found:g}, not {asked:g}; "
                    "leave the option out, or give --from none to start from random weights"
                )
        return Graph(
            image_size=graph.image_size,
            classes=classes,
            depth_multiplier=graph.depth_multiplier,
            min_depth=graph.min_depth,
        )

    def _split(self, skipped: Sequence[Skipped]) -> tuple[Labelled, labelled_data.Split]:
        usable = labelled_data.without_unusable(self.labelled, skipped, self.origin)
        split = labelled_data.split(usable, self.options.validation, self.options.seed, self.origin)
        return usable, split

    def _fit(
        self,
        task: Task,
        graph: Graph,
        usable: Labelled,
        skipped: tuple[Skipped, ...],
        split: labelled_data.Split,
    ) -> Trained:
        from inceptioncli.training.loop import fit

        _logger.info(
            "%d classes, %d images to learn from, %d to validate on",
            len(usable.labels),
            len(split.training),
            len(split.validation),
        )
        fitted = fit(
            task,
            epochs=self.epochs,
            folder=self.folder,
            identity=self.identity,
            output=self.output,
        )
        model = Model(
            graph=graph,
            labels=usable.labels,
            crop=self.crop,
            source=f"inceptioncli train --mode {self.options.mode}",
            source_sha256=self.chosen.sha256 if self.chosen else "",
            training=self._provenance(fitted, split, skipped),
        )
        write_safetensors(self.output, Weights(model, fitted.arrays))
        return Trained(self.output, fitted, skipped)

    def _provenance(
        self, fitted: Fitted, split: labelled_data.Split, skipped: tuple[Skipped, ...]
    ) -> dict[str, Any]:
        return {
            "version": importlib.metadata.version("inceptioncli"),
            "options": {
                **asdict(self.options),
                "epochs": self.epochs,
                "learning_rate": self.learning_rate,
                "crop": self.crop,
            },
            "training_images": len(split.training),
            "validation_images": len(split.validation),
            "skipped_images": len(skipped),
            "best_epoch": fitted.best._asdict(),
        }


def _stack(
    examples: Sequence[Example], rows: dict[str, NDArray[np.float32]]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    import numpy as np

    features = np.stack([rows[example.path] for example in examples])
    return features, np.array([example.class_index for example in examples])
