"""Renderer owns the drawing of photograph-like pictures of ImageNet classes, from a seed.

Everything in a picture follows from its class and its seed: the same two give the same picture.
"""

import numpy as np
from PIL import Image

from demo.renderer import lens
from demo.renderer.classes import CLASSES
from demo.renderer.scene import Scene

__all__ = ["CLASSES", "DEFAULT_SIZE", "render"]

DEFAULT_SIZE = (299, 299)


def render(class_name: str, seed: int, size: tuple[int, int] | None = None) -> Image.Image:
    """An RGB picture of the class, `size` (width, height) px, 299 x 299 by default.

    Raises KeyError for a class that is not in `CLASSES`.
    """
    row = CLASSES[class_name]
    rng = np.random.Generator(np.random.PCG64([row.index, seed]))
    scene = Scene(rng, size or DEFAULT_SIZE)
    row.draw(scene)
    return lens.photograph(scene)
