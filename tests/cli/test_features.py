"""`features`, and `classify --dump`: arrays that numpy reads, against the engine and the API."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inceptioncli
from tests.conftest import SMALL_GRAPH, Run

ALL = SMALL_GRAPH.end_points


@pytest.fixture
def features(run: Run, small_weights: Path) -> Any:
    def features(*arguments: str | Path) -> Any:
        return run("features", "--device", "cpu", "-w", small_weights, *arguments)

    return features


def arrays(folder: Path) -> dict[str, Any]:
    return {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}


def index(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "index.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_every_end_point_at_once(
    features: Any, small_weights: Path, pictures: Path, tmp_path: Path
) -> None:
    options = [option for name in ALL for option in ("-e", name)]
    (pictures / "bad.png").write_bytes((pictures / "b.png").read_bytes()[:300])
    out = tmp_path / "out"
    done = features(pictures, "-o", out, *options)
    assert done.returncode == 3, done.stderr
    assert done.stdout == ""
    assert done.stderr == "4 new: 3 ok, 1 failed (1 truncated)\n"
    good = [str(pictures / name) for name in ("a.jpg", "b.png", "c.webp")]
    theirs = inceptioncli.load(small_weights, device="cpu").features(good, ALL)
    found = arrays(out)
    assert set(found) == set(ALL)
    for name in ALL:
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], theirs[name])
    assert found["PreLogits"].shape == (3, 203)
    assert found["Mixed_5b"].shape[:3] == (3, 7, 7)
    assert found["Mixed_7c"].ndim == 2  # of an image this small one position is left
    lines = index(out)
    assert [line["path"] for line in lines] == [*good[:2], str(pictures / "bad.png"), good[2]]
    assert [line.get("row") for line in lines] == [0, 1, None, 2]
    assert lines[2]["error"]["code"] == "truncated"
    assert {path.name for path in out.iterdir()} == {
        "index.jsonl", "run.json", *(f"{name}.npy" for name in ALL),
    }  # fmt: skip


@pytest.mark.parametrize("pool", ["avg", "max"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_pool_and_dtype(
    features: Any, small_weights: Path, pictures: Path, tmp_path: Path, pool: str, dtype: str
) -> None:
    names = ("Mixed_6e", "PreLogits", "Predictions")
    options = [option for name in names for option in ("-e", name)]
    features(pictures, "-o", tmp_path / "out", *options, "--pool", pool, "--dtype", dtype)
    whole = inceptioncli.load(small_weights, device="cpu").features(pictures, names)
    found = arrays(tmp_path / "out")
    reduce = np.mean if pool == "avg" else np.max
    expected = reduce(whole["Mixed_6e"].astype(np.float64), axis=(1, 2))
    assert found["Mixed_6e"].dtype == dtype
    np.testing.assert_allclose(
        found["Mixed_6e"], expected, rtol=1e-3 if dtype == "float16" else 1e-5
    )
    np.testing.assert_array_equal(found["PreLogits"], whole["PreLogits"].astype(dtype))
    np.testing.assert_array_equal(found["Predictions"], whole["Predictions"].astype(dtype))


def test_the_default_is_prelogits(features: Any, pictures: Path, tmp_path: Path) -> None:
    assert features(pictures, "-o", tmp_path / "out").returncode == 0
    assert list(arrays(tmp_path / "out")) == ["PreLogits"]
    np.load(tmp_path / "out" / "PreLogits.npy")  # without mmap too


def test_nothing_but_failures_is_an_empty_array(features: Any, tmp_path: Path) -> None:
    done = features("nowhere.jpg", "-o", tmp_path / "out")
    assert done.returncode == 4
    assert arrays(tmp_path / "out")["PreLogits"].shape == (0, 203)
    assert index(tmp_path / "out")[0]["error"]["code"] == "not_found"


def test_unknown_end_points(features: Any, pictures: Path, tmp_path: Path) -> None:
    done = features(pictures, "-o", tmp_path / "out", "-e", "mixed7c")
    assert done.returncode == 2
    assert "did you mean Mixed_7c?" in done.stderr
    assert all(name in done.stderr for name in ALL)
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_values_beyond_float16_are_refused(run: Run, pictures: Path, tmp_path: Path) -> None:
    from inceptioncli.weights.formats.own import write_safetensors
    from inceptioncli.weights.model import Weights
    from tests.conftest import random_weights

    weights = random_weights(SMALL_GRAPH)
    loud = {
        name: values * 3 if name.endswith("weights") and "Mixed_7" in name else values
        for name, values in weights.arrays.items()
    }
    loud = {name: v * 1e6 if name == "InceptionV3/Logits/Conv2d_1c_1x1/weights" else v
            for name, v in loud.items()}  # fmt: skip
    path = tmp_path / "loud.safetensors"
    write_safetensors(path, Weights(weights.model, loud))
    command = ["features", "-w", path, pictures, "-e", "Logits", "-o"]
    done = run(*command, tmp_path / "half", "--dtype", "float16")
    assert done.returncode == 2, done.stderr
    assert "does not fit float16" in done.stderr.splitlines()[-1]
    assert run(*command, tmp_path / "single").returncode == 0


@pytest.mark.slow
def test_where_features_can_not_go(features: Any, pictures: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    done = features(pictures, "-o", file)
    assert done.returncode == 6
    assert "is a file, and a folder is needed" in done.stderr
    assert file.read_text(encoding="utf-8") == "mine"
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "PreLogits.npy").write_bytes(b"mine")
    assert features(pictures, "-o", folder).returncode == 7
    (folder / "PreLogits.npy").rename(folder / "other.npy")
    assert features(pictures, "-o", folder).returncode == 0
    assert (folder / "other.npy").read_bytes() == b"mine"
    assert features(pictures, "-o", folder, "-e", "Logits", "--pool", "max").returncode == 7
    assert features(pictures, "-o", folder, "-e", "Logits", "--overwrite").returncode == 0
    assert set(arrays_of_ours := {path.name for path in folder.iterdir()}) == {
        "other.npy", "Logits.npy", "index.jsonl", "run.json",
    }, arrays_of_ours  # fmt: skip


def test_a_missing_array_is_refused(features: Any, pictures: Path, tmp_path: Path) -> None:
    features(pictures, "-o", tmp_path / "out")
    (tmp_path / "out" / "PreLogits.npy").unlink()
    done = features(pictures, "-o", tmp_path / "out")
    assert done.returncode == 7
    assert "PreLogits.npy is missing" in done.stderr
    shutil.rmtree(tmp_path / "out")
    assert features(pictures, "-o", tmp_path / "out").returncode == 0


@pytest.mark.slow
def test_dump_in_the_same_pass(
    run: Run, features: Any, small_weights: Path, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "bad.png").write_bytes((pictures / "b.png").read_bytes()[:300])
    command = ["classify", "-w", small_weights, pictures, "-k", "2"]
    dump = ["--dump", "PreLogits", "--dump", "Mixed_7c", "--dump-dir"]
    printed = run(*command, "-f", "jsonl", *dump, tmp_path / "printed")
    written = run(*command, "-o", tmp_path / "out.jsonl", *dump, tmp_path / "written")
    assert printed.returncode == written.returncode == 3, written.stderr
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == printed.stdout
    assert printed.stdout == run(*command, "-f", "jsonl").stdout
    features(pictures, "-e", "PreLogits", "-e", "Mixed_7c", "-o", tmp_path / "alone")
    for name in ("PreLogits.npy", "Mixed_7c.npy", "index.jsonl"):
        expected = (tmp_path / "alone" / name).read_bytes()
        assert (tmp_path / "printed" / name).read_bytes() == expected
        assert (tmp_path / "written" / name).read_bytes() == expected
    # The same again: printed anew, or nothing to do.
    again = run(*command, "-f", "jsonl", *dump, tmp_path / "printed")
    assert (again.returncode, again.stdout) == (3, printed.stdout)
    assert run(*command, "-o", tmp_path / "out.jsonl", *dump, tmp_path / "written").returncode == 0
    # New pictures go to their places in both.
    shutil.copy(pictures / "a.jpg", pictures / "aa.jpg")
    run(*command, "-o", tmp_path / "out.jsonl", *dump, tmp_path / "written")
    shutil.rmtree(tmp_path / "alone")
    features(pictures, "-e", "PreLogits", "-e", "Mixed_7c", "-o", tmp_path / "alone")
    for name in ("PreLogits.npy", "Mixed_7c.npy", "index.jsonl"):
        expected = (tmp_path / "alone" / name).read_bytes()
        assert (tmp_path / "written" / name).read_bytes() == expected
    assert run(*command, *dump, tmp_path / "written").returncode == 7


def test_a_pipe_that_is_closed_from_the_start_leaves_no_lock(
    small_weights: Path, pictures: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "inceptioncli", "classify", "-w", str(small_weights)]
    command += ["-f", "csv", str(pictures), "--dump", "Logits", "--dump-dir", str(tmp_path / "out")]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "Logits.npy", "index.jsonl", "run.json",
    }  # fmt: skip
