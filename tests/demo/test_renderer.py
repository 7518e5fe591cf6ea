from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from demo.renderer import dataset, render
from demo.renderer.classes import CLASSES
from demo.renderer.samples import SAMPLES
from inceptioncli.labels import imagenet_labels

pytestmark = pytest.mark.slow

SAMPLE_IMAGES = Path(__file__).parents[2] / "sample_images"


def test_classes_are_imagenets() -> None:
    labels = imagenet_labels()
    for name, row in CLASSES.items():
        assert labels[row.index] == (row.wordnet_id, name.replace("_", " "))
    assert len(CLASSES) >= 20


@pytest.mark.parametrize("class_name", CLASSES)
def test_every_class_is_drawn_the_same_for_the_same_seed(class_name: str) -> None:
    first = render(class_name, 7, (120, 90))
    assert (first.mode, first.size) == ("RGB", (120, 90))
    assert first.tobytes() == render(class_name, 7, (120, 90)).tobytes()
    other = np.asarray(render(class_name, 8, (120, 90)), np.float32)
    assert np.abs(other - np.asarray(first, np.float32)).mean() > 2


def test_the_sample_images_are_what_the_renderer_draws(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "demo.renderer", "samples", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, cwd=SAMPLE_IMAGES.parent)
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == sorted(path.name for path in SAMPLE_IMAGES.iterdir())
    assert drawn == sorted(f"{sample.class_name}{sample.suffix}" for sample in SAMPLES)
    for name in drawn:
        with Image.open(tmp_path / name) as ours, Image.open(SAMPLE_IMAGES / name) as kept:
            assert ours.format == kept.format
            difference = np.abs(pixels(ours) - pixels(kept))
        # Encoders differ a little from one build of Pillow to the next.
        assert difference.mean() < 2, name


def test_the_samples_cover_formats_modes_and_orientation() -> None:
    images = [Image.open(path) for path in sorted(SAMPLE_IMAGES.iterdir())]
    assert len(images) >= 12
    assert {image.format for image in images} >= {"JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"}
    assert {image.mode for image in images} >= {"RGB", "L", "P", "RGBA", "CMYK"}
    assert {image.getexif().get(0x0112, 1) for image in images} == {1, 6}
    assert sum(path.stat().st_size for path in SAMPLE_IMAGES.iterdir()) < 2_000_000


def test_a_dataset_goes_on_where_it_stopped(tmp_path: Path) -> None:
    options = {"classes": ["lemon", "daisy"], "size": (40, 40), "jobs": 1}
    assert dataset.write(tmp_path, seeds=range(3), **options) == 6
    kept = (tmp_path / "n07749582" / "0000001.jpg").read_bytes()
    assert dataset.write(tmp_path, seeds=range(4), **options) == 2
    assert (tmp_path / "n07749582" / "0000001.jpg").read_bytes() == kept
    assert len(list((tmp_path / "n11939491").iterdir())) == 4


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.float32)
