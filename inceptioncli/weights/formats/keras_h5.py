"""Keras's HDF5 layouts: the published file, whole-model ``.h5``, and ``.weights.h5``.

Convolution number i of a file is number i of the table, since Keras Applications creates its
layers in slim's order. Layers are found by their numbers, never by position: ``model.layers`` is
sorted by depth, and the groups of ``.weights.h5`` with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from inceptioncli.architecture import SCOPE, Graph
from inceptioncli.errors import WeightsError
from inceptioncli.summary import convolutions
from inceptioncli.weights.formats import hdf5
from inceptioncli.weights.formats.found import Found, Variable

_NUMBERED = re.compile(r"(conv2d|batch_normalization)(?:_(\d+))?")
_BATCH_NORM_LEAVES = ("beta", "moving_mean", "moving_variance")
# In .weights.h5 a layer's arrays are numbered in the order in which it creates them; there is no
# gamma in this network.
_UNNAMED_LEAVES = {"conv2d": ("kernel",), "batch_normalization": _BATCH_NORM_LEAVES}
_UNNAMED_DENSE = ("kernel", "bias")

_Layers = dict[str, dict[str, h5py.Dataset]]


@contextmanager
def open_keras(path: Path) -> Iterator[Found]:
    """Opens a Keras weight file.

    Raises:
        WeightsError: damaged, or without InceptionV3's layers.
    """
    with hdf5.opened(path, path) as file:
        with hdf5.telling_damage(path):
            found = Found(_by_slim_name(_layers(file, path), path))
        yield found


def _layers(file: h5py.File, path: Path) -> _Layers:
    """Layer name to {leaf name: dataset}, from either layout."""
    layers: _Layers = {}
    for name, item in hdf5.members(file, path):
        if name.startswith("optimizer"):
            continue
        leaf = name.rsplit("/", 1)[-1]
        if not isinstance(item, h5py.Dataset):
            # A layer without arrays is to be missed by name. Below layers/, names are positions.
            if _NUMBERED.fullmatch(leaf) and not name.startswith("layers/"):
                layers.setdefault(leaf, {})
            continue
        group, leaf = item.parent, leaf.removesuffix(":0")
        layer = hdf5.text_attribute(group, "name", path)
        if layer is None:
            layer = str(group.name).rsplit("/", 1)[-1]
        else:
            kind = _NUMBERED.fullmatch(layer)
            leaves = _UNNAMED_LEAVES[kind[1]] if kind else _UNNAMED_DENSE
            if leaf.isdigit() and int(leaf) < len(leaves) and len(group) == len(leaves):
                leaf = leaves[int(leaf)]
        layers.setdefault(layer, {})[leaf] = item
    return layers


def _by_slim_name(layers: _Layers, path: Path) -> dict[str, Variable]:
    convs = _numbered(layers, "conv2d")
    norms = _numbered(layers, "batch_normalization")
    scopes = [conv.scope for conv in convolutions(Graph(aux=False)) if not conv.linear]
    for kind, found in (("conv2d", convs), ("batch_normalization", norms)):
        if len(found) != len(scopes):
            raise WeightsError(
                f"{path}: {len(found)} {kind} layers; expected the {len(scopes)} of Keras "
                f"Applications' InceptionV3{_gaps(found)}"
            )
    variables = {}
    for scope, conv, norm in zip(scopes, convs.values(), norms.values(), strict=True):
        if "kernel" in conv:
            variables[f"{scope}/weights"] = hdf5.variable(conv["kernel"], path)
        for leaf in _BATCH_NORM_LEAVES:
            if leaf in norm:
                variables[f"{scope}/BatchNorm/{leaf}"] = hdf5.variable(norm[leaf], path)
        if "gamma" in norm:
            raise WeightsError(
                f"{path}: {norm['gamma'].name} found; InceptionV3's batch norm has no gamma "
                "(Keras: scale=False)"
            )
    variables.update(_top(layers, path))
    return variables


def _numbered(layers: _Layers, kind: str) -> dict[int, dict[str, h5py.Dataset]]:
    """Layers of a kind by their number (``conv2d`` has none: 0), in order of creation."""
    found = {}
    for name, leaves in layers.items():
        match = _NUMBERED.fullmatch(name)
        if match and match[1] == kind:
            found[int(match[2] or 0)] = leaves
    return dict(sorted(found.items()))


def _gaps(found: dict[int, Any]) -> str:
    missing = sorted(set(range(min(found), max(found))) - set(found)) if found else []
    return f" (number {missing[0]} is missing)" if missing else ""


def _top(layers: _Layers, path: Path) -> dict[str, Variable]:
    """The classifier, if there is one: the only layer that is neither convolution nor norm."""
    dense = [leaves for name, leaves in layers.items() if not _NUMBERED.fullmatch(name)]
    if not dense:
        return {}
    if len(dense) > 1:
        raise WeightsError(f"{path}: {len(dense)} dense layers; expected one, `predictions`")
    scope = f"{SCOPE}/Logits/Conv2d_1c_1x1"
    variables = {}
    if "kernel" in dense[0]:
        kernel = hdf5.variable(dense[0]["kernel"], path)
        variables[f"{scope}/weights"] = Variable(
            kernel.origin, (1, 1, *kernel.shape), lambda: kernel.read()[None, None]
        )
    if "bias" in dense[0]:
        variables[f"{scope}/biases"] = hdf5.variable(dense[0]["bias"], path)
    return variables
