"""Mutated weight files of every layout: sound or refused in one line, whatever was changed.

python -m tests.weights.fuzz --files 2000 --layout published.h5
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from inceptioncli.errors import WeightsError
from inceptioncli.weights import formats
from tests.reliability.fuzz import mutate
from tests.weights import layouts

# Reading a sound file takes a few megabytes; what TensorFlow and HDF5 keep is in it.
_MOST_MEMORY = 512 << 20
# HDF5's tables and the headers of the others are a small part of a file, and the rest only numbers.
_TELLING = (b"TREE", b"SNOD", b"HEAP", b"OHDR", b"kernel", b"Conv2d", b"weights", b"data_offsets")


def near_tables(content: bytes, rng: random.Random) -> bytes:
    """A few bytes changed within 256 of something that is no array."""
    data = bytearray(content)
    places = [place for place in map(data.find, _TELLING) if place >= 0] or [0]
    for _ in range(rng.choice((1, 2, 4, 16))):
        start = data.find(rng.choice(_TELLING), rng.randrange(len(data)))
        start = rng.choice(places) if start < 0 else start
        place = min(max(start + rng.randrange(-64, 256), 0), len(data) - 4)
        if rng.random() < 0.5:
            data[place] = rng.randrange(256)
        else:
            data[place : place + 4] = rng.choice((b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f"))
    return bytes(data)


def splice(content: bytes, rng: random.Random) -> bytes:
    """A part of the file over another part of it."""
    data = bytearray(content)
    length = rng.randrange(1, min(4096, len(data)))
    source, target = (rng.randrange(len(data) - length + 1) for _ in range(2))
    data[target : target + length] = data[source : source + length]
    return bytes(data)


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def head(content: bytes, rng: random.Random) -> bytes:
    """Changes in the first kilobytes alone, where the lengths are."""
    size = rng.choice((16, 256, 4096))
    return mutate(content[:size], rng) + content[size:]


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    near_tables,
    mutate,
    splice,
    cut,
    head,
)


def run(layout: str, files: int, seed: int, folder: Path) -> Counter[str]:
    """Reads so many mutations; what came of them, by the message without its details."""
    rng = random.Random(f"{layout} {seed}")
    path = layouts.LAYOUTS[layout](folder / layout)
    formats.read(path)
    targets = [(file, file.read_bytes()) for file in formats.files_of(path)]
    before = _peak()
    outcomes = Counter[str]()
    for number in range(files):
        file, sound = targets[number % len(targets)]
        change = MUTATIONS[number // len(targets) % len(MUTATIONS)]
        if layout.endswith(".gz") and number % 2:  # gzip's own checksum finds all else.
            changed = gzip.compress(change(gzip.decompress(sound), rng), 1)
        else:
            changed = change(sound, rng)
        file.write_bytes(changed)
        # For whoever looks for what ended this process.
        (folder / "now").write_text(json.dumps([layout, seed, number]))
        try:
            formats.read(path)
        except WeightsError as error:
            message = str(error)
            assert "\n" not in message, (number, message)
            assert str(folder) in message, (number, message)
            outcomes["damaged" if "damaged" in message else "refused"] += 1
        except BaseException as error:
            raise AssertionError(f"{layout}, seed {seed}, file {number}: {error!r}") from error
        else:
            outcomes["sound"] += 1
        file.write_bytes(sound)
    grown = _peak() - before
    assert grown < _MOST_MEMORY, (layout, grown)
    return outcomes


def _peak() -> int:
    """Of this process, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def main() -> None:
    """Fuzzes, and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layout", choices=[*layouts.LAYOUTS, "all"], default="all")
    options = parser.parse_args()
    for layout in layouts.LAYOUTS if options.layout == "all" else [options.layout]:
        with tempfile.TemporaryDirectory() as name:
            begun = time.monotonic()
            outcomes = run(layout, options.files, options.seed, Path(name))
            sys.stdout.write(f"{layout}: {dict(outcomes)} in {time.monotonic() - begun:.0f} s\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
