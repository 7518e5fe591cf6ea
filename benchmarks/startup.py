"""Where a warm run on one picture spends its time: `python -m benchmarks.startup`.

Whole processes, and one that takes each step by itself; medians.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks.images import SMALL, make_images
from benchmarks.processes import make_weights, run

ROUNDS = 9

_PHASES = """
import sys, time
weights, picture, precision = sys.argv[1:]
begun = time.perf_counter()
def phase(name):
    global begun
    now = time.perf_counter()
    print(name, now - begun)
    begun = now
import click, logging
phase("import Click")
import inceptioncli.cli.program
phase("import our command line")
import numpy
phase("import numpy")
import PIL.Image, PIL.ImageOps, PIL.JpegImagePlugin
phase("import Pillow")
import ai_edge_litert.compiled_model
phase("import LiteRT")
import inceptioncli.classifier, inceptioncli.images.decode, inceptioncli.engine.litert
import inceptioncli.engine.packing, inceptioncli.pipeline.inference
import inceptioncli.output.streams, inceptioncli.output.text
phase("import the rest of ours")
classifier = inceptioncli.load(weights, device="cpu", precision=precision)
phase("find the compiled graph, check it and its weights")
engine = classifier.ready.open(classifier.layout(0).threads)
phase("open it")
from inceptioncli.images.picture import Decoding
image = inceptioncli.images.decode.load_image(picture, Decoding(299)).pixels
phase("read and decode the picture")
engine.run(image[None], ["Predictions"])
phase("run the graph for the first time")
engine.run(image[None], ["Predictions"])
phase("(run it once more)")
"""


def main() -> None:
    """Prints milliseconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["INCEPTIONCLI_CACHE"] = str(folder / "cache")
        weights = make_weights(folder)
        picture = make_images(folder / "one", 1, SMALL) / "images" / "00000.jpg"
        classify = ["-m", "inceptioncli", "classify", "-w", str(weights), str(picture)]
        for precision in ("float32", "int8"):
            command = [*classify, "--precision", precision]
            run([sys.executable, *command])
            times: dict[str, list[float]] = defaultdict(list)
            for _ in range(ROUNDS):
                times["Python that does nothing"].append(run([sys.executable, "-c", ""]))
                times["inceptioncli --help"].append(run([sys.executable, *command[:2], "--help"]))
                for phase, seconds in phases([str(weights), str(picture), precision]):
                    times[phase].append(seconds)
                times["whole run"].append(run([sys.executable, *command]))
            print(precision)
            for phase, found in times.items():
                print(f"  {phase:50}{statistics.median(found) * 1000:6.0f} ms")


def phases(arguments: list[str]) -> list[tuple[str, float]]:
    """The steps of a run, with their seconds."""
    command = [sys.executable, "-c", _PHASES, *arguments]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [(name, float(seconds)) for name, seconds in re.findall(r"(.*) (\S+)\n", text)]


if __name__ == "__main__":
    main()
