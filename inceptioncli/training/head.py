"""Head training: the softmax layer alone, fitted to PreLogits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from inceptioncli.architecture import SCOPE
from inceptioncli.noise import native_stderr_hidden
from inceptioncli.training.loop import Arrays, Task

with native_stderr_hidden():
    import keras
    import tensorflow as tf

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TOP = f"{SCOPE}/Logits/Conv2d_1c_1x1"


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
    # A feature that hardly varies in training must not weigh much when it does later.
    spread = training[0].std(axis=0)
    scale = 1 / np.maximum(spread, 0.1 * spread.mean() + 1e-6)
    inputs = keras.Input((len(mean),))
    # From zeros: the fit is convex, and a feature that never varies gets no weight by chance.
    layer = keras.layers.Dense(classes, kernel_initializer="zeros", name="Logits")
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
