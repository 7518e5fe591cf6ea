"""`train` from the shell: models that work at once, kills that lose nothing, errors of one line."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from inceptioncli import training
from inceptioncli.architecture import ACTIVATIONS, CLASSIFIERS
from inceptioncli.labels import default_labels
from inceptioncli.training import _Run
from inceptioncli.training.data import Labelled
from inceptioncli.training.options import Options
from inceptioncli.weights import formats
from inceptioncli.weights.formats.own import write_safetensors
from tests.conftest import Run, random_weights
from tests.processes import start
from tests.training.conftest import TINY, WORDNET_IDS

pytestmark = pytest.mark.slow

MAIN = "from inceptioncli.cli import main; sys.argv = ['inceptioncli', *sys.argv[1:]]; main()"


def train(run: Run, data: Path, output: Path, *options: str | Path, **kwargs: Any) -> Any:
    return run("train", data, "-o", output, *options, **kwargs)


def accuracy(run: Run, model: Path, renders: Path) -> float:
    done = run("classify", "-w", model, "-k", "1", "-f", "jsonl", renders)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    right = [Path(r["path"]).parent.name == r["predictions"][0]["id"] for r in records]
    return sum(right) / len(right)


@pytest.fixture(scope="module")
def head_model(
    tmp_path_factory: pytest.TempPathFactory,
    renders: Path,
    tiny_weights: Path,
    session_cache: Path,
) -> Path:
    """A head on random features, trained without interruption, TensorFlow or Keras."""
    path = tmp_path_factory.mktemp("head") / "model.safetensors"
    hidden = "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None; "
    command = [sys.executable, "-c", hidden + MAIN, "train", renders, "-o", path]
    command += ["--from", tiny_weights]
    environment = {"INCEPTIONCLI_CACHE": str(session_cache), "PATH": ""}
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "4 classes, 44 images to learn from, 4 to validate on" in done.stderr
    last = done.stderr.splitlines()[-1]
    assert re.search(
        r"validation accuracy [\d.]+%, log loss [\d.]+, calibration error [\d.]+ "
        r"\(strength [\d.]+, temperature [\d.]+\), 0 images skipped",
        last,
    )
    return path


def test_a_head_learns_and_works_at_once(
    run: Run, head_model: Path, renders: Path, tiny_weights: Path
) -> None:
    assert accuracy(run, head_model, renders) > 0.6
    weights, base = formats.read(head_model), formats.read(tiny_weights)
    assert [label.id for label in weights.model.class_labels] == sorted(WORDNET_IDS)
    assert not weights.model.graph.aux
    for name, array in weights.arrays.items():
        if "/Logits/" not in name:
            np.testing.assert_array_equal(array, base.arrays[name])
    with safe_open(head_model, "numpy") as file:
        training = json.loads(file.metadata()["training"])
    assert training["options"] == {"mode": "head", "validation": 0.1, "seed": 0, "crop": 1.0}
    assert (training["training_images"], training["validation_images"]) == (44, 4)
    assert {"strength", "temperature"} < set(training)
    for name in ("accuracy", "log_loss", "calibration_error"):
        assert training[f"validation_{name}"] >= 0


def test_metrics_and_curve_appear_and_nothing_else_is_left(head_model: Path) -> None:
    rows = list(csv.DictReader(head_model.with_suffix(".metrics.csv").open()))
    assert list(rows[0]) == [
        "strength", "training_log_loss", "validation_log_loss", "validation_accuracy",
    ]  # fmt: skip
    assert len(rows) >= 3
    for name in ("strength", "training_log_loss"):
        column = [float(row[name]) for row in rows]
        assert column == sorted(column, reverse=True)
    with safe_open(head_model, "numpy") as file:
        kept = json.loads(file.metadata()["training"])["strength"]
    best = min(rows, key=lambda row: float(row["validation_log_loss"]))
    assert float(best["strength"]) == kept
    with Image.open(head_model.with_suffix(".curve.png")) as curve:
        assert curve.format == "PNG"
    assert sorted(path.name for path in head_model.parent.iterdir()) == [
        "model.curve.png", "model.metrics.csv", "model.safetensors",
    ]  # fmt: skip


@pytest.mark.parametrize("moments", [(0.6, 0.9, 1.2), (1.5, 1.8)])
def test_killed_a_head_goes_on_and_ends_the_same(
    moments: tuple[float, ...],
    run: Run,
    head_model: Path,
    renders: Path,
    tiny_weights: Path,
    tmp_path: Path,
) -> None:
    output = tmp_path / "model.safetensors"
    options = ["--from", str(tiny_weights)]
    command = [sys.executable, "-m", "inceptioncli", "train", str(renders), "-o", str(output)]
    for moment in moments:
        process = start([*command, *options], stderr=subprocess.DEVNULL)
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
    finished = train(run, renders, output, *options)
    assert finished.returncode == 0 or "exists; give --overwrite" in finished.stderr
    assert output.read_bytes() == head_model.read_bytes()
    assert not output.with_suffix(".training").exists()


def test_killed_after_the_model_was_written_the_same_command_tidies_up(
    run: Run, head_model: Path, renders: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    output = tmp_path / "model.safetensors"
    code = (
        "import os, sys; from inceptioncli.training.workspace import Workspace;"
        "Workspace.remove = lambda self: os._exit(9);" + MAIN
    )
    options = ["--from", str(tiny_weights)]
    command = [sys.executable, "-c", code, "train", str(renders), "-o", str(output), *options]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 9
    assert output.with_suffix(".training").exists()
    assert train(run, renders, output, *options).returncode == 0
    assert not output.with_suffix(".training").exists()
    assert output.read_bytes() == head_model.read_bytes()


def test_ctrl_c_says_how_to_go_on(
    renders: Path, tiny_weights: Path, tmp_path: Path, run: Run
) -> None:
    shutil.copytree(renders, tmp_path / "data")
    output = tmp_path / "model.safetensors"
    output.write_text("an older model")
    code = (
        "import os, signal, sys; from inceptioncli.training import head;"
        "head.fit = lambda *arguments, **options: os.kill(os.getpid(), signal.SIGINT);" + MAIN
    )
    options = ["--from", str(tiny_weights), "--overwrite"]
    command = [sys.executable, "-c", code, "train", str(tmp_path / "data"), "-o", str(output)]
    stopped = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert stopped.returncode == 130
    assert "the same command" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert output.read_text() == "an older model"
    output.unlink()
    # Neither other options nor other images can go on from here, and say so.
    seed = train(run, tmp_path / "data", output, "--from", tiny_weights, "--seed", "5")
    swapped = sorted((tmp_path / "data").iterdir())[:2]
    swapped[0].rename(tmp_path / "data" / "x")
    swapped[1].rename(swapped[0])
    (tmp_path / "data" / "x").rename(swapped[1])
    images = train(run, tmp_path / "data", output, "--from", tiny_weights)
    for other in (seed, images):
        assert other.returncode == 7
        assert "other options or other data" in other.stderr
        assert "--overwrite" in other.stderr
    # With --overwrite the features are still of use.
    anew = train(run, tmp_path / "data", output, *options, "--seed", "5")
    assert anew.returncode == 0
    assert "continuing: features of " in anew.stderr


def test_a_folder_that_is_not_ours_is_left_alone(
    run: Run, renders: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    data = tmp_path / "pets.training"
    shutil.copytree(renders, data)
    for more in ([], ["--overwrite"]):
        done = train(run, data, tmp_path / "pets.safetensors", "--from", tiny_weights, *more)
        assert done.returncode == 7
        assert "choose another name for -o" in done.stderr
    assert len(list(data.rglob("*.jpg"))) == 48


def test_the_whole_graph_learns_goes_on_and_works_at_once(
    run: Run, renders: Path, tmp_path: Path
) -> None:
    output = tmp_path / "model.safetensors"
    options = ["--mode", "full", "--from", "none", "--depth-multiplier", "0.1"]
    options += ["--image-size", "107", "--epochs", "2", "--batch-size", "8"]
    # The epoch before the kill is faster taken step by step than traced.
    eager = "import sys, tensorflow; tensorflow.config.run_functions_eagerly(True); "
    command = [sys.executable, "-c", eager + MAIN, "train", str(renders), "-o", str(output)]
    process = start([*command, *options], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch 1/"):
            break
    process.kill()
    process.wait()
    assert not output.exists()
    output.write_text("an older model")
    done = train(run, renders, output, *options, "--overwrite")  # The same command goes on, too.
    assert done.returncode == 0, done.stderr
    assert "continuing after epoch 1 of 2" in done.stderr
    rows = list(csv.DictReader(output.with_suffix(".metrics.csv").open()))
    assert [int(row["epoch"]) for row in rows] == [1, 2]
    model = formats.read(output).model
    assert (model.graph.depth_multiplier, model.graph.image_size) == (0.1, 107)
    assert model.graph.aux
    accuracy(run, output, renders)  # It classifies; that it learns takes more than 2 epochs.


def test_unreadable_images_are_skipped_and_said(
    run: Run, renders: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    shutil.copytree(renders, tmp_path / "data")
    bad = tmp_path / "data" / "n07749582" / "bad.jpg"
    bad.write_bytes(next((renders / "n07749582").iterdir()).read_bytes()[:500])
    output = tmp_path / "model.safetensors"
    done = train(run, tmp_path / "data", output, "--from", tiny_weights)
    assert done.returncode == 3
    assert f"skipped {bad}: " in done.stderr
    assert "1 image skipped" in done.stderr
    with safe_open(output, "numpy") as file:
        assert json.loads(file.metadata()["training"])["skipped_images"] == 1


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--mode", "head", "--from", "none"], 2, "--from none goes with --mode full"),
        (["--freeze-until", "Mixed_5b"], 2, "--freeze-until goes with --mode full"),
        (["--epochs", "3"], 2, "--epochs goes with --mode full"),
        (["--batch-size", "8"], 2, "--batch-size goes with --mode full"),
        (["--learning-rate", "0.1"], 2, "--learning-rate goes with --mode full"),
        (["--mode", "full", "--freeze-until", "Mixed_9"], 2, "unknown end point 'Mixed_9'"),
        (["--mode", "full", "--depth-multiplier", "0.5"], 5, "has depth multiplier 0.1, not 0.5"),
        (["--mode", "full", "--freeze-until", "Logits"], 2, "known: Conv2d_1a_3x3"),
        (["--validation", "1"], 2, "--validation"),
        (["--validation", "nan"], 2, "validation nan is not between 0 and 1"),
        (["--crop", "nan"], 2, "crop nan is not in (0, 1]"),
        (["--seed", "5000000000"], 2, "--seed"),
        (["--from", "imagnet"], 5, "did you mean 'imagenet'"),
    ],
)
def test_options_that_do_not_fit(
    run: Run,
    renders: Path,
    tiny_weights: Path,
    tmp_path: Path,
    options: list[str],
    code: int,
    message: str,
) -> None:
    done = train(run, renders, tmp_path / "m.safetensors", "--from", tiny_weights, *options)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "m.safetensors").exists()


def test_outputs_that_are_in_the_way(
    run: Run, renders: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    output = tmp_path / "model.safetensors"
    output.write_text("in the way")
    done = train(run, renders, output, "--from", tiny_weights)
    assert done.returncode == 6
    assert "--overwrite" in done.stderr
    assert output.read_text() == "in the way"
    taken = tmp_path / "folder.safetensors"
    taken.mkdir()
    folder = train(run, renders, taken, "--from", tiny_weights, "--overwrite")
    assert folder.returncode == 6
    assert "is a folder" in folder.stderr
    wrong = train(run, renders, tmp_path / "model.h5", "--from", tiny_weights)
    assert wrong.returncode == 2
    nowhere = train(run, renders, output / "below.safetensors", "--from", tiny_weights)
    assert nowhere.returncode == 6
    missing = train(run, tmp_path / "nowhere", tmp_path / "m.safetensors")
    assert missing.returncode == 2


def test_a_scale_that_is_folded_in_stays_said(
    run: Run, renders: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    scaled, path = tmp_path / "scaled.safetensors", tmp_path / "m.safetensors"
    fold = ["--input-scale", "0..1"]
    assert run("weights", "convert", tiny_weights, scaled, *fold).returncode == 0
    assert run("train", renders, "-o", path, "--from", scaled).returncode == 0
    assert formats.read(path).model.input_scale == "0..1"
    again = run("weights", "convert", path, tmp_path / "x.safetensors", *fold)
    assert (again.returncode, f"{path}: its pixels' scale" in again.stderr) == (2, True)


def test_another_version_of_the_program_goes_on(
    renders: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def identity() -> str:
        labelled = Labelled(default_labels(4), ())
        options = Options(mode="head", start=str(tiny_weights))
        return _Run(labelled, options, tmp_path / "o", "data").identity

    before = identity()
    monkeypatch.setattr(training, "__version__", "9.9.9")
    assert identity() == before
    monkeypatch.setattr(training, "RESULTS_VERSION", training.RESULTS_VERSION + 1)
    assert identity() != before


def test_a_sigmoids_classifier_is_no_start_for_a_softmax(tmp_path: Path) -> None:
    labelled = Labelled(default_labels(4), ())
    for activation in ACTIVATIONS:
        weights = random_weights(replace(TINY, activation=activation))
        begin = tmp_path / f"{activation}.safetensors"
        write_safetensors(begin, weights)
        run = _Run(labelled, Options(mode="full", start=str(begin)), tmp_path / "o", "data")
        assert run._full_graph() == TINY
        names = set(run._start_arrays(labelled.labels))
        left_out = set(weights.arrays) - names
        assert all(name.startswith(CLASSIFIERS) for name in left_out)
        assert len(left_out) == (0 if activation == "softmax" else 4)
