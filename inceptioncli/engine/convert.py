"""TensorFlow's converter: weights to the bytes of a LiteRT file."""

from __future__ import annotations

import tempfile

from inceptioncli.engine.base import END_POINTS_SIGNATURE, INPUT_NAME, PREDICTIONS_SIGNATURE
from inceptioncli.errors import OutputError
from inceptioncli.noise import native_stderr_hidden
from inceptioncli.weights.model import Weights


def convert(weights: Weights, precision: str) -> bytes:
    """Builds the graph in TensorFlow and converts it; its signatures are those of `engine.base`.

    Args:
        weights: the model and its arrays.
        precision: ``float32`` or ``int8`` (dynamic range: int8 weights by channel, activations
            quantised as they come).

    Raises:
        OutputError: no temporary folder can be written.
    """
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
