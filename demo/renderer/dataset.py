"""Dataset owns labelled folders of pictures: one folder per class, named by its WordNet id."""

from collections.abc import Iterable
from multiprocessing import Pool
from pathlib import Path
from typing import NamedTuple

import numpy as np

from demo.renderer import render
from demo.renderer.classes import CLASSES

JPEG_QUALITIES = (50, 96)


class _Picture(NamedTuple):
    path: Path
    class_name: str
    seed: int
    size: tuple[int, int]


def write(
    folder: Path, *, classes: Iterable[str], seeds: range, size: tuple[int, int], jobs: int
) -> int:
    """Draws a picture of every class for every seed into `folder/<WordNet id>/<seed>.jpg`.

    Pictures that are there already stay as they are. Returns how many were drawn.
    """
    wanted = [
        _Picture(folder / CLASSES[name].wordnet_id / f"{seed:07}.jpg", name, seed, size)
        for name in classes
        for seed in seeds
    ]
    missing = [picture for picture in wanted if not picture.path.exists()]
    for parent in {picture.path.parent for picture in missing}:
        parent.mkdir(parents=True, exist_ok=True)
    with Pool(jobs) as pool:
        for _ in pool.imap_unordered(_draw, missing, chunksize=8):
            pass
    return len(missing)


def _draw(picture: _Picture) -> None:
    row = CLASSES[picture.class_name]
    rng = np.random.Generator(np.random.PCG64([row.index, picture.seed, 1]))
    quality = int(rng.integers(*JPEG_QUALITIES))
    image = render(picture.class_name, picture.seed, picture.size)
    # Beside it first: a picture that a kill cut short would be taken for finished.
    beside = picture.path.with_suffix(".partial")
    image.save(beside, "JPEG", quality=quality)
    beside.replace(picture.path)
