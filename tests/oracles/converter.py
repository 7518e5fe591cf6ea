"""TensorFlow's converter as the oracle of the writer: the same graph, traced and converted."""

from __future__ import annotations

import tempfile

from inceptioncli.engine.base import END_POINTS_SIGNATURE, INPUT_NAME, PREDICTIONS_SIGNATURE
from inceptioncli.noise import native_stderr_hidden
from inceptioncli.weights.model import Weights


def convert(weights: Weights, precision: str) -> bytes:
    """A LiteRT file with the writer's two signatures; int8 is LiteRT's dynamic range."""
    with native_stderr_hidden():
        import tensorflow as tf

        from inceptioncli.engine.tensorflow import TensorFlowGraph

        graph = weights.model.graph
        module = TensorFlowGraph(weights, "cpu")
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
        with tempfile.TemporaryDirectory() as saved:
            tf.saved_model.save(module, saved, signatures=signatures)
            converter = tf.lite.TFLiteConverter.from_saved_model(
                saved, signature_keys=list(signatures)
            )
            if precision == "int8":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            content: bytes = converter.convert()
    return content
