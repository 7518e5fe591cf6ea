"""A tiny network, all of whose layers have 16 filters, in every layout that is read."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

from inceptioncli.architecture import Graph
from inceptioncli.summary import convolutions
from inceptioncli.weights.formats.own import write_safetensors
from inceptioncli.weights.model import Weights
from tests.conftest import random_weights

GRAPH = Graph(image_size=75, classes=7, depth_multiplier=0.036, aux=False)
_LEAVES = ("beta", "moving_mean", "moving_variance")


def weights() -> Weights:
    return random_weights(GRAPH)


def keras_layers(network: Weights) -> list[tuple[str, dict[str, Any]]]:
    """Layer names of the published Keras file, each with its arrays."""
    layers: list[tuple[str, dict[str, Any]]] = []
    for number, conv in enumerate(convolutions(network.model.graph), start=1):
        kernel = network.arrays[f"{conv.scope}/weights"]
        if conv.linear:
            bias = network.arrays[f"{conv.scope}/biases"]
            layers.append(("predictions", {"kernel": kernel[0, 0], "bias": bias}))
            continue
        layers.append((f"conv2d_{number}", {"kernel": kernel}))
        norm = {leaf: network.arrays[f"{conv.scope}/BatchNorm/{leaf}"] for leaf in _LEAVES}
        layers.append((f"batch_normalization_{number}", norm))
    return layers


def published(path: Path, prefix: str = "", **options: Any) -> Path:
    """The published Keras file's layout; ``options`` are of h5py's ``create_dataset``."""
    with h5py.File(path, "w") as file:
        for name, arrays in keras_layers(weights()):
            for leaf, array in arrays.items():
                file.create_dataset(f"{prefix}{name}/{name}/{leaf}:0", data=array, **options)
    return path


def whole_model(path: Path) -> Path:
    return published(path, "model_weights/")


def weights_h5(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        for number, (name, arrays) in enumerate(keras_layers(weights())):
            group = file.create_group(f"layers/layer_{number}/vars")
            group.attrs["name"] = name
            for place, array in enumerate(arrays.values()):
                group[str(place)] = array
    return path


def compressed(path: Path) -> Path:
    return published(path, compression="gzip", shuffle=True, fletcher32=True)


def safetensors(path: Path) -> Path:
    write_safetensors(path, weights())
    return path


def frozen(path: Path) -> Path:
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef()
    for name, array in weights().arrays.items():
        node = graph.node.add(name=name, op="Const")
        node.attr["dtype"].type = tf.float32.as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array))
    path.write_bytes(graph.SerializeToString())
    return path


def checkpoint_v1(path: Path) -> Path:
    import tensorflow as tf

    arrays = weights().arrays
    tf.raw_ops.Save(filename=str(path), tensor_names=list(arrays), data=list(arrays.values()))
    return path


def checkpoint_v2(path: Path) -> Path:
    """Writes the index and the shard of the prefix ``path``, which is given back."""
    import tensorflow as tf

    arrays = weights().arrays
    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=list(arrays.values()),
    )
    return path


def archive(path: Path, *files: Path) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for file in files:
            tar.add(file, file.name)
    return path


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "published.h5": published,
    "whole.h5": whole_model,
    "new.weights.h5": weights_h5,
    "compressed.h5": compressed,
    "ours.safetensors": safetensors,
    "frozen.pb": frozen,
    "v1.ckpt": checkpoint_v1,
    "v2.ckpt": checkpoint_v2,
    "frozen.tar.gz": lambda path: archive(path, frozen(path.with_name("in.pb"))),
    "v1.tar.gz": lambda path: archive(path, checkpoint_v1(path.with_name("in.ckpt"))),
}
