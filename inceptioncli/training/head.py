"""Head training: PreLogits of every image once, through the fast engine; then the softmax layer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from tqdm import tqdm

from inceptioncli import pipeline
from inceptioncli.architecture import SCOPE
from inceptioncli.engine.base import Engine
from inceptioncli.images.sources import Source
from inceptioncli.noise import native_stderr_hidden
from inceptioncli.training.data import Example, Skipped
from inceptioncli.training.loop import Arrays, Task
from inceptioncli.weights.formats.own import write_arrays

with native_stderr_hidden():
    import keras
    import tensorflow as tf

if TYPE_CHECKING:
    from numpy.typing import NDArray

_logger = logging.getLogger(__name__)

# A kill costs at most so many images' features.
_SHARD_IMAGES = 256
# Decoding a camera's picture takes longer than its features.
_DECODE_AHEAD = 8
_PRE_LOGITS = "PreLogits"
_TOP = f"{SCOPE}/Logits/Conv2d_1c_1x1"


class Features(NamedTuple):
    """PreLogits by path, and the images that have none."""

    rows: dict[str, NDArray[np.float32]]
    skipped: tuple[Skipped, ...]


def extract(examples: Sequence[Example], engine: Engine, *, crop: float, folder: Path) -> Features:
    """PreLogits ``[2048 * depth multiplier]`` of every example, kept in ``folder`` as they come.

    An interrupted extraction goes on with the images that are not there yet.

    Raises:
        OutputError: the folder can't be written.
    """
    shards = sorted(folder.glob("features-*.safetensors")) if folder.is_dir() else []
    rows: dict[str, NDArray[np.float32]] = {}
    for shard in shards:
        try:
            kept = load_file(shard)
        except SafetensorError:
            continue  # Its images are done again.
        paths = kept["paths"].tobytes().decode("utf-8", "surrogateescape").split("\0")
        rows.update(zip(paths, kept["features"], strict=True))
    missing = [example.path for example in examples if example.path not in rows]
    if rows and missing:
        _logger.info("continuing: features of %d images are there", len(rows))
    skipped: list[Skipped] = []
    fresh: dict[str, NDArray[np.float32]] = {}
    number = len(shards)
    results = pipeline.run(
        map(Source, missing), engine, [_PRE_LOGITS], crop=crop, decode_ahead=_DECODE_AHEAD
    )
    for result in tqdm(results, "features", len(missing), unit="image", leave=False, disable=None):
        if result.failure is not None:
            skipped.append(Skipped(result.path, result.failure.message))
            continue
        fresh[result.path] = result.outputs[_PRE_LOGITS].ravel()
        if len(fresh) == _SHARD_IMAGES:
            _write_shard(folder / f"features-{number:06}.safetensors", fresh)
            rows.update(fresh)
            fresh, number = {}, number + 1
    if fresh:
        _write_shard(folder / f"features-{number:06}.safetensors", fresh)
        rows.update(fresh)
    return Features(rows, tuple(skipped))


def task(
    training: tuple[NDArray[np.float32], NDArray[np.int64]],
    validation: tuple[NDArray[np.float32], NDArray[np.int64]],
    *,
    classes: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    base: Arrays,
) -> Task:
    """A softmax layer on features, to be fitted by AdamW with cosine decay.

    Features are standardised for the fit; the export folds that into the layer's kernel and bias,
    and puts them into ``base``, the arrays of the network that the features come from.
    """
    keras.utils.set_random_seed(seed)
    mean = training[0].mean(axis=0)
    scale = 1 / (training[0].std(axis=0) + 1e-3)
    inputs = keras.Input((len(mean),))
    layer = keras.layers.Dense(classes, name="Logits")
    model = keras.Model(inputs, layer(inputs))
    steps = -(-len(training[0]) // batch_size)
    model.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(learning_rate, steps * epochs),
            weight_decay=0.01,
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)

    def batches(epoch: int) -> Any:
        order = np.random.default_rng([seed, epoch]).permutation(len(training[0]))
        features = (training[0][order] - mean) * scale
        return tf.data.Dataset.from_tensor_slices((features, training[1][order])).batch(batch_size)

    measured = ((validation[0] - mean) * scale, validation[1])

    def export() -> Arrays:
        kernel, bias = (keras.ops.convert_to_numpy(each) for each in (layer.kernel, layer.bias))
        folded = kernel * scale[:, np.newaxis]
        return {
            **base,
            f"{_TOP}/weights": np.ascontiguousarray(folded[np.newaxis, np.newaxis]),
            f"{_TOP}/biases": bias - mean @ folded,
        }

    return Task(
        model=model,
        training=batches,
        validation=tf.data.Dataset.from_tensor_slices(measured).batch(1024),
        steps=steps,
        export=export,
    )


def _write_shard(path: Path, rows: dict[str, NDArray[np.float32]]) -> None:
    names = "\0".join(rows).encode("utf-8", "surrogateescape")
    features = np.stack(list(rows.values()))
    write_arrays(path, {"paths": np.frombuffer(names, np.uint8), "features": features})
