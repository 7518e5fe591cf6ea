"""A model: what a set of weights means, apart from its arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from inceptioncli.architecture import Graph
from inceptioncli.errors import WeightsError
from inceptioncli.labels import Label, check_count, check_text, default_labels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Version 2 has an activation, which readers of version 1 would take for softmax. What is softmax is
# written as version 1, which they can read.
FORMAT_VERSION = 2
WITHOUT_TOP = "a file without the top, so without classes"

T = TypeVar("T")
_KINDS: dict[type, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    list: "a list",
    dict: "an object",
}


@dataclass(frozen=True)
class Model:
    """What a set of weights computes and what its outputs stand for.

    Attributes:
        graph: the network.
        labels: one for each class; None for the default ones (`labels.default_labels`).
        label_offset: output index of the first real class; 1 where output 0 is "background".
        crop: central fraction of each side that is kept before resizing, unless asked otherwise.
        source: name of the file that the weights come from, or how they were trained.
        source_sha256: SHA-256, in hex, of that file, or of the weights that training began with.
        input_scale: the pixels that the network was trained on, if that is folded into the first
            convolution: a `choices.InputScale`, or what the file that the weights come from does
            with them.
        features_only: why there are no classes, of a file of Keras: its top is missing, or another.
        training: for a model that `inceptioncli train` made: options, counts, accuracy.
    """

    graph: Graph
    labels: tuple[Label, ...] | None = None
    label_offset: int = 0
    crop: float = 1.0
    source: str = ""
    source_sha256: str = ""
    input_scale: str | None = None
    features_only: str | None = None
    training: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.labels is not None:
            check_count(self.labels, self.graph.classes, self.source)
            check_text(self.labels, self.source)

    @property
    def class_labels(self) -> tuple[Label, ...]:
        """One label for each class."""
        return default_labels(self.graph.classes) if self.labels is None else self.labels

    def require_classes(self, given: str) -> None:
        """Raises WeightsError for a model that gives features only; ``given``, the user's name."""
        if not self.graph.classes:
            raise WeightsError(
                f"{given} gives features only: {self.features_only or WITHOUT_TOP}; "
                "`inceptioncli train --from` puts a classifier of your own on them"
            )

    def to_metadata(self) -> dict[str, str]:
        """The model as strings: each value is JSON. Labels are always written out."""
        graph = asdict(self.graph)
        softmax = self.graph.activation == "softmax"
        fields: dict[str, Any] = {
            "inceptioncli": 1 if softmax else FORMAT_VERSION,
            **{name: graph[name] for name in ("image_size", "depth_multiplier", "min_depth")},
            "aux": self.graph.aux,
            "num_classes": self.graph.classes,
            "classes": [{"id": label.id, "label": label.name} for label in self.class_labels],
            "label_offset": self.label_offset,
            "crop": self.crop,
            "source": self.source,
            "source_sha256": self.source_sha256,
            "training": self.training,
        }
        if not softmax:
            fields["activation"] = self.graph.activation
        if self.input_scale is not None:
            fields["input_scale"] = self.input_scale
        if self.features_only is not None:
            fields["features_only"] = self.features_only
        return {name: json.dumps(value, ensure_ascii=False) for name, value in fields.items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Model:
        """Reads back what `to_metadata` wrote.

        Raises:
            KeyError, TypeError, ValueError, InceptionError: something is missing, of the wrong
                kind, or of a network or labels that there can't be.
        """
        fields = {name: _parsed(name, text) for name, text in metadata.items()}
        version = _of(int, fields, "inceptioncli")
        if version > FORMAT_VERSION:
            raise ValueError(f"written by a newer inceptioncli (format {version})")
        crop = _of(float, fields, "crop")
        if not 0 < crop <= 1:
            raise ValueError(f"crop {crop} is not in (0, 1]")
        graph = Graph(
            image_size=_of(int, fields, "image_size"),
            classes=_of(int, fields, "num_classes"),
            depth_multiplier=_of(float, fields, "depth_multiplier"),
            min_depth=_of(int, fields, "min_depth"),
            aux=_of(bool, fields, "aux"),
            activation=fields.get("activation", "softmax"),
        )
        offset = _of(int, fields, "label_offset")
        if not 0 <= offset <= graph.classes:
            raise ValueError(f"label_offset {offset} is none of the {graph.classes} classes")
        return cls(
            graph=graph,
            labels=tuple(map(_label, _of(list, fields, "classes"))),
            label_offset=offset,
            crop=crop,
            source=_of(str, fields, "source"),
            source_sha256=_of(str, fields, "source_sha256"),
            input_scale=_of(str, fields, "input_scale") if "input_scale" in fields else None,
            features_only=_of(str, fields, "features_only") if "features_only" in fields else None,
            training=_of(dict, fields, "training") if fields.get("training") else None,
        )


def _parsed(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is no JSON that can be read: {error}") from error


def _of(kind: type[T], fields: Mapping[str, Any], name: str) -> T:
    """A field of exactly this kind; in JSON a whole number may stand for a float."""
    value = fields[name]
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise TypeError(f"{name} is {value!r:.40}; expected {_KINDS[kind]}")
    return value


def _label(entry: Any) -> Label:
    match entry:
        case {"id": str() | None as wordnet_id, "label": str(name)}:
            return Label(wordnet_id, name)
    raise TypeError(f'a class is {entry!r:.40}; expected {{"id": text or null, "label": text}}')


@dataclass(frozen=True)
class Weights:
    """A model with its arrays: slim variable name to float32 array, in slim's order."""

    model: Model
    arrays: Mapping[str, NDArray[np.float32]]
