"""tf_slim as the oracle, the only one with an aux head: checkpoints, frozen graphs, activations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class SlimFiles(NamedTuple):
    """What one random network was saved as, and what it makes of ``images``."""

    v1: Path
    v2: Path
    frozen: Path
    images: NDArray[np.float32]
    end_points: dict[str, NDArray[np.float32]]


def import_slim() -> Any:
    """Imports tf_slim 1.1, which looks for legacy layers where tf_keras no longer has them."""
    import importlib

    base = "tf_keras.src.legacy_tf_layers"
    sys.modules["tf_keras.legacy_tf_layers"] = importlib.import_module(base)
    for name in ("base", "convolutional", "core", "normalization", "pooling"):
        sys.modules[f"tf_keras.legacy_tf_layers.{name}"] = importlib.import_module(f"{base}.{name}")
    import tf_slim

    return tf_slim


def save_random_network(
    folder: Path, *, seed: int, classes: int = 1001, depth_multiplier: float = 1.0
) -> SlimFiles:
    """Builds slim's InceptionV3 with random weights and statistics, runs it, and saves it."""
    import tensorflow as tf

    import_slim()
    from tf_slim.nets import inception_v3

    images = np.random.default_rng(seed).integers(0, 256, (2, 299, 299, 3), dtype=np.uint8)
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
        tf.compat.v1.set_random_seed(seed)
        placeholder = tf.compat.v1.placeholder(tf.float32, [None, 299, 299, 3], name="input")
        with tf.compat.v1.variable_scope("", use_resource=False):
            import tf_slim

            with tf_slim.arg_scope(inception_v3.inception_v3_arg_scope()):
                _, ends = inception_v3.inception_v3(
                    placeholder,
                    num_classes=classes,
                    is_training=False,
                    depth_multiplier=depth_multiplier,
                )
        session.run(tf.compat.v1.global_variables_initializer())
        rng = np.random.default_rng(seed)
        for variable in tf.compat.v1.global_variables():
            shape = variable.shape.as_list()
            if variable.op.name.endswith("moving_variance"):
                variable.load(rng.uniform(0.5, 1.5, shape), session)
            elif len(shape) == 1:
                variable.load(rng.normal(0, 0.1, shape), session)
        values = session.run(ends, {placeholder: images / 127.5 - 1})
        saver = tf.compat.v1.train.Saver(write_version=tf.compat.v1.train.SaverDef.V2)
        v2 = Path(saver.save(session, str(folder / "model.ckpt-7")))
        saver = tf.compat.v1.train.Saver(write_version=tf.compat.v1.train.SaverDef.V1)
        v1 = Path(saver.save(session, str(folder / "inception_v3.ckpt")))
        frozen = folder / "frozen.pb"
        frozen.write_bytes(
            tf.compat.v1.graph_util.convert_variables_to_constants(
                session, graph.as_graph_def(), ["InceptionV3/Predictions/Reshape_1"]
            ).SerializeToString()
        )
    return SlimFiles(v1, v2, frozen, images, values)
