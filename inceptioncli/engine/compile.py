"""The compiler: weights to a LiteRT file in the cache, once for each set of weights and precision.

An entry is two files, ``<key>.tflite`` and ``<key>.json``. The second appears last and holds the
first one's hash and the model, so that a warm run needs neither the weights nor TensorFlow. Beside
them `packing` keeps its own.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from inceptioncli.errors import OutputError
from inceptioncli.files import remove_orphans, replacing
from inceptioncli.noise import native_stderr_hidden
from inceptioncli.terminal import printable
from inceptioncli.weights import cache, collection
from inceptioncli.weights.collection import Chosen
from inceptioncli.weights.model import Model, Weights

_logger = logging.getLogger(__name__)

PREDICTIONS_SIGNATURE = "predictions"
END_POINTS_SIGNATURE = "end_points"
INPUT_NAME = "images"
# Whatever else shapes the compiled file, besides weights and precision.
_VERSIONED = ("inceptioncli", "tensorflow", "ai-edge-litert")


class Compiled(NamedTuple):
    """A compiled graph: the LiteRT file and the model that it runs."""

    path: Path
    model: Model


def compiled(chosen: Chosen, precision: str, *, offline: bool = False) -> Compiled:
    """The compiled graph of chosen weights, from the cache or built now.

    Args:
        chosen: which weights; fetched only if the graph is not in the cache.
        precision: ``float32`` or ``int8`` (LiteRT dynamic range: int8 weights by channel,
            activations quantised as they come).
        offline: forbid to download the weights.

    Raises:
        WeightsError: the weights are needed and can't be had or read.
        OutputError: the cache can't be written.
    """
    folder = cache.compiled_folder()
    key = _key(chosen, precision)
    found = _look_up(folder, key)
    if found is not None:
        return found
    import filelock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / f"{key}.lock"):
            # Another process may have built it while this one waited.
            return _look_up(folder, key) or _build(chosen, precision, folder, key, offline)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot write the cache: {error.strerror or error}; "
            f"set {cache.ENVIRONMENT_VARIABLE} to a folder that can be written"
        ) from error


def forget(source_sha256: str) -> list[Path]:
    """Deletes the compiled graphs of weights with this hash.

    Returns:
        What was deleted.

    Raises:
        OutputError: it can't be.
    """
    deleted = []
    for note in sorted(cache.compiled_folder().glob("*.json")):
        try:
            source = json.loads(note.read_text(encoding="utf-8"))["weights_sha256"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if source == source_sha256:
            # The lock stays: another process may hold it.
            for path in sorted(
                set(note.parent.glob(f"{note.stem}.*")) - {note.with_suffix(".lock")}
            ):
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    raise OutputError(
                        f"{path}: cannot be removed: {error.strerror or error}"
                    ) from error
                deleted.append(path)
    return deleted


def _key(chosen: Chosen, precision: str) -> str:
    versions = {name: _version(name) for name in _VERSIONED}
    facts = json.dumps([chosen.sha256, precision, versions], sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()[:32]


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:  # tensorflow-cpu, tf-nightly and the like
        return "unknown"


def _look_up(folder: Path, key: str) -> Compiled | None:
    path = folder / f"{key}.tflite"
    try:
        note = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        if cache.sha256(path) == note["sha256"]:
            return Compiled(path, Model.from_metadata(note["model"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # Not built yet, or damaged in whatever way: either is built now.
    return None


def _build(chosen: Chosen, precision: str, folder: Path, key: str, offline: bool) -> Compiled:
    target = folder / f"{key}.tflite"
    weights = collection.load(chosen, offline=offline)
    _logger.info(
        "%s of %s (%s): compiling it for this machine, once; about 10 s ...",
        "damaged cache" if target.exists() else "first use",
        printable(chosen.given),
        precision,
    )
    content = convert(weights, precision)
    for file in (target, target.with_suffix(".json")):
        remove_orphans(file)
    with replacing(target) as beside:
        beside.write_bytes(content)
    note: dict[str, Any] = {
        "sha256": cache.sha256(target),
        "weights_sha256": chosen.sha256,
        "model": weights.model.to_metadata(),
    }
    with replacing(target.with_suffix(".json")) as beside:
        beside.write_text(json.dumps(note), encoding="utf-8")
    return Compiled(target, weights.model)


def convert(weights: Weights, precision: str) -> bytes:
    """Builds the graph in TensorFlow and converts it to LiteRT: one file, two signatures.

    ``predictions`` gives the last end point alone and leaves its buffers reusable;
    ``end_points`` gives them all. Both take one image, ``images [1, S, S, 3]``, so that scores
    can't depend on neighbours.
    """
    with native_stderr_hidden():
        import tensorflow as tf

        from inceptioncli.engine.tensorflow import TensorFlowGraph

        graph = weights.model.graph
        with tf.device("/CPU:0"):
            module = TensorFlowGraph(weights)
        side = graph.image_size
        image = tf.TensorSpec([1, side, side, 3], tf.float32, name=INPUT_NAME)
        signatures = {
            name: tf.function(
                lambda images, wanted=wanted: module.end_points(images, wanted)
            ).get_concrete_function(image)
            for name, wanted in (
                (PREDICTIONS_SIGNATURE, graph.end_points[-1:]),
                (END_POINTS_SIGNATURE, graph.end_points),
            )
        }
        try:
            with tempfile.TemporaryDirectory(prefix="inceptioncli-") as saved:
                tf.saved_model.save(module, saved, signatures=signatures)
                converter = tf.lite.TFLiteConverter.from_saved_model(
                    saved, signature_keys=list(signatures)
                )
                if precision == "int8":
                    converter.optimizations = [tf.lite.Optimize.DEFAULT]
                content: bytes = converter.convert()
        except tf.errors.OpError as error:
            raise OutputError(
                f"{tempfile.gettempdir()}: cannot write the graph to be compiled "
                f"({str(error).splitlines()[0]}); about 200 MB are needed there"
            ) from error
    return content
