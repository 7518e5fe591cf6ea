"""Commands as whole processes, and the files that they need."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

PYTHON = [sys.executable]


def run(command: list[str]) -> float:
    """Seconds that a process takes, from start to end, or those that it says."""
    begun = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - begun
    told = re.search(r"^seconds ([\d.]+)$", done.stdout, re.MULTILINE)
    return float(told[1]) if told else seconds


def make_weights(folder: Path) -> Path:
    """Keras Applications' InceptionV3 with random values, in the layout of the published file."""
    path = folder / "inception_v3.h5"
    code = (
        "import sys; from pathlib import Path;"
        "from tests.oracles.keras import random_model, save_published_layout;"
        "save_published_layout(random_model(0), Path(sys.argv[1]))"
    )
    subprocess.run([*PYTHON, "-c", code, str(path)], check=True, stderr=subprocess.DEVNULL)
    return path


def write_onnx(weights: Path, target: Path) -> None:
    """The same weights for ONNX Runtime and OpenVINO."""
    code = (
        "import sys; from pathlib import Path;"
        "from benchmarks.onnx_model import write_onnx;"
        "from inceptioncli.weights import collection;"
        "chosen = collection.choose(sys.argv[1]);"
        "write_onnx(collection.load(chosen), Path(sys.argv[2]))"
    )
    subprocess.run([*PYTHON, "-c", code, str(weights), str(target)], check=True)
