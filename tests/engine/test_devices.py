from __future__ import annotations

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
    ],
)
def test_auto(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, precision: str, images: int, device: str
) -> None:
    monkeypatch.setattr(devices, "has_gpu", lambda: gpu)
    assert devices.resolve("auto", precision, images) == device


def test_auto_does_not_replace_a_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "has_gpu", lambda: False)
    with pytest.raises(DeviceError, match="float16 needs a GPU, and none was found"):
        devices.resolve("auto", "float16", 1)
