"""The Python API: a classifier is an engine with labels and preprocessing."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inceptioncli.architecture import Activation
from inceptioncli.engine import Ready, devices, prepare
from inceptioncli.errors import UsageError
from inceptioncli.images.given import given_inputs
from inceptioncli.images.inputs import Inputs
from inceptioncli.images.picture import Decoding
from inceptioncli.labels import Label, check_count, read_labels
from inceptioncli.pipeline import Pipeline, layout
from inceptioncli.pipeline.layout import Layout
from inceptioncli.products.features import features_of, stacked
from inceptioncli.products.predictions import Predictions, predictions_of
from inceptioncli.records import Record
from inceptioncli.runs import stores
from inceptioncli.runs.run import Run
from inceptioncli.runs.values import Batch
from inceptioncli.weights import collection
from inceptioncli.weights.collection import Chosen
from inceptioncli.weights.registry import DEFAULT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from inceptioncli.images.given import Images

StrPath = str | os.PathLike[str]


def load(
    weights: StrPath = DEFAULT,
    *,
    device: str = "auto",
    precision: str = "float32",
    labels: StrPath | None = None,
    crop: float | None = None,
    activation: Activation | None = None,
    image_size: int | None = None,
    exact_decode: bool = False,
    offline: bool = False,
    at_least: int | None = 1,
    output: StrPath | None = None,
    for_classes: bool = False,
) -> Classifier:
    """Loads a classifier.

    Args:
        weights: a name (``inceptioncli weights list``) or the path of a weight file.
        device: ``cpu``, ``gpu`` or ``gpu:N``; ``auto`` takes a GPU if there is one and ``at_least``
            200 images are to come, only it has the precision, or ``output`` was begun on it.
        precision: ``float32``, on the CPU also ``int8``, on a GPU also ``bfloat16``, ``float16``.
        labels: file with class names, in place of the model's own.
        crop: central fraction of each side to keep, in (0, 1]; None for the model's own.
        activation: what makes probabilities of logits, ``softmax`` or ``sigmoid``, for a weight
            file that can't tell; None for softmax.
        image_size: side of the input, for a weight file that can't tell; None for 299.
        exact_decode: decode every pixel of large pictures, too; see `images.decode.decode`.
        offline: never download.
        at_least: so many images are to come, as far as is known; None for a stream of them.
        output: the file or folder of a run that is to go on; it keeps its engine.
        for_classes: whether weights without a classifier are no use, so that nothing is compiled.

    Raises:
        UsageError: an argument that can't be used, or labels that don't fit; or the weight file
            says otherwise.
        WeightsError: weights that can't be had or read.
        OutputError: neither the cache nor a temporary folder can be written.
    """
    devices.check(device, precision)
    if crop is not None and not 0 < crop <= 1:
        raise UsageError(f"crop {crop} is not in (0, 1]; 1.0 keeps the whole image")
    given_labels = read_labels(Path(labels)) if labels is not None else None
    chosen = collection.choose(os.fspath(weights), activation=activation, image_size=image_size)
    chosen = chosen._replace(for_classes=for_classes)
    if output is not None:
        device = devices.continued(device, precision, stores.recorded_engine(Path(output)))
    ready = prepare(chosen, device, precision, offline=offline, at_least=at_least)
    if given_labels is not None:
        check_count(given_labels, ready.model.graph.classes, os.fspath(labels or ""))
    return Classifier(ready, given_labels, crop, exact_decode, offline=offline)


class Classifier:
    """Predictions and features from images; made by `load`.

    Safe to be used by many threads: an engine in this process runs for one at a time, worker
    processes for all. Closed by `close`, at the end of a ``with`` block, or when nobody has it any
    more. Pickled, it is loaded again where it is unpickled, from the same weights.

    Attributes:
        ready: the model, and how an engine for it is opened.
        labels: one for each class.
        crop: central fraction of each side that is kept.
        exact_decode: whether large pictures are decoded to the last pixel.
        offline: whether weights may not be downloaded where it is unpickled.
    """

    def __init__(
        self,
        ready: Ready,
        labels: tuple[Label, ...] | None = None,
        crop: float | None = None,
        exact_decode: bool = False,
        *,
        offline: bool = False,
    ) -> None:
        self.ready = ready
        self.labels = ready.model.class_labels if labels is None else labels
        self.crop = ready.model.crop if crop is None else crop
        self.exact_decode = exact_decode
        self.offline = offline
        self._lock = threading.Lock()
        self._pipelines: dict[Layout, Pipeline] = {}
        self._closed = False

    def classify(
        self, images: Images, top_k: int = 5, threshold: float = 0.0, *, workers: int = 0
    ) -> Iterator[Record]:
        """Classifies images, in order, each when its turn comes.

        Args:
            images: one image, or an iterable of them: paths of files and folders (whose images are
                found, recursively), ``-`` for standard input, bytes of an image file, files that
                are open for binary reading, PIL images, uint8 arrays ``[H, W, 3]`` in RGB. A record
                is named for its path; for the name of an open file; ``-`` for a picture without a
                name, which ``(name, picture)`` gives it.
            top_k: so many classes at most, 1 or more.
            threshold: leave out classes below this probability.
            workers: so many processes, which a decoder that crashes or hangs can't take the run
                down with; 0 for this process. They are kept until the classifier is closed, and
                import the calling script, which needs its ``if __name__ == "__main__":``. With
                them an iterable is read ahead, in a thread.

        Returns:
            One record for each input; a bad image is a record with a failure, not an exception.

        Raises:
            UsageError: ``top_k`` below 1, a threshold outside of [0, 1], or something that is no
                image.
            WeightsError: the weights have no classifier, or give probabilities that are no numbers.
        """
        predictions = self._predictions(top_k, threshold)
        pipeline = self._pipeline(self.layout(workers))
        records = pipeline.records(given_inputs(images), (predictions,), ticks=False)
        return (record for record in records if record is not None)

    def features(
        self,
        images: Images,
        end_points: str | Sequence[str] = ("PreLogits",),
        *,
        pool: str = "none",
        dtype: str = "float32",
        workers: int = 0,
    ) -> dict[str, NDArray[np.floating]]:
        """Activations of end points (``inceptioncli model`` lists them), in memory.

        Args:
            images: as in `classify`.
            end_points: names of end points, or one name.
            pool: over the positions: ``none``, ``avg`` or ``max``.
            dtype: ``float32`` or ``float16``.
            workers: as in `classify`.

        Returns:
            End point name to ``[rows, *shape]``, one row for each input, in order; positions of
            1x1 are dropped (PreLogits: ``[rows, 2048]``).

        Raises:
            UsageError: an unknown end point, pool or type, or values that don't fit the type.
            ImageError: an input can't be decoded; rows could no longer be told apart.
        """
        names = [end_points] if isinstance(end_points, str) else end_points
        wanted = features_of(self.ready.model.graph, names, pool, dtype)
        pipeline = self._pipeline(self.layout(workers))
        return stacked(pipeline.records(given_inputs(images), (wanted,), ticks=False), wanted)

    def run(
        self,
        images: Images | Inputs,
        output: StrPath | None = None,
        *,
        top_k: int = 5,
        threshold: float = 0.0,
        format: str | None = None,
        dump: Iterable[str] = (),
        dump_dir: StrPath | None = None,
        batch: Batch = Batch(),  # noqa: B008 - a value
    ) -> Run:
        """Classifies images into a file that outlives any crash, as ``inceptioncli classify -o``.

        The same call, or the same command, continues what an earlier one has begun.

        Args:
            images: as in `classify`.
            output: the file; None to hand the records to whoever iterates, and keep none.
            top_k: as in `classify`.
            threshold: as in `classify`.
            format: ``jsonl``, ``csv`` or ``parquet``; None for what the file's suffix says.
            dump: end points to write in the same pass.
            dump_dir: the folder for their arrays.
            batch: workers, limits, what becomes of what is there.

        Returns:
            A run, to be iterated in a ``with`` block, or ended with `Run.finish`.

        Raises:
            UsageError: options that can't be used, as `classify` and `features`.
            WeightsError: the weights have no classifier.
            OutputError: the output can't be written.
            ForeignOutputError: the output belongs to another run, or another process is writing it.
        """
        inputs = images if isinstance(images, Inputs) else given_inputs(images)
        predictions = self._predictions(top_k, threshold)
        features = features_of(self.ready.model.graph, dump)
        in_files = output is not None or dump_dir is not None
        pipeline = self._batch_pipeline(inputs, batch, in_files=in_files)
        kept = stores.open_predictions(
            self._provenance(),
            inputs,
            predictions,
            features,
            batch,
            output=None if output is None else Path(output),
            format=format,
            folder=None if dump_dir is None else Path(dump_dir),
        )
        products = (predictions, features) if features.shapes else (predictions,)
        return Run(inputs, pipeline, products, kept, batch)

    def run_features(
        self,
        images: Images | Inputs,
        folder: StrPath,
        *,
        end_points: Iterable[str] = ("PreLogits",),
        pool: str = "none",
        dtype: str = "float32",
        batch: Batch = Batch(),  # noqa: B008 - a value
    ) -> Run:
        """Writes features into a folder that outlives any crash, as ``inceptioncli features``.

        Args:
            images: as in `classify`.
            folder: for ``<end point>.npy`` and ``index.jsonl``; a finished one gets what it lacks.
            end_points: names of end points.
            pool: as in `features`.
            dtype: as in `features`.
            batch: as in `run`.

        Returns:
            As `run`.

        Raises:
            InceptionError: as `run` and `features`.
        """
        inputs = images if isinstance(images, Inputs) else given_inputs(images)
        folder, graph = Path(folder), self.ready.model.graph
        names = stores.with_kept(end_points, folder, graph, batch)
        features = features_of(graph, names, pool, dtype)
        pipeline = self._batch_pipeline(inputs, batch, in_files=True)
        kept = stores.open_features(self._provenance(), inputs, features, batch, folder)
        first = stores.addition_to(kept, pipeline, features, batch)
        return Run(inputs, pipeline, (features,), kept, batch, first=first)

    def layout(self, workers: int | None) -> Layout:
        """So many workers, or as many as the machine has room for, with threads to match."""
        return layout.choose(workers, self.ready.memory)

    def close(self) -> None:
        """Ends the worker processes and lets go of the engine; nothing runs any more."""
        with self._lock:
            self._closed = True
            pipelines, self._pipelines = self._pipelines, {}
        for pipeline in pipelines.values():
            pipeline.close()

    def __enter__(self) -> Classifier:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        ready = self.ready
        return f"<Classifier {ready.weights.given!r} {ready.precision} on {ready.engine}>"

    def __reduce__(self) -> tuple[Any, ...]:
        chosen = self.ready.weights.portable()
        ready = (chosen, self.ready.device, self.ready.precision, self.offline)
        return _load_again, (*ready, self.labels, self.crop, self.exact_decode)

    @property
    def _decoding(self) -> Decoding:
        return Decoding(self.ready.model.graph.image_size, self.crop, self.exact_decode)

    def _predictions(self, top_k: int, threshold: float) -> Predictions:
        given = self.ready.weights.given
        return predictions_of(self.ready.model, self.labels, top_k, threshold, given=given)

    def _provenance(self) -> dict[str, Any]:
        return stores.provenance(self.ready, self._decoding, self.labels)

    def _pipeline(self, layout: Layout) -> Pipeline:
        """The one with this layout, opened once."""
        with self._lock:
            if self._closed:
                raise UsageError("this classifier is closed; load it again")
            if layout not in self._pipelines:
                self._pipelines[layout] = Pipeline(self.ready, self._decoding, layout)
            return self._pipelines[layout]

    def _batch_pipeline(self, inputs: Inputs, batch: Batch, *, in_files: bool) -> Pipeline:
        """What a run goes through; to be had before its output is touched."""
        batch.check()
        workers = batch.workers
        if workers is None and not inputs.streamed and inputs.peek(2) < 2:
            # A process for one image would double the time to its label.
            workers = 1 if in_files else 0
        return self._pipeline(self.layout(workers))


def _load_again(
    chosen: Chosen,
    device: str,
    precision: str,
    offline: bool,
    labels: tuple[Label, ...],
    crop: float,
    exact_decode: bool,
) -> Classifier:
    """A classifier that was pickled, from the same weights."""
    ready = prepare(collection.choose_again(chosen), device, precision, offline=offline)
    return Classifier(ready, labels, crop, exact_decode, offline=offline)
