"""int8 on a head from `train`, on crops of the photographs in two packages' wheels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import sklearn.datasets
from PIL import Image

from inceptioncli.classifier import load
from tests.conftest import Run

pytestmark = pytest.mark.slow

_SKLEARN = Path(sklearn.datasets.__file__).parent / "images"
_SKIMAGE = Path(skimage.data.__file__).parent
PHOTOGRAPHS = [
    *(_SKLEARN / name for name in ("china.jpg", "flower.jpg")),
    *(
        _SKIMAGE / name
        for name in (
            "astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "hubble_deep_field.jpg",
            "retina.jpg", "ihc.png", "motorcycle_left.png", "camera.png", "coins.png", "moon.png",
            "page.png", "text.png", "brick.png", "grass.png", "gravel.png", "cell.png",
            "clock_motion.png",
        )
    ),
]  # fmt: skip


def write_crops(folder: Path, each: int, seed: int) -> None:
    """So many squares of each photograph, 40 to 80% of its shorter side; a class for each."""
    rng = np.random.default_rng(seed)
    for path in PHOTOGRAPHS:
        image = Image.open(path).convert("RGB")
        (folder / path.stem).mkdir(parents=True)
        for number in range(each):
            side = int(min(image.size) * rng.uniform(0.4, 0.8))
            left = rng.integers(0, image.width - side + 1)
            top = rng.integers(0, image.height - side + 1)
            crop = image.crop((left, top, left + side, top + side))
            crop.save(folder / path.stem / f"{number:03}.bmp")


def test_int8_and_float32_agree_on_photographs(run: Run, tmp_path: Path) -> None:
    write_crops(tmp_path / "learnt", each=20, seed=0)
    write_crops(tmp_path / "unseen", each=35, seed=1)
    model = tmp_path / "head.safetensors"
    done = run("train", tmp_path / "learnt", "-o", model, "--from", "demo")
    assert done.returncode == 0, done.stderr
    exact, quick = (
        load(str(model), device="cpu", precision=precision).features(
            tmp_path / "unseen", end_points="Predictions"
        )["Predictions"]
        for precision in ("float32", "int8")
    )
    truth = np.repeat(np.arange(len(PHOTOGRAPHS)), 35)  # folders and classes: by name, both
    assert len(exact) == 700
    assert (exact.argmax(axis=1) == truth).mean() > 0.95
    assert (exact.argmax(axis=1) == quick.argmax(axis=1)).mean() >= 0.993
    assert np.median(np.abs(exact - quick).max(axis=1)) < 0.002
