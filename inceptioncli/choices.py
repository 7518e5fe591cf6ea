"""What users choose among, what they get if they don't, and what a misspelt choice was meant as."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

# Of features: over the spatial positions, and of each number.
POOLS = ("none", "avg", "max")
DTYPES = ("float32", "float16")

# Of the graph.
DEVICES = "auto, cpu, gpu or gpu:N"
CPU_PRECISIONS = ("float32", "int8")
GPU_PRECISIONS = ("float32", "bfloat16", "float16")
PRECISIONS = tuple(dict.fromkeys((*CPU_PRECISIONS, *GPU_PRECISIONS)))

# Of converted weights: the pixels that a network was trained on.
InputScale = Literal["0..1", "-1..1", "0..255", "imagenet"]
INPUT_SCALES: tuple[InputScale, ...] = get_args(InputScale)

# Of training.
Mode = Literal["head", "full"]
MODES: tuple[Mode, ...] = get_args(Mode)
Optimizer = Literal["adamw", "rmsprop"]
OPTIMIZERS: tuple[Optimizer, ...] = get_args(Optimizer)

# An image that takes a worker longer is a failure.
TIMEOUT_S = 30.0


def nearest(given: str, known: Iterable[str]) -> str | None:
    """The one of the known names that a misspelt one was most likely meant as, if any is near."""
    import difflib  # for messages only

    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(given.lower(), by_lower, 1)
    return by_lower[near[0]] if near else None
