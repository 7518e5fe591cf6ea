"""Full training: the whole graph in Keras, with batch norm, dropout, aux head and augmentation."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from inceptioncli.architecture import AUX_END_POINT, BATCH_NORM_DECAY, Graph
from inceptioncli.choices import Optimizer
from inceptioncli.engine.base import scaled
from inceptioncli.errors import ImageError
from inceptioncli.images.decode import load_image
from inceptioncli.images.picture import Decoding
from inceptioncli.noise import native_stderr_hidden
from inceptioncli.training import keras_graph
from inceptioncli.training.data import Example, Skipped
from inceptioncli.training.loop import Arrays, Task

with native_stderr_hidden():
    import keras
    import tensorflow as tf

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The paper's (section 8) and, for momentum, warm start and clipping, slim's training script's.
AUX_WEIGHT = 0.4
LABEL_SMOOTHING = 0.1
RMSPROP_DECAY = 0.9
RMSPROP_EPSILON = 1.0
RMSPROP_RATE_DECAY = 0.94
RMSPROP_EPOCHS_PER_DECAY = 2
GRADIENT_CLIP = 2.0
WARMUP_FRACTION = 0.05
WEIGHT_DECAY = 0.01


def unusable(examples: Sequence[Example], *, size: int, crop: float) -> tuple[Skipped, ...]:
    """Decodes every image once, in parallel; returns those that can't be decoded."""

    def check(example: Example) -> Skipped | None:
        try:
            load_image(example.path, Decoding(size, crop))
        except ImageError as error:
            return Skipped(example.path, str(error))
        return None

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        checked = tqdm(
            threads.map(check, examples),
            "checking",
            len(examples),
            unit="image",
            leave=False,
            disable=None,
        )
        return tuple(skipped for skipped in checked if skipped is not None)


def task(
    graph: Graph,
    training: Sequence[Example],
    validation: Sequence[Example],
    *,
    start: Arrays,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    optimizer: Optimizer,
    freeze_until: str | None,
    crop: float,
    seed: int,
) -> Task:
    """The graph as a Keras model, to be fitted to images.

    Args:
        graph: with aux head (its loss counts `AUX_WEIGHT`) or without.
        training: images to learn from, augmented.
        validation: images to measure on, as `classify` sees them.
        start: arrays by slim name to start from; what is missing is initialised.
        epochs: for the learning-rate schedule.
        batch_size: images in a batch.
        learning_rate: the highest of the schedule.
        optimizer: AdamW with warm-up and cosine decay, or the paper's RMSProp.
        freeze_until: the end point up to which nothing learns, or None.
        crop: central fraction of each side.
        seed: of initialisation, order and augmentation.
    """
    keras.utils.set_random_seed(seed)
    # Full batches only, as slim: a small last one would be batch norm's last word.
    batch_size = min(batch_size, len(training))
    steps = len(training) // batch_size
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    policy = "mixed_bfloat16" if on_gpu else "float32"
    model = keras_graph.build(graph, batch_norm_momentum=_momentum(steps * epochs), policy=policy)
    keras_graph.load(model, graph, start)
    if freeze_until is not None:
        keras_graph.freeze(model, graph, freeze_until)
    heads = {keras_graph.LOGITS: 1.0, **({AUX_END_POINT: AUX_WEIGHT} if graph.aux else {})}
    _compile(model, heads, _optimizer(optimizer, learning_rate, steps, epochs), on_gpu=on_gpu)
    _build_metrics(model, heads, graph.classes)

    unreadable: list[str] = []

    def batches(examples: Sequence[Example], *, full: bool) -> Any:
        found = _images(examples, graph, heads, crop, unreadable)
        return found.batch(batch_size, drop_remainder=full)

    def augmented(epoch: int) -> Any:
        order = np.random.default_rng([seed, epoch]).permutation(len(training))
        augment = _augmentation(int(np.random.default_rng([seed, epoch]).integers(2**31)))
        shuffled = batches([training[index] for index in order], full=True)
        return shuffled.map(lambda x, targets: (augment(x, training=True), targets)).prefetch(2)

    measured = batches(validation, full=False).prefetch(2)
    exported = functools.partial(keras_graph.export, model, graph)
    return Task(model, augmented, measured, steps, exported, unreadable)


def _compile(model: Any, heads: Mapping[str, float], optimizer: Any, *, on_gpu: bool) -> None:
    """Gives a model its loss, the sum of its heads' with these weights, and its optimizer."""
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=LABEL_SMOOTHING)
    model.compile(
        optimizer=optimizer,
        loss=dict.fromkeys(heads, loss),
        loss_weights=heads,
        metrics={keras_graph.LOGITS: ["accuracy"]},
        jit_compile=on_gpu,
    )
    model.optimizer.build(model.trainable_variables)


def _build_metrics(model: Any, heads: Mapping[str, float], classes: int) -> None:
    """Makes the variables of loss and metrics, which Keras else makes in the first step.

    A step that makes variables is traced twice, and of this graph that takes long.
    """
    nothing = dict.fromkeys(heads, tf.zeros((1, classes)))
    model.compute_loss(y=nothing, y_pred=nothing)
    model.compute_metrics(x=None, y=nothing, y_pred=nothing)
    model.reset_metrics()


def _momentum(steps: int) -> float:
    """Decay of batch norm's moving statistics: slim's 0.9997 is made for a million steps.

    A short run has to forget its first statistics within the run: a tenth of its steps.
    """
    return min(BATCH_NORM_DECAY, max(0.5, 1 - 10 / steps))


def _optimizer(name: Optimizer, learning_rate: float, steps: int, epochs: int) -> Any:
    if name == "rmsprop":
        return keras.optimizers.RMSprop(
            keras.optimizers.schedules.ExponentialDecay(
                learning_rate,
                decay_steps=RMSPROP_EPOCHS_PER_DECAY * steps,
                decay_rate=RMSPROP_RATE_DECAY,
                staircase=True,
            ),
            rho=RMSPROP_DECAY,
            momentum=RMSPROP_DECAY,
            epsilon=RMSPROP_EPSILON,
            global_clipnorm=GRADIENT_CLIP,
        )
    warmup = max(1, round(WARMUP_FRACTION * steps * epochs))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=max(1, steps * epochs - warmup),
        warmup_target=learning_rate,
        warmup_steps=warmup,
    )
    return keras.optimizers.AdamW(
        schedule, weight_decay=WEIGHT_DECAY, global_clipnorm=GRADIENT_CLIP
    )


def _augmentation(seed: int) -> Any:
    """Flips, small affine changes, brightness and contrast, on images in [-1, 1]."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.RandomFlip("horizontal", seed=seed),
            layers.RandomRotation(0.04, fill_mode="reflect", seed=seed + 1),
            layers.RandomZoom((-0.15, 0.15), (-0.15, 0.15), fill_mode="reflect", seed=seed + 2),
            layers.RandomTranslation(0.08, 0.08, fill_mode="reflect", seed=seed + 3),
            layers.RandomBrightness(0.15, value_range=(-1, 1), seed=seed + 4),
            layers.RandomContrast(0.2, value_range=(-1, 1), seed=seed + 5),
        ]
    )


def _images(
    examples: Sequence[Example],
    graph: Graph,
    heads: Mapping[str, float],
    crop: float,
    unreadable: list[str],
) -> Any:
    """A ``tf.data`` set of (image, {head: one-hot class}), decoded as `classify` decodes.

    An image that can't be decoded is noted in ``unreadable`` and ends the iteration.
    """
    size, classes = graph.image_size, graph.classes

    def decode(path: bytes) -> NDArray[np.float32]:
        try:
            return scaled(load_image(os.fsdecode(path), Decoding(size, crop)).pixels)
        except ImageError as error:
            unreadable.append(f"{os.fsdecode(path)}: {error}")
            raise

    def load(path: Any, index: Any) -> tuple[Any, Any]:
        image = tf.numpy_function(decode, [path], tf.float32, stateful=False)
        image.set_shape((size, size, 3))
        return image, dict.fromkeys(heads, tf.one_hot(index, classes))

    paths = [os.fsencode(example.path) for example in examples]
    indexes = [example.class_index for example in examples]
    return tf.data.Dataset.from_tensor_slices((paths, indexes)).map(
        load, num_parallel_calls=tf.data.AUTOTUNE
    )
