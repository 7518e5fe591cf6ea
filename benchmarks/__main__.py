"""The speed of everything, as ratios to what people would use instead: `python -m benchmarks`.

Whole processes, full-size weights with random values, pictures made on the spot. Within a case the
commands are measured in turns, round by round, because machines are shared and drift; medians and
ratios are what to read. Needs `pip install 'inceptioncli[bench]'`.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import importlib.metadata
import json
import os
import platform
import re
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.images import LARGE, SMALL, make_images
from benchmarks.memory import watched
from benchmarks.processes import PYTHON, make_weights, run, write_onnx
from benchmarks.report import case_text

PEER = [*PYTHON, "-m", "benchmarks.peers"]
OURS = [*PYTHON, "-m", "inceptioncli"]
INT8 = ["--precision", "int8"]
PEAK_MB = {"float32": 420, "int8": 220}
COUNTS = (100, 1_000, 10_000)
PACKAGES = ("inceptioncli", "ai-edge-litert", "tensorflow", "onnxruntime", "openvino", "pillow")


class Goal(NamedTuple):
    """A ratio that is to be reached: seconds of ``peer`` by seconds of ``ours``."""

    ours: str
    peer: str
    at_least: float


class Case(NamedTuple):
    """Commands that do the same work on so many images, and the ratios that matter.

    ``prepare`` makes the files that they need.
    """

    name: str
    images: int
    prepare: Callable[[], object]
    commands: dict[str, list[str]]
    goals: tuple[Goal, ...]
    rounds: int


def main() -> None:
    """Measures, prints tables, writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all times here")
    parser.add_argument("--only", metavar="PATTERN", default="", help="cases whose names match")
    options = parser.parse_args()
    found: dict[str, Any] = {
        "taken": datetime.date.today().isoformat(),
        "machine": f"{_processor()}, {platform.system()}, Python {platform.python_version()}",
        "cores": os.cpu_count(),
        "versions": {name: _version(name) for name in PACKAGES},
        "cases": {},
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["INCEPTIONCLI_CACHE"] = str(folder / "cache")
        weights = make_weights(folder)
        picture = make_images(folder / "one", 1, SMALL) / "images" / "00000.jpg"
        if re.search(options.only, "one process"):
            found["first use"], found["memory"] = one_process(weights, picture)
        for case in cases(folder, weights, options.rounds):
            if re.search(options.only, case.name):
                case.prepare()
                found["cases"][case.name] = measured = {
                    "images": case.images,
                    "seconds": measure(case),
                    "goals": [goal._asdict() for goal in case.goals],
                }
                print(case_text(case.name, measured), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def cases(folder: Path, weights: Path, rounds: int) -> list[Case]:
    """All cases."""
    model = folder / "model.onnx"
    small, large = folder / "small", folder / "large"
    classify = [*OURS, "classify", "-w", str(weights)]

    def ours(images: Path, *more: str) -> list[str]:
        output = str(folder / "out" / "out.jsonl")
        return [*classify, str(images), "-o", output, "--overwrite", *more]

    def make_small() -> None:
        if not small.exists():
            make_images(small, 256, SMALL)

    def make_small_and_model() -> None:
        make_small()
        write_onnx(weights, model)

    def peer(name: str, *arguments: Path | str) -> list[str]:
        return [*PEER, name, *map(str, arguments)]

    picture = str(folder / "one" / "images" / "00000.jpg")

    def first_use(*more: str) -> list[str]:
        cold = shlex.quote(str(folder / "cold"))
        command = shlex.join([*classify, picture, *more])
        return ["sh", "-c", f"rm -rf {cold}; INCEPTIONCLI_CACHE={cold} exec {command}"]

    found = [
        Case(
            "one picture, one process, first use of weights",
            1,
            lambda: None,
            {
                "Keras script": peer("keras_one_by_one", weights, folder / "one"),
                "float32": first_use(),
                "int8": first_use(*INT8),
            },
            (Goal("float32", "Keras script", 5), Goal("int8", "Keras script", 5)),
            max(5, rounds),
        ),
        Case(
            "one picture, one process, warm",
            1,
            lambda: None,
            {
                "Keras script": peer("keras_one_by_one", weights, folder / "one"),
                "float32": [*classify, picture],
                "int8": [*classify, picture, *INT8],
                "--help": [*OURS, "--help"],
            },
            (Goal("float32", "Keras script", 12), Goal("int8", "Keras script", 16)),
            max(5, rounds),
        ),
        Case(
            "256 JPEGs of 500x375",
            256,
            make_small_and_model,
            {
                "Keras, one by one": peer("keras_one_by_one", weights, small),
                "Keras, dataset": peer("keras_dataset", weights, small),
                "ONNX Runtime": peer("onnxruntime", model, small),
                "ONNX Runtime in our loop": peer("onnxruntime_in_our_loop", weights, model, small),
                "OpenVINO": peer("openvino_f32", model, small),
                "OpenVINO in our loop": peer("openvino_in_our_loop", weights, model, small),
                "OpenVINO bf16": peer("openvino_bf16", model, small),
                "engine alone": peer("engine_alone", weights, "256", "float32"),
                "engine alone, int8": peer("engine_alone", weights, "256", "int8"),
                "matrix products": peer("matrix_products", "256"),
                "float32": ours(small),
                "int8": ours(small, *INT8),
            },
            (
                Goal("float32", "Keras, dataset", 1.15),
                Goal("float32", "Keras, one by one", 2.7),
                Goal("float32", "engine alone", 0.90),
                Goal("float32", "ONNX Runtime", 1.0),
                Goal("float32", "ONNX Runtime in our loop", 1.0),
                Goal("float32", "OpenVINO", 1.0),
                Goal("float32", "OpenVINO in our loop", 1.0),
                Goal("int8", "Keras, dataset", 3.5),
                Goal("int8", "OpenVINO bf16", 1.0),
            ),
            rounds,
        ),
        Case(
            "40 JPEGs of 4032x3024",
            40,
            lambda: make_images(large, 40, LARGE),
            {
                "Keras, dataset": peer("keras_dataset", weights, large),
                "float32": ours(large),
                "float32, --exact-decode": ours(large, "--exact-decode"),
                "int8": ours(large, *INT8),
            },
            (Goal("float32", "Keras, dataset", 2.3), Goal("int8", "Keras, dataset", 5)),
            rounds,
        ),
        Case(
            "workers, 256 JPEGs of 500x375, int8",
            256,
            make_small,
            {f"-j {count}": ours(small, *INT8, "-j", str(count)) for count in (0, 1, 2, 3, 4)},
            (),
            rounds,
        ),
    ]
    for count in COUNTS:
        images = folder / str(count)
        prepare = functools.partial(make_images, images, count, SMALL)
        commands = {"float32": ours(images), "int8": ours(images, *INT8)}
        few = max(1, min(rounds, rounds * 1_000 // count))
        found.append(Case(f"{count:,} JPEGs of 500x375", count, prepare, commands, (), few))
    return found


def measure(case: Case) -> dict[str, list[float]]:
    """Seconds of every command in every round; one before them fills the disk's cache."""
    times: dict[str, list[float]] = {name: [] for name in case.commands}
    for round in range(case.rounds + (case.images <= 1_000)):
        for name, command in case.commands.items():
            seconds = run(command)
            if round or case.images > 1_000:
                times[name].append(seconds)
    return times


def one_process(weights: Path, picture: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of the first use, and the peak of memory; printed, too."""
    seconds = first_use(weights, picture)
    for precision, taken in seconds.items():
        print(f"first use, {precision} (read, write, pack, classify): {taken:.1f} s")
    peaks = memory(weights, picture)
    for precision, peak in peaks.items():
        mark = "" if peak <= PEAK_MB[precision] else "   MISSED"
        print(
            f"peak memory of one process, {precision}: {peak:.0f} MB "
            f"(at most {PEAK_MB[precision]}){mark}"
        )
    return seconds, peaks


def first_use(weights: Path, picture: Path) -> dict[str, float]:
    """Seconds of the first run with each precision; the disk has the file cached, as after a
    download.
    """
    command = [*OURS, "classify", "-w", str(weights), str(picture), "--precision"]
    return {name: run([*command, name]) for name in ("float32", "int8")}


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


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:  # tensorflow-cpu and the like
        return "unknown"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    found = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


if __name__ == "__main__":
    main()
