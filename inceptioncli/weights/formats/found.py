"""What a reader found in a weight file, before it is checked, and the graph that it implies."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from inceptioncli.architecture import AUX_END_POINT, SCOPE, Activation, Graph
from inceptioncli.errors import UsageError, WeightsError
from inceptioncli.summary import Shape, convolutions
from inceptioncli.weights.folding import Affine
from inceptioncli.weights.model import Model

if TYPE_CHECKING:
    from numpy.typing import NDArray


GZIP_MAGIC = b"\x1f\x8b"


class Variable(NamedTuple):
    """An array in a file that is not read yet; ``origin`` is the file's own name for it."""

    origin: str
    shape: Shape
    read: Callable[[], NDArray[Any]]


FoundVariables = Mapping[str, Variable]


class Found(NamedTuple):
    """Variables by slim name, and what the file itself tells of the model.

    Attributes:
        variables: by slim name.
        model: the whole model, where the file has it.
        activation: of the classifier; None where the file can't tell.
        image_size: side of the input; None where the file can't tell.
        features_only: why there are no classes, if that is so: what the file has instead.
        epsilons: of batch norms that may have another one than ours, by scope.
        input_scale: what pixels in [-1, 1] go through first; None where the file can't tell.
    """

    variables: FoundVariables
    model: Model | None = None
    activation: Activation | None = None
    image_size: int | None = None
    features_only: str | None = None
    epsilons: Mapping[str, float] = MappingProxyType({})
    input_scale: Affine | None = None


def reason(error: Exception) -> str:
    """What a library says of damage, in one line."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def damaged(path: Path, what: str, error: Exception) -> WeightsError:
    """The error for a damaged file, from a library's own."""
    return WeightsError(f"{path}: damaged {what} ({reason(error)})")


# A checkpoint does not say which image size its aux head was made for, but the name of its
# Conv2d_2a does, roughly: what was asked for is taken if it leads to that name, else the first of
# these that does.
_USUAL_IMAGE_SIZES = (299, 224, 192, 256, 150)
_BY_CLASS = tuple(
    f"{SCOPE}/{scope}/{leaf}"
    for scope in ("Logits/Conv2d_1c_1x1", f"{AUX_END_POINT}/Conv2d_2b_1x1")
    for leaf in ("weights", "biases")
)
_AUX_CONV = re.compile(rf"{SCOPE}/{AUX_END_POINT}/Conv2d_2a_(\d)x\d/weights")


def is_slim_variable(name: str) -> bool:
    """Whether a name in a file of slim's is one of the network's variables."""
    return name.startswith(f"{SCOPE}/")


def graph_of(
    found: Found, path: Path, activation: Activation | None = None, image_size: int | None = None
) -> Graph:
    """The graph whose variables these are.

    Args:
        found: what tells: the model, if there is one; else the names and shapes of variables.
        path: of the file, for messages.
        activation: what was asked for, for files that can't tell; None for softmax.
        image_size: likewise; None for 299.

    Raises:
        UsageError: the file says otherwise than what was asked for; or no graph is as asked for.
        WeightsError: they are no InceptionV3's at all; nothing tells what becomes of one output; or
            no graph is as the file says.
    """
    graph = found.model.graph if found.model else _inferred(found, path, activation, image_size)
    for option, asked, told in (
        ("--activation", activation, graph.activation if graph.classes else None),
        ("--image-size", image_size, graph.image_size),
    ):
        if asked is not None and asked != told:
            says = f"the file says {told}" if told else "the file has no classifier"
            raise UsageError(
                f"{path}: {option} {asked} asked for, but {says}; leave the option out"
            )
    return graph


def _inferred(
    found: Found, path: Path, activation: Activation | None, image_size: int | None
) -> Graph:
    """The graph by names and shapes, by what the file tells, and else by what was asked for."""
    shapes = {name: variable.shape for name, variable in found.variables.items()}
    full = convolutions(Graph())
    known = [conv for conv in full if len(shapes.get(f"{conv.scope}/weights", ())) == 4]
    if len(known) < len(full) // 2:
        raise WeightsError(
            f"{path}: only {len(known)} of {len(full)} InceptionV3 convolutions found; "
            "these are another network's weights, or of another layout"
        )
    has_aux = any(name.startswith(f"{SCOPE}/{AUX_END_POINT}/") for name in shapes)
    # Any of a classifier's variables shows that there is one; those that lack are missed later.
    classes = next((shapes[name][-1] for name in _BY_CLASS if shapes.get(name)), 0)
    told = found.activation or activation
    if classes == 1 and told is None:
        raise WeightsError(
            f"{path}: one output, and the file can't tell what becomes of it; if it is a "
            "sigmoid, `inceptioncli weights convert --activation sigmoid` makes a file that says "
            "so (`classify` and `features` take the option too)"
        )
    size = found.image_size or image_size or 299
    filters = [
        (conv.filters, shapes[f"{conv.scope}/weights"][-1]) for conv in known if not conv.linear
    ]
    try:
        return Graph(
            image_size=_aux_image_size(shapes, size) if has_aux else size,
            classes=classes,
            depth_multiplier=_depth_multiplier(filters),
            aux=has_aux,
            activation=told or "softmax",
        )
    except UsageError as error:
        told_nothing = found.activation is None and found.image_size is None
        if told_nothing and (activation, image_size) != (None, None):
            raise  # It is what was asked for that can't be.
        raise WeightsError(f"{path}: {error}") from error


def _depth_multiplier(filters: list[tuple[int, int]]) -> float:
    """The multiplier that explains most of the (nominal, found) filter counts; round if it can.

    A wrong shape among them must not win, so that it can be reported as what it is.
    """
    ratios = sorted({found / nominal for nominal, found in filters})
    rounded = [round(ratio, digits) for digits in (1, 2, 3) for ratio in ratios]
    candidates = [ratio for ratio in (1.0, *rounded, *ratios) if 0 < ratio < 1000]

    def explained(multiplier: float) -> int:
        graph = Graph(depth_multiplier=multiplier)
        return sum(graph.depth(nominal) == found for nominal, found in filters)

    return max(candidates, key=explained)


def _aux_image_size(shapes: Mapping[str, Shape], likely: int) -> int:
    kernels = [int(match[1]) for name in shapes if (match := _AUX_CONV.fullmatch(name))]
    for size in (likely, *_USUAL_IMAGE_SIZES):
        scope = convolutions(Graph(image_size=size))[-3].scope
        if kernels and scope.endswith(f"Conv2d_2a_{kernels[0]}x{kernels[0]}"):
            return size
    return likely
