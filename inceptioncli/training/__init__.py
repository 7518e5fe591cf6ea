"""Training: own classes from labelled images, as one `.safetensors` file that is a whole model."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from inceptioncli.architecture import CLASSIFIERS, Graph
from inceptioncli.choices import Mode
from inceptioncli.errors import OutputError, UsageError, WeightsError
from inceptioncli.labels import Label
from inceptioncli.noise import native_stderr_hidden
from inceptioncli.summary import variables
from inceptioncli.training import data as labelled_data
from inceptioncli.training.data import Example, Labelled, Skipped
from inceptioncli.training.options import BATCH_SIZE, EPOCHS, LEARNING_RATES, Options
from inceptioncli.training.workspace import Workspace
from inceptioncli.version import RESULTS_VERSION, __version__
from inceptioncli.weights import collection
from inceptioncli.weights.formats.own import write_safetensors
from inceptioncli.weights.model import Model, Weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from inceptioncli.training.features import Features
    from inceptioncli.training.head import Examples

_logger = logging.getLogger(__name__)

# Libraries that shape what comes out.
_FITTED_WITH: dict[Mode, tuple[str, ...]] = {
    "head": ("scikit-learn",),
    "full": ("keras", "tensorflow"),
}


class Trained(NamedTuple):
    """What came of it.

    Attributes:
        path: the model.
        facts: what its metadata says of its training.
        skipped: images that could not be used.
        diverged_in: the epoch whose loss was no number; the best one before was kept.
    """

    path: Path
    facts: Mapping[str, Any]
    skipped: tuple[Skipped, ...]
    diverged_in: int | None = None


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
    require(options.mode)
    run = _Run(labelled, options, output, origin)
    try:
        # A model of this very run is there if it was killed between its last two steps.
        if not output.absolute().parent.is_dir():
            raise OutputError(f"{output}: there is no such folder; make it first")
        if output.is_dir():
            raise OutputError(f"{output} is a folder; expected the name of a file")
        if output.exists() and not overwrite and not run.workspace.belongs_to(run.identity):
            raise OutputError(f"{output} exists; give --overwrite to replace it")
    except OSError as error:
        raise OutputError(f"{output}: {error.strerror or error}") from error
    run.workspace.take(run.identity, overwrite=overwrite)
    trained = run.head() if options.mode == "head" else run.full()
    run.workspace.remove()
    return trained


def require(mode: Mode) -> None:
    """Raises UsageError where what a mode is done with can't be imported; to be asked first."""
    try:
        if mode == "head":
            import matplotlib  # noqa: F401
            import sklearn  # noqa: F401
        else:
            with native_stderr_hidden():
                import keras  # noqa: F401
                import tensorflow  # noqa: F401
    except ImportError as error:
        tool, packages = {
            "head": ("a head is fitted with scikit-learn", "scikit-learn matplotlib"),
            "full": ("--mode full is done with TensorFlow", "tensorflow"),
        }[mode]
        raise UsageError(
            f"{tool}, which can't be imported here ({error}); `pip install {packages}`"
        ) from error


class _Run:
    """One call of `train`: what both modes share."""

    def __init__(self, labelled: Labelled, options: Options, output: Path, origin: str) -> None:
        self.labelled = labelled
        self.options = options
        self.output = output
        self.workspace = Workspace(output)
        self.origin = origin
        self.chosen = collection.choose(options.start) if options.start is not None else None
        self.start: Weights | None = None
        if self.chosen is not None:
            self.start = collection.load(self.chosen, offline=options.offline)
        model_crop = self.start.model.crop if self.start else 1.0
        self.crop = model_crop if options.crop is None else options.crop
        self.epochs = options.epochs or EPOCHS
        self.batch_size = options.batch_size or BATCH_SIZE
        self.learning_rate = options.learning_rate or LEARNING_RATES[options.optimizer]
        self.identity = self._identity()

    def _identity(self) -> str:
        """A hash of all that decides what comes out: the same identity, the same model."""
        facts = {
            **self._resolved_options(),
            "start_sha256": self.chosen.sha256 if self.chosen else None,
            "data": labelled_data.fingerprint(self.labelled),
            "results_version": RESULTS_VERSION,
            "versions": {
                name: importlib.metadata.version(name) for name in _FITTED_WITH[self.options.mode]
            },
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def _resolved_options(self) -> dict[str, Any]:
        """The mode's options without those that say where things come from, defaults filled in."""
        options = {**asdict(self.options), "crop": self.crop}
        if self.options.mode == "head":
            return {name: options[name] for name in ("mode", "validation", "seed", "crop")}
        del options["offline"], options["start"]
        return {
            **options,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
        }

    def head(self) -> Trained:
        """Features once, then the softmax layer."""
        from inceptioncli.engine import litert
        from inceptioncli.training import head, metrics
        from inceptioncli.training.features import extract

        assert self.chosen is not None
        assert self.start is not None
        ready = litert.prepare(self.chosen, offline=self.options.offline)
        features = extract(
            self.labelled.examples,
            ready,
            crop=self.crop,
            folder=self.workspace.features(self.chosen.sha256, self.crop),
        )
        usable, split = self._split(features.skipped)
        graph = Graph(
            image_size=self.start.model.graph.image_size,
            classes=len(usable.labels),
            depth_multiplier=self.start.model.graph.depth_multiplier,
            min_depth=self.start.model.graph.min_depth,
            aux=False,
        )
        fitted = head.fit(
            _stack(split.training, features),
            _stack(split.validation, features),
            seed=self.options.seed,
        )
        metrics.write(self.output, fitted.path)
        names = variables(graph)
        base = {name: array for name, array in self.start.arrays.items() if name in names}
        facts = self._facts(split, features.skipped, fitted.facts)
        self._write(graph, usable.labels, {**base, **fitted.arrays}, facts)
        return Trained(self.output, facts, features.skipped)

    def full(self) -> Trained:
        """The whole graph."""
        from inceptioncli.training import full
        from inceptioncli.training.loop import fit

        graph = self._full_graph()
        base = graph.end_points[: graph.end_points.index("Mixed_7c") + 1]
        if self.options.freeze_until and self.options.freeze_until not in base:
            raise UsageError(
                f"unknown end point {self.options.freeze_until!r} to freeze until; "
                f"known: {', '.join(base)}"
            )
        examples = self.labelled.examples
        skipped = full.unusable(examples, size=graph.image_size, crop=self.crop)
        usable, split = self._split(skipped)
        task = full.task(
            graph,
            split.training,
            split.validation,
            start=self._start_arrays(usable.labels),
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            optimizer=self.options.optimizer,
            freeze_until=self.options.freeze_until,
            crop=self.crop,
            seed=self.options.seed,
        )
        fitted = fit(
            task,
            epochs=self.epochs,
            workspace=self.workspace,
            # An image that has become unreadable since changes the split.
            identity=hashlib.sha256(
                repr((self.identity, split)).encode("utf-8", "replace")
            ).hexdigest(),
            output=self.output,
        )
        best = {
            "validation_accuracy": fitted.best.validation_accuracy,
            "best_epoch": fitted.best.epoch,
        }
        facts = self._facts(split, skipped, best)
        self._write(graph, usable.labels, fitted.arrays, facts)
        diverged_in = len(fitted.history) + 1 if fitted.diverged else None
        return Trained(self.output, facts, skipped, diverged_in)

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

    def _start_arrays(self, labels: tuple[Label, ...]) -> dict[str, NDArray[np.float32]]:
        """The start's arrays; without its classifiers if those are for other classes."""
        if self.start is None:
            return {}
        start = self.start.model
        same = start.class_labels == labels and start.graph.activation == "softmax"
        return {
            name: array
            for name, array in self.start.arrays.items()
            if same or not name.startswith(CLASSIFIERS)
        }

    def _split(self, skipped: Sequence[Skipped]) -> tuple[Labelled, labelled_data.Split]:
        usable = labelled_data.without_unusable(self.labelled, skipped, self.origin)
        split = labelled_data.split(usable, self.options.validation, self.options.seed, self.origin)
        _logger.info(
            "%d classes, %d images to learn from, %d to validate on",
            len(usable.labels),
            len(split.training),
            len(split.validation),
        )
        return usable, split

    def _facts(
        self, split: labelled_data.Split, skipped: Sequence[Skipped], fitted: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What the model's metadata say of its training; ``fitted`` is the mode's own part."""
        return {
            "version": __version__,
            "options": self._resolved_options(),
            "training_images": len(split.training),
            "validation_images": len(split.validation),
            "skipped_images": len(skipped),
            **fitted,
        }

    def _write(
        self,
        graph: Graph,
        labels: tuple[Label, ...],
        arrays: Mapping[str, NDArray[np.float32]],
        facts: Mapping[str, Any],
    ) -> None:
        model = Model(
            graph=graph,
            labels=labels,
            crop=self.crop,
            source=f"inceptioncli train --mode {self.options.mode}",
            source_sha256=self.chosen.sha256 if self.chosen else "",
            input_scale=self.start.model.input_scale if self.start else None,  # in its arrays
            training=facts,
        )
        write_safetensors(self.output, Weights(model, arrays))


def _stack(examples: Sequence[Example], features: Features) -> Examples:
    import numpy as np

    from inceptioncli.training.head import Examples

    return Examples(
        np.stack([features.rows[example.path] for example in examples]),
        np.array([example.class_index for example in examples]),
    )
