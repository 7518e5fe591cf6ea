"""The speed of everything, as ratios to what people would use instead: `python -m benchmarks`.

Whole processes, full-size weights with random values, pictures made on the spot. Within a case the
commands are measured in turns, round by round, because machines are shared and drift; medians and
ratios are what to read. Needs `pip install 'inceptioncli[bench]'`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.images import LARGE, SMALL, make_images
from benchmarks.memory import watched

PYTHON = [sys.executable]
PEER = [*PYTHON, "-m", "benchmarks.peers"]
OURS = [*PYTHON, "-m", "inceptioncli"]


class Goal(NamedTuple):
    """A ratio that is to be reached: seconds of ``peer`` by seconds of ``ours``."""

    ours: str
    peer: str
    at_least: float


class Case(NamedTuple):
    """Commands that do the same work, and the ratios between them that matter."""

    name: str
    commands: dict[str, list[str]]
    goals: tuple[Goal, ...]
    rounds: int


def main() -> None:
    """Measures, prints the table, writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all times here")
    parser.add_argument("--only", metavar="PATTERN", default="", help="cases whose names match")
    options = parser.parse_args()
    found: dict[str, Any] = {"machine": platform.platform(), "cores": os.cpu_count(), "cases": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["INCEPTIONCLI_CACHE"] = str(folder / "cache")
        weights = make_weights(folder)
        found["first use"] = first_use(weights, make_images(folder / "first", 1, SMALL))
        for precision, seconds in found["first use"].items():
            print(f"first use, {precision} (read, build, convert, classify): {seconds:.1f} s")
        for case in cases(folder, weights, options.rounds):
            if re.search(options.only, case.name):
                times = measure(case)
                found["cases"][case.name] = times
                show(case, times)
        if re.search(options.only, "memory"):
            found["memory"] = memory(weights, folder / "small" / "images" / "00000.jpg")
            for precision, megabytes in found["memory"].items():
                print(f"peak memory of one process, {precision}: {megabytes:.0f} MB")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def cases(folder: Path, weights: Path, rounds: int) -> list[Case]:
    """All cases; their pictures are made here."""
    model = folder / "model.onnx"
    write_onnx(weights, model)
    small = make_images(folder / "small", 256, SMALL)
    large = make_images(folder / "large", 40, LARGE)
    one = make_images(folder / "one", 1, SMALL)
    classify = [*OURS, "classify", "-w", str(weights)]
    int8 = ["--precision", "int8"]

    def ours(images: Path, *more: str) -> list[str]:
        output = str(folder / "out" / "out.jsonl")
        return [*classify, str(images), "-o", output, "--overwrite", *more]

    picture = str(one / "images" / "00000.jpg")
    return [
        Case(
            "one picture, one process, warm",
            {
                "Keras script": [*PEER, "keras_one_by_one", str(weights), str(one)],
                "float32": [*classify, picture],
                "int8": [*classify, picture, *int8],
                "--help": [*OURS, "--help"],
            },
            (Goal("float32", "Keras script", 12), Goal("int8", "Keras script", 16)),
            max(5, rounds),
        ),
        Case(
            "256 JPEGs of 500x375",
            {
                "Keras, one by one": [*PEER, "keras_one_by_one", str(weights), str(small)],
                "Keras, dataset": [*PEER, "keras_dataset", str(weights), str(small)],
                "ONNX Runtime": [*PEER, "onnxruntime", str(model), str(small)],
                "OpenVINO": [*PEER, "openvino_f32", str(model), str(small)],
                "OpenVINO bf16": [*PEER, "openvino_bf16", str(model), str(small)],
                "engine alone": [*PEER, "engine_alone", str(weights), "256", "float32"],
                "engine alone, int8": [*PEER, "engine_alone", str(weights), "256", "int8"],
                "matrix products": [*PEER, "matrix_products", "256"],
                "float32": ours(small),
                "int8": ours(small, *int8),
            },
            (
                Goal("float32", "Keras, dataset", 1.15),
                Goal("float32", "Keras, one by one", 2.7),
                Goal("float32", "engine alone", 0.90),
                Goal("float32", "ONNX Runtime", 1.0),
                Goal("float32", "OpenVINO", 1.0),
                Goal("int8", "Keras, dataset", 3.5),
                Goal("int8", "OpenVINO bf16", 1.0),
            ),
            rounds,
        ),
        Case(
            "40 JPEGs of 4032x3024",
            {
                "Keras, dataset": [*PEER, "keras_dataset", str(weights), str(large)],
                "float32": ours(large),
                "float32, --exact-decode": ours(large, "--exact-decode"),
                "int8": ours(large, *int8),
            },
            (Goal("float32", "Keras, dataset", 2.3), Goal("int8", "Keras, dataset", 5)),
            rounds,
        ),
        Case(
            "workers, 256 JPEGs of 500x375, int8",
            {f"-j {count}": ours(small, *int8, "-j", str(count)) for count in (0, 1, 2, 3, 4)},
            (),
            rounds,
        ),
    ]


def measure(case: Case) -> dict[str, list[float]]:
    """Seconds of every command in every round; the first round, for the caches, is left out."""
    times: dict[str, list[float]] = {name: [] for name in case.commands}
    for round in range(case.rounds + 1):
        for name, command in case.commands.items():
            seconds = run(command)
            if round:
                times[name].append(seconds)
    return times


def run(command: list[str]) -> float:
    """Seconds that a process takes, from start to end, or those that it says."""
    begun = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - begun
    told = re.search(r"^seconds ([\d.]+)$", done.stdout, re.MULTILINE)
    return float(told[1]) if told else seconds


def show(case: Case, times: dict[str, list[float]]) -> None:
    """Prints a case: medians with their spread, then the ratios."""
    print(f"\n{case.name} ({case.rounds} rounds)")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(f"  {name:24}{median:8.2f} s   {min(seconds):.2f} .. {max(seconds):.2f}")
    for goal in case.goals:
        # Of each round, so that drift between rounds cancels out.
        ratios = [
            peer / ours for peer, ours in zip(times[goal.peer], times[goal.ours], strict=True)
        ]
        ratio = statistics.median(ratios)
        mark = "" if ratio >= goal.at_least else "   MISSED"
        print(
            f"  {goal.ours} against {goal.peer}: {ratio:.2f} times as fast "
            f"({min(ratios):.2f} .. {max(ratios):.2f}; at least {goal.at_least}){mark}"
        )


def first_use(weights: Path, images: Path) -> dict[str, float]:
    """Seconds of the first run with each precision; the disk has the file cached, as after a
    download.
    """
    command = [*OURS, "classify", "-w", str(weights), str(images / "images" / "00000.jpg")]
    return {name: run([*command, "--precision", name]) for name in ("float32", "int8")}


def memory(weights: Path, picture: Path) -> dict[str, float]:
    """Peak resident memory of one process that classifies eight pictures, in MB."""
    command = [*OURS, "classify", "-w", str(weights), "-j", "0", *[str(picture)] * 8]
    peaks = {}
    for precision in ("float32", "int8"):
        process = subprocess.Popen([*command, "--precision", precision], stdout=subprocess.DEVNULL)
        with watched(process.pid, 0.005) as watch:
            process.wait()
        peaks[precision] = watch.peaks[process.pid]
    return peaks


def make_weights(folder: Path) -> Path:
    """Keras Applications' InceptionV3 with random values, as Keras itself saves it."""
    path = folder / "random.weights.h5"
    code = (
        "import keras, sys; keras.utils.set_random_seed(0);"
        "keras.applications.InceptionV3(weights=None).save_weights(sys.argv[1])"
    )
    subprocess.run([*PYTHON, "-c", code, str(path)], check=True, stderr=subprocess.DEVNULL)
    return path


def write_onnx(weights: Path, target: Path) -> None:
    """The same weights for ONNX Runtime and OpenVINO, made in a process of its own."""
    code = (
        "import sys; from pathlib import Path;"
        "from benchmarks.onnx_model import write_onnx;"
        "from inceptioncli.weights import collection;"
        "chosen = collection.choose(sys.argv[1]);"
        "write_onnx(collection.load(chosen), Path(sys.argv[2]))"
    )
    subprocess.run([*PYTHON, "-c", code, str(weights), str(target)], check=True)


if __name__ == "__main__":
    main()
