"""One picture, one process: `inceptioncli classify` with a warm cache against a Keras script.

Both classify the same 500x375 JPEG with the same full-size weights (random values). Rounds are
interleaved, because shared machines drift; medians and ratios are what to read.

    python -m benchmarks.cold_start [--rounds 7]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KERAS_SCRIPT = """
import sys
import keras
import numpy as np

weights, image = sys.argv[1:]
model = keras.applications.InceptionV3(weights=weights)
picture = keras.utils.load_img(image, target_size=(299, 299), interpolation="bilinear")
batch = keras.applications.inception_v3.preprocess_input(np.asarray(picture, "float32")[None])
scores = model.predict(batch, verbose=0)[0]
for index in scores.argsort()[::-1][:5]:
    print(index, scores[index])
"""


def main() -> None:
    """Measures and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights, image = make_weights(folder), make_image(folder)
        ours = [sys.executable, "-m", "inceptioncli", "classify", "-w", str(weights)]
        commands = {
            "Keras script": [sys.executable, "-c", KERAS_SCRIPT, str(weights), str(image)],
            "float32": [*ours, str(image)],
            "int8": [*ours, "--precision", "int8", str(image)],
            "--help": [sys.executable, "-m", "inceptioncli", "--help"],
        }
        environment = {**os.environ, "INCEPTIONCLI_CACHE": str(folder / "cache")}
        for precision in ("float32", "int8"):
            seconds = run(commands[precision], environment)
            print(f"first use, {precision} (read, build, convert, classify): {seconds:.1f} s")
        run(commands["Keras script"], environment)  # its byte code and pages are warm too
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                times[name].append(run(command, environment))
    peer = statistics.median(times["Keras script"])
    print(f"{'':14}{'median':>8}  {'min .. max':>15}  {'Keras / this':>12}")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        spread = f"{min(seconds):.2f} .. {max(seconds):.2f}"
        print(f"{name:14}{median:7.2f}s  {spread:>15}  {peer / median:11.1f}x")


def make_weights(folder: Path) -> Path:
    """Keras Applications' InceptionV3 with random values, as Keras itself saves it."""
    path = folder / "random.weights.h5"
    code = (
        "import keras, sys; keras.utils.set_random_seed(0);"
        "keras.applications.InceptionV3(weights=None).save_weights(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, stderr=subprocess.DEVNULL)
    return path


def make_image(folder: Path) -> Path:
    """A 500x375 JPEG with detail at every scale, as a camera's has."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    picture = np.zeros((375, 500, 3))
    for side in (4, 16, 64, 256):
        noise = rng.normal(0, 30 / side**0.25, (side * 3 // 4, side, 3))
        layer = [
            np.asarray(Image.fromarray(noise[..., band]).resize((500, 375), Image.BICUBIC))
            for band in range(3)
        ]
        picture += np.stack(layer, axis=-1)
    path = folder / "picture.jpg"
    Image.fromarray(np.clip(picture + 128, 0, 255).astype(np.uint8)).save(path, quality=90)
    return path


def run(command: list[str], environment: dict[str, str]) -> float:
    """Seconds that a process takes, from start to end."""
    start = time.perf_counter()
    subprocess.run(command, check=True, env=environment, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
