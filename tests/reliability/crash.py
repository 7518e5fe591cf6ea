"""Runs that are killed and continued, held against one that nobody disturbed.

As a script it kills as often as it is told, and prints what came of it:

    python -m tests.reliability.crash --kills 300 [--format csv]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet
from PIL import Image

FORMATS = ("jsonl", "csv", "parquet", "features")
BAD_SHARE = 0.05
# Whether any of the broken pictures were left for the last run.
FINISHED = (0, 3)


def make_images(folder: Path, count: int) -> None:
    """Small pictures in folders, one in twenty of them broken in one of four ways."""
    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"{number // 100:03}" / f"{number:06}.{'png' if number % 2 else 'jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 48)).save(path)
        if rng.random() < BAD_SHARE:
            content = path.read_bytes()
            damage = rng.integers(4)
            if damage == 0:
                path.write_bytes(content[: len(content) // 2])
            elif damage == 1:
                path.write_bytes(content[:16] + bytes(len(content) - 16))
            elif damage == 2:
                path.write_bytes(b"\xff\x0a" + content)  # says that it is JPEG XL
            else:
                path.write_bytes(content[:12] + bytes(40) + content[52:])


class Case:
    """One format: its command, and what its output is held against."""

    def __init__(self, format: str, weights: Path, images: Path, folder: Path) -> None:
        self.format = format
        self.output = folder / ("features" if format == "features" else f"out.{format}")
        self.folder = self.output if format == "features" else folder
        self.note = "run.json" if format == "features" else f"{self.output.name}.run.json"
        command = "features" if format == "features" else "classify"
        self.command = [sys.executable, "-m", "inceptioncli", command, "-w", str(weights)]
        self.command += [str(images), "-o", str(self.output)]
        if format == "features":
            self.command += ["-e", "PreLogits", "-e", "Mixed_7c"]

    def start(self, **options: Any) -> subprocess.Popen[bytes]:
        """A process of its own group, workers included."""
        return subprocess.Popen(
            self.command,
            start_new_session=True,  # and so a group
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )

    def finish(self) -> None:
        """Runs undisturbed to the end."""
        process = self.start()
        _, errors = process.communicate(timeout=600)
        assert process.returncode in FINISHED, (process.returncode, errors)

    def files(self) -> dict[str, bytes]:
        """Everything there is, by name."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }

    def check_valid(self) -> None:
        """Whatever has a final name can be read by the readers of its format."""
        for path in self.folder.rglob("*") if self.folder.exists() else ():
            if path.name.startswith("."):
                continue
            if path.suffix == ".jsonl":
                for line in path.read_text(encoding="utf-8").splitlines():
                    json.loads(line)
            elif path.suffix == ".csv":
                assert path.stat().st_size == 0 or pd.read_csv(path)["path"].is_unique
            elif path.suffix == ".parquet":
                pyarrow.parquet.read_table(path)
            elif path.suffix == ".npy":
                np.load(path, mmap_mode="r")
            elif path.suffix == ".json":
                json.loads(path.read_bytes())

    def paths(self) -> list[str]:
        """The paths of the records, in order."""
        if self.format == "csv":
            return list(pd.read_csv(self.output)["path"])
        if self.format == "parquet":
            return list(pd.read_parquet(self.output)["path"])
        index = self.output / "index.jsonl" if self.format == "features" else self.output
        return list(pd.read_json(index, lines=True)["path"])


def weights_in(folder: Path) -> Path:
    """A tiny network, in a folder with a cache of its own."""
    from inceptioncli.weights.formats.own import write_safetensors
    from tests.conftest import SMALL_GRAPH, random_weights

    os.environ["INCEPTIONCLI_CACHE"] = str(folder / "cache")
    weights = folder / "small.safetensors"
    write_safetensors(weights, random_weights(SMALL_GRAPH))
    return weights


class Undisturbed(NamedTuple):
    """What a case writes when nobody disturbs it."""

    files: dict[str, bytes]
    paths: list[str]
    seconds: float


def undisturbed(case: Case) -> Undisturbed:
    """Runs a case twice, the second time with warm caches; nothing is left of it."""
    case.finish()
    shutil.rmtree(case.folder)
    begun = time.monotonic()
    case.finish()
    result = Undisturbed(case.files(), case.paths(), time.monotonic() - begun)
    assert not [name for name in result.files if Path(name).name.startswith(".")]
    shutil.rmtree(case.folder)
    return result


def kill_and_continue(
    case: Case, reference: dict[str, bytes], kills: int, rng: random.Random, longest: float
) -> tuple[int, int]:
    """Kills runs of a case until it has killed so many; whatever finishes is compared.

    Returns:
        How many were killed, and how many outputs were finished and compared.
    """
    killed = finished = 0
    while killed < kills or finished == 0:
        process = case.start()
        try:
            if killed < kills:
                process.wait(rng.uniform(0.1, longest))
            else:
                process.wait(600)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            killed += 1
            case.check_valid()
            continue
        _, errors = process.communicate()
        assert process.returncode in FINISHED, (process.returncode, errors)
        assert case.files() == reference, "not what an undisturbed run writes"
        finished += 1
        shutil.rmtree(case.folder)
    return killed, finished


def main() -> None:
    """Kills, and prints a line for each format."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=FORMATS, action="append")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = weights_in(folder)
        make_images(folder / "images", options.images)
        for format in options.format or FORMATS:
            case = Case(format, weights, folder / "images", folder / "work" / format)
            reference, paths, seconds = undisturbed(case)
            assert len(paths) == len(set(paths)) == options.images
            killed, finished = kill_and_continue(
                case, reference, options.kills, random.Random(options.seed), seconds
            )
            print(
                f"{format}: {options.images} images, {seconds:.1f} s undisturbed; {killed} kills, "
                f"{finished} outputs finished in between, all byte for byte the same",
                flush=True,
            )


if __name__ == "__main__":
    main()
