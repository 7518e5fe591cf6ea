from __future__ import annotations

import json

from tests.conftest import Run
from tests.test_architecture import read_facts, shape_text


def test_json_tells_the_whole_graph(run: Run) -> None:
    done = run("model", "--json", "--classes", "1001", "--aux")
    assert done.returncode == 0
    model = json.loads(done.stdout)
    assert list(model) == [
        "image_size", "classes", "activation", "parameters", "multiply_adds", "end_points",
        "layers",
    ]  # fmt: skip
    assert (model["image_size"], model["classes"]) == (299, 1001)
    assert model["parameters"] == 27_182_194
    assert [[end["name"], shape_text(end["shape"])] for end in model["end_points"]] == read_facts(
        "slim_end_points.tsv"
    )
    assert len(model["layers"]) == 98
    assert model["layers"][0] == {
        "name": "InceptionV3/Conv2d_1a_3x3",
        "kernel": [3, 3, 3, 32],
        "stride": 2,
        "padding": "VALID",
        "output": [149, 149, 32],
        "parameters": 960,
        "multiply_adds": 149 * 149 * 3 * 3 * 3 * 32,
    }
    for key in ("parameters", "multiply_adds"):
        assert sum(layer[key] for layer in model["layers"]) == model[key]
        assert sum(end[key] for end in model["end_points"]) == model[key]


def test_the_options_reach_the_graph(run: Run) -> None:
    options = ["--image-size", "150", "--classes", "10", "--depth-multiplier", "0.5", "--aux"]
    model = json.loads(run("model", "--json", *options).stdout)
    assert model["classes"] == 10
    assert model["end_points"][17]["shape"] == [3, 3, 1024]
    names = [layer["name"] for layer in model["layers"]]
    assert "InceptionV3/AuxLogits/Conv2d_2a_1x1" in names
    assert len(json.loads(run("model", "--json", "--no-aux").stdout)["layers"]) == 95


def test_tables_for_people(run: Run) -> None:
    ends = run("model", "--classes", "1000", "--no-aux").stdout
    assert "Mixed_7c        8x8x2048     6,080,064        388.5 M  21,802,784" in ends
    assert "23,851,784 parameters, 5.71 G multiply-adds for one image of 299x299" in ends
    layers = run("model", "--layers").stdout
    assert "InceptionV3/Mixed_5c/Branch_1/Conv_1_0c_5x5" in layers
    assert layers.count("InceptionV3/") == 98


def test_sizes_from_331_on(run: Run) -> None:
    model = json.loads(run("model", "--json", "--no-aux", "--image-size", "512").stdout)
    shapes = {end["name"]: end["shape"] for end in model["end_points"]}
    assert shapes["Mixed_7c"] == [14, 14, 2048]
    assert shapes["PreLogits"] == [1, 1, 2048]
    assert shapes["Logits"] == shapes["Predictions"] == [1001]


def test_sigmoids_are_said(run: Run) -> None:
    done = run("model", "--classes", "1", "--activation", "sigmoid")
    assert done.stdout.endswith(" for one image of 299x299; Predictions by sigmoid\n")
    assert "\nPredictions     1   " in done.stdout
    told = json.loads(run("model", "--json", "--activation", "sigmoid").stdout)
    assert told["activation"] == "sigmoid"
    assert json.loads(run("model", "--json").stdout)["activation"] == "softmax"


def test_impossible_graphs_are_one_line_errors(run: Run) -> None:
    for options, message in (
        (["--image-size", "74", "--no-aux"], "Error: image size 74; expected 75 to 2048 without"),
        (["--image-size", "347"], "expected 107 to 346 with the aux head; without it 75 to 2048"),
        (["--image-size", "106"], "Error: image size 106; expected 107 to 346 with"),
        (["--classes", "1"], "Error: 1 class, and a softmax of one output is 1 for every picture"),
        (["--depth-multiplier", "0"], "Error: depth multiplier 0.0 is not greater than 0"),
    ):
        done = run("model", *options)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
        assert done.stdout == ""


def test_training_has_the_aux_head_and_its_sizes(run: Run) -> None:
    for size in ("106", "347", "1000000000"):
        done = run("train", "nowhere", "-o", "x.safetensors", "--image-size", size)
        assert done.returncode == 2
        assert f"{size} is not in the range 107<=x<=346" in done.stderr
