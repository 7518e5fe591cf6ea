"""Keras's HDF5 layouts: the published file, whole-model ``.h5``, and ``.weights.h5``.

Convolution number i of a file is number i of the table, since Keras Applications creates its
layers in slim's order. Layers are found by their numbers, never by position: ``model.layers`` is
sorted by depth, and the groups of ``.weights.h5`` with it. Where a file describes the whole model,
that is held against the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from inceptioncli.architecture import SCOPE, Graph
from inceptioncli.errors import WeightsError
from inceptioncli.summary import convolutions
from inceptioncli.weights.folding import with_norm_before
from inceptioncli.weights.formats import hdf5, keras_config
from inceptioncli.weights.formats.found import Found, Variable
from inceptioncli.weights.formats.keras_model import describe, order_of_saving
from inceptioncli.weights.formats.keras_top import Top, foreign, without_top

_NUMBERED = re.compile(r"(conv2d|batch_normalization)(?:_(\d+))?")
_BATCH_NORM_LEAVES = ("gamma", "beta", "moving_mean", "moving_variance")
# In .weights.h5 a layer's arrays are numbered in the order in which it creates them, without those
# that it doesn't have.
_UNNAMED_LEAVES = {
    ("conv2d", 1): ("kernel",),
    ("conv2d", 2): ("kernel", "bias"),
    ("batch_normalization", 2): _BATCH_NORM_LEAVES[2:],
    ("batch_normalization", 3): _BATCH_NORM_LEAVES[1:],
    ("batch_normalization", 4): _BATCH_NORM_LEAVES,
    ("dense", 1): ("kernel",),
    ("dense", 2): ("kernel", "bias"),
}
_CLASSIFIER = f"{SCOPE}/Logits/Conv2d_1c_1x1"

_Layers = dict[str, dict[str, h5py.Dataset]]


@contextmanager
def open_keras(path: Path) -> Iterator[Found]:
    """Opens a Keras weight file.

    Raises:
        WeightsError: damaged, or without InceptionV3's layers, or of a model that isn't ours.
    """
    with hdf5.opened(path, path) as file:
        with hdf5.telling_damage(path):
            found = found_in(file, path, hdf5.text_attribute(file, "model_config", path))
        yield found


def found_in(file: h5py.File, path: Path, description: str | bytes | None) -> Found:
    """What is in a file of arrays.

    Args:
        file: of any of the layouts.
        path: for messages.
        description: the whole model's, in Keras's JSON; None if there is none.

    Raises:
        WeightsError: without InceptionV3's layers, or of a model that isn't ours.
    """
    with _telling_the_model(path):
        model = None if description is None else keras_config.parse(description)
        places = {} if model is None else keras_config.places(model)
    layers = _layers(file, path, places)
    convs = _numbered(layers, "conv2d")
    norms = _numbered(layers, "batch_normalization")
    scopes = [conv.scope for conv in convolutions(Graph(aux=False)) if not conv.linear]
    # A top can have some of its own, which were made later.
    inner = {
        name: number
        for names in (convs, norms)
        for number, name in enumerate(list(names.values())[: len(scopes)])
    }
    for kind, found in (("conv2d", convs), ("batch_normalization", norms)):
        # Without a description nothing tells what a further convolution is for.
        too_many = len(found) > len(scopes) and kind == "conv2d" and model is None
        if len(found) < len(scopes) or too_many:
            raise WeightsError(
                f"{path}: {len(found)} {kind} layers; expected the {len(scopes)} of Keras "
                f"Applications' InceptionV3{_gaps(found)}"
            )
    variables = _network(layers, {name: scopes[number] for name, number in inner.items()}, path)
    if model is None:
        top = _top_by_arrays(layers, [name for name in norms.values() if name not in inner])
        return _with_top(Found(variables), top, layers, path)
    with _telling_the_model(path):
        described = describe(model, inner)
    found_by_model = Found(
        variables,
        activation=described.top.activation if isinstance(described.top, Top) else None,
        image_size=described.image_size,
        epsilons={
            f"{scopes[inner[name]]}/BatchNorm": epsilon
            for name, epsilon in described.epsilons.items()
        },
        input_scale=described.input_scale,
    )
    return _with_top(found_by_model, described.top, layers, path)


@contextmanager
def _telling_the_model(path: Path) -> Iterator[None]:
    """Around what reads a description: it is as wrong as its writer wants."""
    try:
        yield
    except RecursionError as error:
        raise WeightsError(f"{path}: the model's description is nested without end") from error
    except ValueError as error:
        raise WeightsError(f"{path}: the model in it is not ours to run: {error}") from error


def _layers(file: h5py.File, path: Path, places: Mapping[str, str]) -> _Layers:
    """Layer name to {leaf name: dataset}, from either layout."""
    layers: _Layers = {}
    for name, item in hdf5.members(file, path):
        if name.startswith("optimizer"):
            continue
        leaf = name.rsplit("/", 1)[-1]
        if not isinstance(item, h5py.Dataset):
            # A layer without arrays is to be missed by name. In layers/, names are positions.
            if _NUMBERED.fullmatch(leaf) and not str(item.parent.name).endswith("/layers"):
                layers.setdefault(leaf, {})
            continue
        group, leaf = item.parent, leaf.removesuffix(":0")
        layer = str(group.name).rsplit("/", 1)[-1]
        if leaf.isdigit():
            place = str(group.name).strip("/").removesuffix("/vars")
            layer = hdf5.text_attribute(group, "name", path) or places.get(place) or _unnamed(place)
            leaf = _leaf(layer, place, int(leaf), group)
        layers.setdefault(layer, {})[leaf] = item
    return layers


def _unnamed(place: str) -> str:
    """The name of a layer by its place, in files of Keras from 2.12 to 3.5, which have no names."""
    numbered = _NUMBERED.fullmatch(place.rsplit("/", 1)[-1])
    order = order_of_saving()
    if numbered is None or int(numbered[2] or 0) >= len(order):
        return place
    return f"{numbered[1]}_{order[int(numbered[2] or 0)]}"


def _leaf(layer: str, place: str, number: int, group: h5py.Group) -> str:
    """The name of an array that a file only numbers; the number where nothing tells."""
    numbered = _NUMBERED.fullmatch(layer)
    kind = numbered[1] if numbered else re.sub(r"_\d+$", "", place.rsplit("/", 1)[-1])
    if not numbered and len(getattr(group.get("0"), "shape", None) or ()) == 2:
        kind = "dense"  # by whatever name
    leaves = _UNNAMED_LEAVES.get((kind, len(group)), ())
    return leaves[number] if number < len(leaves) else str(number)


def _numbered(layers: _Layers, kind: str) -> dict[int, str]:
    """Layers of a kind by their number (``conv2d`` has none: 0), in order of creation."""
    found = {}
    for name in layers:
        match = _NUMBERED.fullmatch(name)
        if match and match[1] == kind:
            found[int(match[2] or 0)] = name
    return dict(sorted(found.items()))


def _gaps(found: dict[int, Any]) -> str:
    # One at a time: a number can be as large as a name is long.
    numbers = range(min(found), max(found)) if found else ()
    missing = next((number for number in numbers if number not in found), None)
    return "" if missing is None else f" (number {missing} is missing)"


def _network(layers: _Layers, scopes: Mapping[str, str], path: Path) -> dict[str, Variable]:
    """The variables of the network, whose layers have these scopes."""
    variables = {}
    for layer, scope in scopes.items():
        for leaf, dataset in layers[layer].items():
            if leaf == "kernel":
                variables[f"{scope}/weights"] = hdf5.variable(dataset, path)
            elif leaf in _BATCH_NORM_LEAVES:
                variables[f"{scope}/BatchNorm/{leaf}"] = hdf5.variable(dataset, path)
    return variables


def _top_by_arrays(layers: _Layers, norms: list[str]) -> Top | str:
    """The classifier by the shapes of arrays alone, or the reason why there is none."""
    if norms:
        return foreign(", ".join(norms))
    dense = [
        name
        for name, leaves in layers.items()
        if not _NUMBERED.fullmatch(name)
        and {"kernel", "bias"} & set(leaves)
        and ("kernel" not in leaves or len(leaves["kernel"].shape or ()) == 2)
    ]
    return Top(dense[0], None) if len(dense) == 1 else without_top(dense)


def _with_top(found: Found, top: Top | str, layers: _Layers, path: Path) -> Found:
    if isinstance(top, str):
        return found._replace(features_only=top)
    dense, *norms = (
        {leaf: hdf5.variable(item, path) for leaf, item in layers.get(name, {}).items()}
        for name in (top.dense, *(norm.layer for norm in top.norms))
    )
    if not {"kernel", "bias"} & set(dense):
        raise WeightsError(f"{path}: no arrays of its dense layer {top.dense}")
    classifier = {}
    if "kernel" in dense:
        kernel = dense["kernel"]
        classifier["weights"] = Variable(
            kernel.origin, (1, 1, *kernel.shape), lambda: kernel.read()[None, None]
        )
        if not top.bias:
            width = kernel.shape[-1:]
            classifier["biases"] = Variable(kernel.origin, width, lambda: np.zeros(width))
    if "bias" in dense:
        classifier["biases"] = dense["bias"]
    if norms and len(classifier) == 2:
        classifier = _behind_norms(classifier, top, norms)
    named = {f"{_CLASSIFIER}/{leaf}": variable for leaf, variable in classifier.items()}
    return found._replace(variables={**found.variables, **named})


def _behind_norms(
    classifier: Mapping[str, Variable], top: Top, norms: list[dict[str, Variable]]
) -> dict[str, Variable]:
    """A classifier with the batch norms before it inside."""

    def read() -> dict[str, NDArray[Any]]:
        arrays = {leaf: variable.read() for leaf, variable in classifier.items()}
        for norm, leaves in zip(reversed(top.norms), reversed(norms), strict=True):
            values = {leaf: variable.read() for leaf, variable in leaves.items()}
            arrays = with_norm_before(arrays, values, norm.epsilon)
        return arrays

    return {
        leaf: variable._replace(read=partial(lambda leaf: read()[leaf], leaf))
        for leaf, variable in classifier.items()
    }
