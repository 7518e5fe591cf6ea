"""The JSON in which Keras describes a model: its layers, and which of them follows which.

Keras 2 and 3 write it differently, whole-model ``.h5`` and ``.keras`` alike; only this module
knows how. It is data: nothing is built from it, and nothing in it is run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
Json = Mapping[str, Any]

LARGEST_BYTES = 1 << 25  # InceptionV3's has 0.3 MB
_LONGEST_NAME = 1000


class Layer(NamedTuple):
    """A layer by Keras's names.

    Attributes:
        name: its own.
        kind: its class.
        config: what it was made with.
        operands: what it is called with, in order; None for what other layers put out.
    """

    name: str
    kind: str
    config: Json
    operands: tuple[Any, ...] = (None,)

    def __str__(self) -> str:
        return f"{_cut(self.name)} ({_cut(self.kind)})"


def parse(text: str | bytes) -> Json:
    """The description of a model.

    Raises:
        ValueError: it is none.
        RecursionError: it is nested without end; from the functions below as well.
    """
    if len(text) > LARGEST_BYTES:
        raise ValueError(f"{len(text):,} bytes of JSON")
    model = json.loads(text)
    if not _is_model(model):
        kind = model.get("class_name") if isinstance(model, dict) else type(model).__name__
        raise ValueError(
            f"a model of the class {_cut(str(kind))}, which only its own code explains; "
            "expected Functional or Sequential"
        )
    return model  # type: ignore[no-any-return]


def follow(model: Json, image: T, apply: Callable[[Layer, list[T]], T]) -> T:
    """Takes a value through a model, layer by layer; models in it are entered.

    What flows through it is the caller's, as in `architecture.walk`.

    Args:
        model: as `parse` gives it.
        image: what goes in.
        apply: what a layer makes of its inputs.

    Returns:
        What comes out.

    Raises:
        ValueError: not as Keras writes it, or not of one input and one output; and what ``apply``
            raises.
    """
    entries = _entries(model)
    if _text(model, "class_name") == "Sequential":
        for entry in entries:
            image = _pass(entry, [image], (None,), apply)
        return image
    return _follow(model["config"], entries, image, apply)


def places(model: Json) -> dict[str, str]:
    """The layers' names by where ``.weights.h5`` keeps them: ``layers/conv2d_3`` and so on.

    Files of Keras from 2.12 to 3.5 hold the places alone. A place is named for the layer's class,
    and counts those of its model; the order is that of the layers here.
    """
    found: dict[str, str] = {}
    met: dict[str, int] = {}
    for entry in _entries(model):
        kind = _snake_case(_text(entry, "class_name"))
        count = met.get(kind, 0)
        met[kind] = count + 1
        place = f"layers/{kind}_{count}" if count else f"layers/{kind}"
        if _is_model(entry):
            found.update({f"{place}/{inner}": name for inner, name in places(entry).items()})
        else:
            found[place] = _name(entry)
    return found


def _follow(
    config: Json, entries: Sequence[Json], image: T, apply: Callable[[Layer, list[T]], T]
) -> T:
    """Through a functional model, whose layers name those that they follow."""
    by_name = {_name(entry): entry for entry in entries}
    calls = {name: _call(entry) for name, entry in by_name.items()}
    first, last = (_only_end(config, key) for key in ("input_layers", "output_layers"))
    values: dict[str, T] = {}
    for name in TopologicalSorter({name: call[0] for name, call in calls.items()}).static_order():
        if name not in by_name:
            raise ValueError(f"no layer {_cut(name)}, which others follow")
        names, operands = calls[name]
        inputs = [image] if name == first else [values[each] for each in names]
        if not inputs:
            raise ValueError(f"{_cut(name)} follows nothing")
        values[name] = _pass(by_name[name], inputs, operands, apply)
    if last not in values:
        raise ValueError(f"no layer {_cut(last)}, which is the output")
    return values[last]


def _pass(
    entry: Json,
    inputs: list[T],
    operands: tuple[Any, ...],
    apply: Callable[[Layer, list[T]], T],
) -> T:
    if _is_model(entry):
        if len(inputs) != 1:
            raise ValueError(f"{_cut(_name(entry))} has {len(inputs)} inputs; expected one")
        return follow(entry, inputs[0], apply)
    kind = _text(entry, "class_name")
    return apply(Layer(_name(entry), kind, entry["config"], operands), inputs)


def _call(entry: Json) -> tuple[list[str], tuple[Any, ...]]:
    """Whose outputs a layer is called with, and all that it is called with (see `Layer`)."""
    nodes = entry.get("inbound_nodes")
    if not isinstance(nodes, list) or len(nodes) > 1:
        count = len(nodes) if isinstance(nodes, list) else 0
        raise ValueError(f"{_cut(_name(entry))} is used {count} times; expected once")
    if not nodes:
        return [], (None,)
    (node,) = nodes
    if isinstance(node, dict):  # Keras 3
        arguments = node.get("args")
        if not isinstance(arguments, list):
            raise ValueError(f"{_cut(_name(entry))} has no arguments")
        return list(_origins(node)), tuple(
            None if any(_origins(each)) else each for each in arguments
        )
    # Keras 2: [layer, 0, 0, {"y": 2}] for an operation with a constant.
    constants = [
        value["y"]
        for value in (node if isinstance(node, list) else ())
        if isinstance(value, dict) and "y" in value
    ]
    return list(_origins(node)), (None, *constants)


def _origins(value: Any) -> Iterator[str]:
    """The layers whose outputs are somewhere in the arguments of a call."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":  # Keras 3
            config = value.get("config")
            history: Any = config.get("keras_history") if isinstance(config, dict) else None
            if not _is_output(history):
                raise ValueError("a tensor without an origin")
            name: str = history[0]
            yield name
        else:
            for each in value.values():
                yield from _origins(each)
    elif isinstance(value, list):
        if _is_output(value):  # Keras 2
            yield value[0]
            value = value[3:]
        for each in value:
            yield from _origins(each)


def _is_output(value: Any) -> bool:
    """Whether this is a layer's output as Keras names it: layer, node, which of its tensors."""
    return (
        isinstance(value, list)
        and len(value) >= 3
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and isinstance(value[2], int)
    )


def _only_end(config: Json, key: str) -> str:
    ends = list(_origins(config.get(key)))
    if len(ends) != 1:
        raise ValueError(f"{len(ends)} {key.replace('_', ' ')}; expected one")
    return ends[0]


def _is_model(entry: Any) -> bool:
    """Whether a layer's description is one of a model, whose layers are described in it."""
    if not isinstance(entry, dict):
        return False
    config = entry.get("config")
    kind = entry.get("class_name")
    if kind == "Sequential":
        return isinstance(config, list) or (isinstance(config, dict) and "layers" in config)
    return isinstance(config, dict) and {"layers", "input_layers", "output_layers"} <= set(config)


def _entries(model: Json) -> Sequence[Json]:
    config = model["config"]
    entries = config["layers"] if isinstance(config, dict) else config  # a list before Keras 2.2
    if not isinstance(entries, list):
        raise ValueError("layers that are no list")
    for entry in entries:
        if not isinstance(entry, dict) or not (
            isinstance(entry.get("config"), dict) or _is_model(entry)
        ):
            raise ValueError("a layer that is no object with a config")
    return entries


def _name(entry: Json) -> str:
    """A layer's name: beside its config in functional models, in it everywhere."""
    if isinstance(entry.get("name"), str):
        return _text(entry, "name")
    return _text(entry["config"], "name") if isinstance(entry["config"], dict) else "model"


def _text(entry: Json, key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        raise ValueError(f"a layer without a {key}")
    if len(value) > _LONGEST_NAME:
        raise ValueError(f"a layer with a {key} of {len(value):,} characters")
    return value


def _snake_case(name: str) -> str:
    """As Keras makes a place's name of a class's: ``BatchNormalization``, ``Conv2D``."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
