"""Keras Applications as the oracle: a random model, and its weights in every Keras layout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

MIXED = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")


def random_model(
    seed: int, *, classes: int = 1000, activation: str = "softmax", image_size: int = 299
) -> Any:
    """`keras.applications.InceptionV3` with random weights and batch-norm statistics.

    The classifier is scaled up so that probabilities differ widely.
    """
    import keras

    keras.utils.set_random_seed(seed)
    model = keras.applications.InceptionV3(
        weights=None,
        classes=classes,
        classifier_activation=activation,
        input_shape=(image_size, image_size, 3),
    )
    rng = np.random.default_rng(seed)
    randomize(model, rng)
    kernel, bias = model.get_layer("predictions").get_weights()
    model.get_layer("predictions").set_weights([kernel * 20, rng.normal(0, 0.5, bias.shape)])
    return model


def randomize(model: Any, rng: np.random.Generator) -> None:
    """Gives batch norms random arrays, as trained ones could be; models in the model, too."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            randomize(layer, rng)
        elif type(layer).__name__ == "BatchNormalization":
            values = {
                "gamma": (1, 0.3),
                "beta": (0, 0.1),
                "moving_mean": (0, 0.1),
            }
            arrays = []
            for variable in layer.weights:
                leaf = variable.name.rsplit("/", 1)[-1].removesuffix(":0")
                if leaf == "moving_variance":
                    arrays.append(rng.uniform(0.5, 1.5, variable.shape))
                else:
                    arrays.append(rng.normal(*values[leaf], variable.shape))
            layer.set_weights(arrays)


def save_published_layout(model: Any, path: Path, *, top: bool = True) -> None:
    """Writes a model as the published file has it: ``conv2d_1`` ... ``conv2d_94``."""
    leaves = {
        "conv2d": ["kernel"],
        "batch_normalization": ["beta", "moving_mean", "moving_variance"],
        "predictions": ["kernel", "bias"],
    }
    names = {
        layer.name: f"{kind}_{number}"
        for kind in ("conv2d", "batch_normalization")
        for number, layer in enumerate(_numbered(model, kind), start=1)
    }
    if top:
        names["predictions"] = "predictions"
    with h5py.File(path, "w") as file:
        # Keras reads by these attributes, in the order of `model.layers`.
        layers = [layer for layer in model.layers if layer.name in names]
        file.attrs["layer_names"] = [names[layer.name].encode() for layer in layers]
        for layer in layers:
            name = names[layer.name]
            kind = name.rstrip("0123456789").rstrip("_")
            paths = [f"{name}/{leaf}:0" for leaf in leaves[kind]]
            for leaf, array in zip(paths, layer.get_weights(), strict=True):
                file[f"{name}/{leaf}"] = array
            file[name].attrs["weight_names"] = [leaf.encode() for leaf in paths]


def end_points(model: Any, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """All Mixed end points, PreLogits and Predictions of a Keras model, by slim's names."""
    import keras

    names = {f"Mixed_{name}": f"mixed{number}" for number, name in enumerate(MIXED)}
    names |= {"PreLogits": "avg_pool", "Predictions": "predictions"}
    outputs = {slim: model.get_layer(layer).output for slim, layer in names.items()}
    return keras.Model(model.input, outputs).predict(images, verbose=0)


def _numbered(model: Any, kind: str) -> list[Any]:
    pattern = re.compile(rf"{kind}(?:_(\d+))?")
    found = {
        int(match[1] or 0): layer
        for layer in model.layers
        if (match := pattern.fullmatch(layer.name))
    }
    return [found[number] for number in sorted(found)]
