"""Folders of millions: memory over 100,000 images, the price of bad files, a million to go on from.

    python -m benchmarks.scale [--images 100000] [--records 1000000]

Small pictures and a tiny network (75x75, a tenth of the width): what is measured is everything
around the graph. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.memory import Watch, watched

SIZE = (96, 72)


def main() -> None:
    """Measures, and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["INCEPTIONCLI_CACHE"] = str(folder / "cache")
        classify = [sys.executable, "-m", "inceptioncli", "classify", "-w", make_weights(folder)]
        print(memory(classify, folder, options.images))
        print(bad_files(classify, folder, options.rounds))
        print(going_on(classify, folder, options.records))


def memory(classify: list[str], folder: Path, count: int) -> str:
    """Resident memory of each process at 5,000 images and at the end."""
    make_images(folder / "many", count)
    subprocess.run([*classify, str(folder / "many" / "000" / "000000.jpg")], check=True)  # compiles
    output = folder / "many.jsonl"
    process = subprocess.Popen(
        [*classify, str(folder / "many"), "-o", str(output)], stderr=subprocess.DEVNULL
    )
    watch, begun = Watch(process.pid), time.monotonic()
    early: dict[int, float] = {}
    last: dict[int, float] = {}
    while process.poll() is None:
        now = watch.now()
        if not early and lines(output) >= 5000:
            early = now
        last = now if now.keys() >= early.keys() else last
        time.sleep(0.2)
    seconds = time.monotonic() - begun
    shutil.rmtree(folder / "many")
    told = ", ".join(
        f"{early[pid]:.0f} -> {last[pid]:.0f} MB ({last[pid] / early[pid] - 1:+.1%})"
        for pid in early
        if early[pid] > 20  # multiprocessing's own helper is smaller
    )
    return f"memory, at 5,000 and at {count:,} images, parent and workers: {told}; {seconds:.0f} s"


def lines(path: Path) -> int:
    """Records in a file, by its size."""
    return path.stat().st_size // 300 if path.exists() else 0


def bad_files(classify: list[str], folder: Path, rounds: int, count: int = 10_000) -> str:
    """Time with one file in a hundred broken, against none, in turns."""
    make_images(folder / "sound", count)
    shutil.copytree(folder / "sound", folder / "broken")
    for number, path in enumerate(sorted((folder / "broken").rglob("*.jpg"))):
        if number % 100 == 50:
            content = path.read_bytes()
            half = len(content) // 2
            path.write_bytes(content[:half] if number % 200 == 50 else content[:half] + bytes(half))
    times: dict[str, list[float]] = {"sound": [], "broken": []}
    for _ in range(rounds):
        for name, taken in times.items():
            begun = time.monotonic()
            output = str(folder / f"{name}.csv")
            subprocess.run(
                [*classify, str(folder / name), "-o", output, "--overwrite"],
                stderr=subprocess.DEVNULL,
                check=False,
            )
            taken.append(time.monotonic() - begun)
    sound, broken = (statistics.median(times[name]) for name in ("sound", "broken"))
    return (
        f"1% bad files among {count:,}: {broken:.2f} s against {sound:.2f} s without "
        f"({broken / sound - 1:+.1%}), medians of {rounds} rounds"
    )


def going_on(classify: list[str], folder: Path, count: int) -> str:
    """Start of a run into an output with so many finished records, until the first new one."""
    pictures = folder / "million"
    pictures.mkdir()
    source = pictures / "0000000.jpg"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(source)
    for number in range(1, count + 1):
        link = pictures / f"{number:07}.jpg"
        if number % 60_000 == 0:  # a file has no more links than 65,000
            source = Path(shutil.copy2(source, link))
        else:
            link.hardlink_to(source)
    output = folder / "out" / "million.jsonl"
    subprocess.run([*classify, str(pictures / "0000000.jpg"), "-o", str(output)], check=True)
    # The records of the rest are the same but for the path; the run's note is told of them.
    note_path = output.with_name("run.json")
    note = json.loads(note_path.read_bytes())
    line = json.loads(output.read_bytes())
    with output.open("w", encoding="utf-8") as file:
        for path in sorted(os.listdir(pictures))[:-10]:
            file.write(json.dumps({**line, "path": str(pictures / path)}) + "\n")
    note["inputs"] = [str(pictures)]
    note["status"] = "unfinished"
    note["committed"]["million.jsonl"] = output.stat().st_size
    note_path.write_text(json.dumps(note), encoding="utf-8")
    size = output.stat().st_size
    begun = time.monotonic()
    process = subprocess.Popen([*classify, str(pictures), "-o", str(output)])
    with watched(process.pid) as watch:
        while output.stat().st_size == size and process.poll() is None:
            time.sleep(0.01)
        first = time.monotonic() - begun
        process.wait()
    whole = time.monotonic() - begun
    return (
        f"{count - 9:,} finished records of {count + 1:,}: first new one after {first:.1f} s, "
        f"whole run {whole:.1f} s, parent's peak {watch.peaks[process.pid]:.0f} MB"
    )


def make_weights(folder: Path) -> str:
    """A tiny network with random values."""
    from inceptioncli.weights.formats.own import write_safetensors
    from tests.conftest import SMALL_GRAPH, random_weights

    path = folder / "tiny.safetensors"
    write_safetensors(path, random_weights(SMALL_GRAPH))
    return str(path)


def make_images(folder: Path, count: int) -> None:
    """Small JPEGs, a thousand in a folder."""
    rng = np.random.default_rng(0)
    contents = []
    for _ in range(20):
        pixels = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        path = folder.with_suffix(".jpg")
        pixels.resize(SIZE).save(path)
        contents.append(path.read_bytes())
    for number in range(count):
        path = folder / f"{number // 1000:03}" / f"{number:06}.jpg"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(contents[number % len(contents)])


if __name__ == "__main__":
    main()
