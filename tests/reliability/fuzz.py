"""Mutated images through the real command: one record each, whatever the decoders make of them.

python -m tests.reliability.fuzz --files 10000
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

from benchmarks.memory import watched

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "HEIF")
_VARIANTS = {
    "JPEG": ({}, {"progressive": True}),
    "PNG": ({}, {"optimize": True}),
    "WEBP": ({}, {"lossless": True}),
    "TIFF": tuple({"compression": name} for name in ("raw", "tiff_lzw", "jpeg", "tiff_deflate")),
}
# What a mutation keeps, so that the decoder sees it, not the list of allowed formats alone.
_HEAD = 16


def seeds() -> list[tuple[str, bytes]]:
    """A few sound images of every format and mode."""
    pillow_heif.register_heif_opener()
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (24, 32, 4), dtype=np.uint8)
    picture = Image.fromarray(pixels).resize((96, 72))
    found = []
    for format in FORMATS:
        for options in _VARIANTS.get(format, ({},)):
            for mode in ("RGB", "L", "RGBA", "P", "1", "CMYK", "I;16"):
                content = io.BytesIO()
                try:
                    image = (
                        picture.convert("L").convert("I").convert(mode)
                        if mode == "I;16"
                        else (picture.convert(mode))
                    )
                    image.save(content, format, **options)
                except (OSError, ValueError, KeyError):
                    continue  # not every format has every mode
                found.append((format, content.getvalue()))
    return found


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Flips, cuts, copies, inserts; in one of eight the head too."""
    data = bytearray(content)
    start = 0 if rng.random() < 0.125 else min(_HEAD, len(data) - 1)
    for _ in range(rng.choice((1, 1, 2, 4, 16, 64))):
        place = rng.randrange(start, len(data))
        # Deletions shift all that follows, and most decoders then see an early end.
        kind = rng.choices(range(6), (8, 8, 4, 1, 1, 0.2))[0]
        if kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 2:
            data[place : place + 4] = rng.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"))
        elif kind == 3:
            del data[place : place + rng.randrange(1, 64)]
        elif kind == 4:
            source = rng.randrange(len(data))
            data[place:place] = data[source : source + rng.randrange(1, 64)]
        else:
            del data[max(place, start + 1) :]
        if len(data) <= start:
            break
    return bytes(data)


def run(files: int, seed: int, folder: Path) -> str:
    """Mutates, classifies, checks; what came of it in words."""
    rng = random.Random(seed)
    sound = seeds()
    images = folder / "images"
    images.mkdir()
    formats = Counter[str]()
    for number in range(files):
        format, content = sound[number % len(sound)]
        formats[format] += 1
        (images / f"{number:06}.{format.lower()}").write_bytes(mutate(content, rng))
    names = sorted(str(path) for path in images.iterdir())
    listed = folder / "list"
    listed.write_text("\n".join(names), encoding="utf-8")
    output = folder / "out.jsonl"
    command = [sys.executable, "-m", "inceptioncli", "classify", "-w", "demo", "-k", "1"]
    subprocess.run(
        [*command, "sample_images/lemon.jpg"], check=True, capture_output=True
    )  # compiles
    begun = time.monotonic()
    process = subprocess.Popen(
        [*command, "-i", str(listed), "-o", str(output)], stderr=subprocess.PIPE, text=True
    )
    with watched(process.pid) as watch:
        assert process.stderr is not None
        errors = process.stderr.read()
        code = process.wait()
    assert code == 3, (code, errors)
    assert "Traceback" not in errors, errors
    assert errors.count("\n") == 1, errors
    records = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [record["path"] for record in records] == names
    codes = Counter(record.get("error", {"code": "ok"})["code"] for record in records)
    parent, *workers = watch.peaks.values()
    return (
        f"{files} files ({', '.join(f'{count} {name}' for name, count in formats.items())}) in "
        f"{time.monotonic() - begun:.0f} s: {dict(codes.most_common())}; peak memory: parent "
        f"{parent:.0f} MB, workers {', '.join(f'{peak:.0f}' for peak in workers)} MB"
    )


def main() -> None:
    """Fuzzes, and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ.setdefault("INCEPTIONCLI_CACHE", f"{name}/cache")
        print(run(options.files, options.seed, Path(name)))


if __name__ == "__main__":
    main()
