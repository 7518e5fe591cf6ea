from __future__ import annotations

from pathlib import Path

import pytest

from inceptioncli.engine import devices
from inceptioncli.errors import DeviceError


@pytest.mark.parametrize(
    ("device", "precision", "message"),
    [
        ("tpu", "float32", "unknown device 'tpu'; expected auto, cpu, gpu or gpu:N"),
        ("gpu:x", "float32", "unknown device"),
        ("cpu", "float64", "unknown precision"),
        ("cpu", "bfloat16", "not available on the CPU; use float32 or int8"),
        ("gpu:1", "int8", "not available on a GPU; use float32, bfloat16, float16"),
    ],
)
def test_what_does_not_exist_is_refused(device: str, precision: str, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        devices.check(device, precision)


@pytest.mark.parametrize(
    ("gpu", "precision", "images", "device"),
    [
        (False, "float32", 10_000, "cpu"),
        (True, "float32", 1, "cpu"),
        (True, "float32", devices.IMAGES_THAT_REPAY_A_GPU, "gpu"),
        (True, "int8", 10_000, "cpu"),
        (True, "float16", 1, "gpu"),
        (True, "float32", None, "cpu"),
        (True, "float16", None, "gpu"),
        (False, "float32", None, "cpu"),
    ],
)
def test_auto(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, precision: str, images: int | None, device: str
) -> None:
    monkeypatch.setattr(devices, "has_gpu", lambda: gpu)
    assert devices.resolve("auto", precision, images) == device


@pytest.mark.parametrize(("gpu", "precision"), [(True, "float32"), (True, "int8"), (False, "int8")])
def test_what_a_stream_runs_on_is_said_where_there_is_a_choice(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, gpu: bool, precision: str
) -> None:
    monkeypatch.setattr(devices, "has_gpu", lambda: gpu)
    caplog.set_level("INFO")
    devices.resolve("auto", precision, None)
    said = gpu and precision == "float32"
    assert [("CPU" in text, "--device gpu" in text) for text in caplog.messages] == [
        (True, True)
    ] * said


@pytest.mark.parametrize(
    ("device", "precision", "engine", "gpu", "expected"),
    [
        ("auto", "float32", "litert", True, "cpu"),
        ("auto", "float32", "tensorflow", True, "gpu"),
        ("auto", "float32", None, True, "auto"),
        # What can't be had here is refused by the output, whose engine is another.
        ("auto", "float32", "tensorflow", False, "auto"),
        ("auto", "float16", "litert", True, "auto"),
        ("auto", "int8", "tensorflow", True, "auto"),
        # What was asked for by name is taken at its word.
        ("gpu", "float32", "litert", True, "gpu"),
        ("cpu", "float32", "tensorflow", True, "cpu"),
        ("gpu:1", "float32", "tensorflow", True, "gpu:1"),
    ],
)
def test_a_run_goes_on_with_its_engine(
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    precision: str,
    engine: str | None,
    gpu: bool,
    expected: str,
) -> None:
    monkeypatch.setattr(devices, "has_gpu", lambda: gpu)
    assert devices.continued(device, precision, engine) == expected


def test_auto_does_not_replace_a_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "has_gpu", lambda: False)
    with pytest.raises(DeviceError, match="float16 needs a GPU, and none was found"):
        devices.resolve("auto", "float16", 1)


@pytest.mark.parametrize(
    ("files", "visible", "expected"),
    [
        ([], None, False),
        (["dev/nvidia0"], None, True),
        (["dev/nvidia0"], "-1", False),
        (["dev/nvidia0"], "", False),
        (["proc/driver/nvidia/gpus/0000:01:00.0/information"], None, True),
        (["dev/dxg", "usr/lib/wsl/lib/libcuda.so.1"], None, True),
        (["dev/dxg", "usr/lib/wsl/drivers/nv_dispi.inf_amd64/libcuda.so.1.1"], None, True),
        (["dev/dxg", "usr/lib/wsl/lib/libd3d12.so"], None, False),  # another maker's
        (["usr/lib/wsl/lib/libcuda.so.1"], None, False),
    ],
)
def test_a_gpu_is_seen_by_its_files(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: list[str],
    visible: str | None,
    expected: bool,
) -> None:
    monkeypatch.setattr(devices, "_ROOT", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    for file in files:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert devices.has_gpu() is expected
