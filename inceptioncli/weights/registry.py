"""The weights that have names: where they are published and how to know them."""

from __future__ import annotations

from typing import Literal, NamedTuple

from inceptioncli.choices import nearest
from inceptioncli.errors import WeightsError

Layout = Literal["keras", "keras-archive", "slim-checkpoint", "slim-frozen", "safetensors"]


class NamedWeights(NamedTuple):
    """Weights with a name: published ones, or those in the package (``url`` None)."""

    name: str
    url: str | None
    sha256: str
    bytes: int
    layout: Layout
    classes: int
    about: str

    @property
    def file_name(self) -> str:
        """The file's own name: as published, or in the package's data."""
        return self.url.rsplit("/", 1)[1] if self.url else f"{self.name}.safetensors"


DEFAULT = "imagenet"

NAMED: dict[str, NamedWeights] = {
    weights.name: weights
    for weights in (
        NamedWeights(
            name="imagenet",
            url="https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
            "inception_v3_weights_tf_dim_ordering_tf_kernels.h5",
            sha256="00c9ea4e4762f716ac4d300d6d9c2935639cc5e4d139b5790d765dcbeea539d0",
            bytes=96_112_376,
            layout="keras",
            classes=1000,
            about="Keras Applications; 77.9% top-1, 93.7% top-5",
        ),
        NamedWeights(
            name="imagenet-slim",
            url="https://storage.googleapis.com/download.tensorflow.org/models/"
            "inception_v3_2016_08_28_frozen.pb.tar.gz",
            sha256="7045b72a954af4dce36346f478610acdccbf149168fa25c78e54e32f0c723d6d",
            bytes=88_668_554,
            layout="slim-frozen",
            classes=1001,
            about="TF-Slim; 78.0% top-1, 93.9% top-5 with --crop 0.875",
        ),
        NamedWeights(
            name="demo",
            url=None,
            sha256="9746139c6f513744ac153ce9cc64a275ae2f02924fa0c09042f3f2fb58e4270c",
            bytes=3_172_616,
            layout="safetensors",
            classes=26,
            about="small, drawn classes only; to try the program",
        ),
    )
}


def named(name: str) -> NamedWeights:
    """Looks a name up.

    Raises:
        WeightsError: unknown; the message suggests the nearest name.
    """
    if name in NAMED:
        return NAMED[name]
    near = nearest(name, NAMED)
    suggestion = f"did you mean {near!r}? " if near else ""
    raise WeightsError(
        f"unknown weights {name!r}; {suggestion}the names are {', '.join(NAMED)}, "
        "anything else is the path of a file"
    )
