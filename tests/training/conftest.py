from __future__ import annotations

from pathlib import Path

import pytest

from demo.renderer import dataset
from inceptioncli.architecture import Graph
from inceptioncli.weights.formats.own import write_safetensors
from tests.conftest import random_weights

CLASSES = ["analog_clock", "lemon", "school_bus", "soccer_ball"]
WORDNET_IDS = ["n02708093", "n07749582", "n04146614", "n04254680"]
TINY = Graph(image_size=107, classes=4, depth_multiplier=0.1, aux=True)


@pytest.fixture(scope="session")
def renders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four rendered classes of twelve images, a folder each."""
    folder = tmp_path_factory.mktemp("renders")
    dataset.write(folder, classes=CLASSES, seeds=range(12), size=(120, 120), jobs=1)
    return folder


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network with aux head and four classes, random."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    write_safetensors(path, random_weights(TINY))
    return path
