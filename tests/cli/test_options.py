"""Every option of every command, looked at together."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from inceptioncli import load
from inceptioncli.cli.program import cli
from inceptioncli.weights import formats
from tests.conftest import SMALL_GRAPH, Run, write_weights_only


def commands(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, *path, name)


@pytest.mark.parametrize(("path", "command"), list(commands(cli)))
def test_options_are_named_for_their_environment_variables(
    path: tuple[str, ...], command: click.Command
) -> None:
    """Click derives INCEPTIONCLI_<COMMAND>_<OPTION> from the parameter's name.

    Where the option's name is a Python keyword, the variable has to be given.
    """
    for parameter in command.params:
        long = [option for option in parameter.opts if option.startswith("--")]
        if isinstance(parameter, click.Option) and long:
            option = long[0][2:].replace("-", "_")
            variable = "_".join(["INCEPTIONCLI", *path, option]).upper()
            assert parameter.name == option or parameter.envvar == variable, path
            assert parameter.help, path


def test_the_graphs_options_are_the_same_everywhere() -> None:
    shared = {"weights", "labels", "device", "precision", "crop", "offline"}
    untold = {"activation", "image_size"}
    names = {path: {parameter.name for parameter in each.params} for path, each in commands(cli)}
    for path in (("classify",), ("features",)):
        assert shared | untold <= names[path]
    assert untold <= names["weights", "convert"]
    assert "activation" not in names["train",]


@pytest.mark.parametrize("value", ["1", "0.1.0"])
@pytest.mark.parametrize("name", ["VERSION", "HELP", "MODEL_VERSION", "MODEL_HELP"])
def test_version_and_help_take_no_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"INCEPTIONCLI_{name}", value)
    shown = CliRunner().invoke(cli, ["model"])
    assert (shown.exit_code, shown.output.split()[:2]) == (0, ["END", "POINT"])


# What weight files can't tell


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    """A file of arrays alone."""
    return write_weights_only(tmp_path / "small.h5", SMALL_GRAPH)


@pytest.fixture
def one_output(tmp_path: Path) -> Path:
    """A file of arrays alone, with one output."""
    graph = replace(SMALL_GRAPH, classes=1, activation="sigmoid")
    return write_weights_only(tmp_path / "one.h5", graph)


def predictions(text: str) -> list[list[dict[str, Any]]]:
    return [json.loads(line)["predictions"] for line in text.splitlines()]


def test_a_sigmoid_of_one_output_is_its_probability(
    run: Run, one_output: Path, pictures: Path
) -> None:
    told = ["-w", one_output, "--activation", "sigmoid", "--image-size", "75"]
    done = run("classify", "-f", "jsonl", *told, pictures)
    assert (done.returncode, done.stderr) == (0, "")
    logits = load(one_output, activation="sigmoid", image_size=75).features(pictures, "Logits")
    for (only,), (logit,) in zip(predictions(done.stdout), logits["Logits"], strict=True):
        assert (only["index"], only["id"], only["label"]) == (0, None, "class 0")
        assert only["probability"] == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-6)
        assert 0.01 < only["probability"] < 0.99
    (lowest,) = sorted(each[0]["probability"] for each in predictions(done.stdout))[:1]
    above = run("classify", "-f", "jsonl", "-t", str(lowest + 1e-7), *told, pictures)
    assert sum(map(len, predictions(above.stdout))) == 2


def test_each_sigmoid_is_for_itself(run: Run, small_file: Path, pictures: Path) -> None:
    told = ["-w", small_file, "--image-size", "75", "-k", "7", "-f", "jsonl"]
    sigmoid = predictions(run("classify", *told, "--activation", "sigmoid", pictures).stdout)
    softmax = predictions(run("classify", *told, pictures).stdout)
    for ours, theirs in zip(sigmoid, softmax, strict=True):
        assert [each["index"] for each in ours] == [each["index"] for each in theirs]
        assert sum(each["probability"] for each in theirs) == pytest.approx(1)
        assert sum(each["probability"] for each in ours) > 1.5


def test_one_output_that_nothing_explains_ends_with_what_to_pass(
    run: Run, one_output: Path, pictures: Path
) -> None:
    done = run("classify", "-w", one_output, pictures)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (5, "", 1)
    assert done.stderr.startswith(f"Error: {one_output}: one output, ")
    assert "--activation sigmoid" in done.stderr


@pytest.mark.parametrize("options", [["--activation", "sigmoid"], ["--image-size", "150"]])
def test_otherwise_than_the_file_says_is_usage(
    run: Run, small_weights: Path, pictures: Path, options: list[str], tmp_path: Path
) -> None:
    for command in (
        ["classify", "-w", small_weights, pictures],
        ["features", "-w", small_weights, pictures, "-o", tmp_path / "out"],
        ["weights", "convert", small_weights, tmp_path / "again.safetensors"],
    ):
        done = run(*command, *options)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert f"{small_weights}: {' '.join(options)} asked for, but the file says" in done.stderr
        assert list(tmp_path.glob("*.safetensors")) == []


def test_they_come_from_the_environment_and_are_part_of_a_run(
    run: Run, small_file: Path, pictures: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    command = ["classify", "-w", small_file, "--image-size", "75", pictures, "-o", output]
    environment = {**os.environ, "INCEPTIONCLI_ACTIVATION": "sigmoid"}
    assert run(*command, env=environment).returncode == 0
    for other in ([], ["--image-size", "80"], ["--activation", "softmax"]):
        assert run(*command, *other).returncode == 7
    assert run(*command, "--activation", "sigmoid").returncode == 0
    features = ["features", "-w", small_file, pictures, "-o", tmp_path / "out"]
    assert run(*features, env={**os.environ, "INCEPTIONCLI_IMAGE_SIZE": "80"}).returncode == 0
    assert run(*features, "--image-size", "75").returncode == 7


def test_convert_keeps_them_in_the_file(
    run: Run, one_output: Path, pictures: Path, tmp_path: Path
) -> None:
    told = ["--activation", "sigmoid", "--image-size", "75"]
    kept = tmp_path / "kept.safetensors"
    done = run("weights", "convert", one_output, kept, *told)
    assert (done.returncode, done.stderr) == (0, "")
    as_told = run("classify", "-w", one_output, *told, pictures)
    assert as_told.returncode == 0
    assert run("classify", "-w", kept, pictures).stdout == as_told.stdout
    verified = run("weights", "verify", kept)
    assert ", 1 class (sigmoid), " in verified.stdout
    listed = run("weights", "list").stdout
    assert f"{kept.name} (sigmoid) " in listed
    assert f"{one_output.name} (sigmoid, 75x75) " in listed


def test_convert_folds_a_scale(run: Run, small_file: Path, tmp_path: Path) -> None:
    scaled = tmp_path / "scaled.safetensors"
    command = ["weights", "convert", small_file, scaled, "--image-size", "75"]
    assert run(*command, "--input-scale", "-1..1").returncode == 0
    done = run(*command, "--overwrite", "--input-scale", "0..1")
    assert (done.returncode, done.stdout) == (0, f"{scaled}\n")
    before, after = formats.read(small_file, image_size=75), formats.read(scaled)
    assert after.model.input_scale == "0..1"
    first = "InceptionV3/Conv2d_1a_3x3/weights"
    np.testing.assert_array_equal(after.arrays[first], before.arrays[first] / 2)
    again = run("weights", "convert", scaled, tmp_path / "x.safetensors", "--input-scale", "0..1")
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
