"""What ``--device auto`` does on a machine with a GPU; here one that TensorFlow does not see."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from inceptioncli import Batch, errors
from inceptioncli.choices import TIMEOUT_S
from inceptioncli.cli.options import GraphOptions
from inceptioncli.engine import devices
from inceptioncli.images.inputs import Inputs

pytestmark = pytest.mark.slow

HERE = Batch(workers=0, timeout=TIMEOUT_S)


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "has_gpu", lambda: True)


@pytest.fixture
def options(small_weights: Path) -> GraphOptions:
    defaults = dict.fromkeys(GraphOptions._fields)
    graph = {"weights": str(small_weights), "device": "auto", "precision": "float32"}
    return GraphOptions(**{**defaults, **graph, "exact_decode": False, "offline": True})  # type: ignore[arg-type]


@pytest.mark.usefixtures("with_gpu")
def test_nobody_waits_for_a_stream(
    options: GraphOptions, pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as listed, os.fdopen(writing, "wb", buffering=0) as writer:
        inputs = Inputs((), listed)
        with options.load(inputs) as classifier:  # Nothing has come, and more may.
            assert classifier.ready.engine == "litert"
            assert "--device gpu" in caplog.text
            writer.write(f"{pictures}/a.jpg\n".encode())
            with classifier.run(inputs, batch=HERE) as run:
                record = next(event for event in run if hasattr(event, "path"))
                assert record.path == f"{pictures}/a.jpg"
                writer.close()


@pytest.mark.usefixtures("with_gpu")
def test_a_run_that_has_grown_goes_on_with_its_engine(
    options: GraphOptions, pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out.csv"
    many = [f"{tmp_path}/{number}" for number in range(devices.IMAGES_THAT_REPAY_A_GPU)]
    listed = tmp_path / "list"
    for paths in ([str(pictures / "a.jpg")], [str(pictures / "a.jpg"), *many]):
        listed.write_text("\n".join(paths), encoding="utf-8")
        with listed.open("rb") as file:
            inputs = Inputs((), file)
            with options.load(inputs, out) as classifier:
                assert classifier.ready.engine == "litert"
                summary = classifier.run(inputs, out, batch=HERE).finish()
                assert summary.ok + summary.older_ok == 1
    assert caplog.text == ""  # not tried, and given up for the CPU


@pytest.mark.usefixtures("with_gpu")
@pytest.mark.parametrize("name", ["out.csv", "features"])
def test_what_was_begun_on_a_gpu_is_begun_on_it_again(
    options: GraphOptions, pictures: Path, tmp_path: Path, name: str
) -> None:
    """However few images there are; here it can't be, and that is said."""
    out = tmp_path / name
    with options._replace(device="cpu").load(Inputs([str(pictures)])) as classifier:
        run = classifier.run if name == "out.csv" else classifier.run_features
        run(str(pictures), out, batch=HERE).finish()
        note_path = out / "run.json" if name == "features" else tmp_path / "out.csv.run.json"
        note = json.loads(note_path.read_bytes())
        note_path.write_text(json.dumps({**note, "engine": "tensorflow"}), encoding="utf-8")
        with pytest.raises(errors.DeviceError, match="gpu:0 asked for"):
            options.load(Inputs([str(pictures)]), out)
        # What was asked for by name is another run, as ever.
        with pytest.raises(errors.ForeignOutputError, match="engine is tensorflow there and li"):
            run(str(pictures), out, batch=HERE)
