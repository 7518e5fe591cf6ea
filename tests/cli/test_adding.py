"""`features` with another end point over a folder that is finished."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Run
from tests.processes import start
from tests.reliability.crash import make_images

pytestmark = pytest.mark.slow


@pytest.fixture
def features(run: Run, small_weights: Path) -> Any:
    def features(*arguments: str | Path) -> Any:
        return run("features", "--device", "cpu", "-w", small_weights, *arguments)

    return features


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.iterdir()
        if path.name != "run.json"
    }


def note(folder: Path) -> Any:
    return json.loads((folder / "run.json").read_bytes())


def test_the_missing_one_is_computed_alone(features: Any, pictures: Path, tmp_path: Path) -> None:
    (pictures / "bad.png").write_bytes((pictures / "b.png").read_bytes()[:300])
    both = tmp_path / "both" / "out"
    assert features(pictures, "-o", both, "-e", "PreLogits", "-e", "Mixed_7c").returncode == 3
    out = tmp_path / "out"
    assert features(pictures, "-o", out).returncode == 3
    before = state(out)
    done = features(pictures, "-o", out, "-e", "Mixed_7c")
    assert done.returncode == 0
    assert f"{out}: Mixed_7c added for 3 images" in done.stderr
    assert before.items() < state(out).items()
    assert note(out) == note(both)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        path.name: path.read_bytes() for path in both.iterdir()
    }
    for end_points in ("PreLogits", "Mixed_7c"):  # One of them is enough to go on with both.
        after = state(out)
        assert features(pictures, "-o", out, "-e", end_points).returncode == 0
        assert state(out) == after


def test_a_picture_that_is_gone(features: Any, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert features(pictures, "-o", out).returncode == 0
    before = state(out), note(out)
    (pictures / "b.png").unlink()
    done = features(pictures, "-o", out, "-e", "Logits")
    assert done.returncode == 7
    assert f"{pictures}/b.png has a row in {out} and is gone" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (state(out), note(out)) == before


def test_kills(small_weights: Path, tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    make_images(images, 600)
    command = [sys.executable, "-m", "inceptioncli", "features", "-w", str(small_weights)]
    command += ["--device", "cpu", str(images), "-j", "1", "-o"]
    for folder, options in ((out, []), (tmp_path / "both" / "out", ["-e", "Mixed_7c"])):
        done = subprocess.run(
            [*command, str(folder), "-e", "PreLogits", *options], capture_output=True, check=False
        )
        assert done.returncode == 3, done.stderr
    before = state(out)
    rows = np.load(out / "PreLogits.npy").shape[0]
    rng = random.Random(0)
    lengths = []
    for _ in range(6):
        process = start([*command, str(out), "-e", "Mixed_7c"], start_new_session=True)
        time.sleep(rng.uniform(0.5, 1.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert note(out)["status"] == "finished"
        assert before.items() <= state(out).items()
        for name in note(out)["options"]["end_points"]:
            assert np.load(out / f"{name}.npy").shape[0] == rows
        lengths.append(note(out).get("adding", {}).get("Mixed_7c.npy", 0))
    done = subprocess.run([*command, str(out), "-e", "Mixed_7c"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert before.items() < state(out).items()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "both" / "out").iterdir()
    }
