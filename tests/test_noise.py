from __future__ import annotations

import logging
import os
import tempfile
import threading

import pytest

from inceptioncli import noise
from inceptioncli.noise import native_stderr_hidden
from inceptioncli.terminal import printable


@pytest.fixture(autouse=True)
def _our_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "_ours", True)


def test_a_host_programs_descriptor_is_left_alone(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise, "_ours", False)
    with native_stderr_hidden():
        os.write(2, b"chatter")
    assert capfd.readouterr().err == "chatter"


def test_native_output_goes_to_the_debug_log(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="inceptioncli"):
        with native_stderr_hidden():
            os.write(2, b"chatter")
        os.write(2, b"message")
    assert capfd.readouterr().err.endswith("message")
    assert "chatter" in caplog.text


def test_exceptions_pass(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), native_stderr_hidden():
        _ = 1 / 0
    os.write(2, b"back")
    assert capfd.readouterr().err == "back"


def test_a_read_only_system_is_no_obstacle(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with native_stderr_hidden():
        os.write(2, b"chatter")
    assert capfd.readouterr().err == ""


def test_threads_that_overlap_bring_it_back(capfd: pytest.CaptureFixture[str]) -> None:
    first_in, second_in, first_out = (threading.Event() for _ in range(3))

    def first() -> None:
        with native_stderr_hidden():
            first_in.set()
            second_in.wait(10)
        first_out.set()

    thread = threading.Thread(target=first)
    thread.start()
    first_in.wait(10)
    with native_stderr_hidden():
        second_in.set()
        assert first_out.wait(10)
        os.write(2, b"chatter")
    thread.join()
    os.write(2, b"back")
    assert capfd.readouterr().err == "back"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("café 猫.jpg", "café 猫.jpg"),
        ("a\x1b[31m\n\t\x9b", r"a\x1b[31m\n\t\x9b"),
        ("\udcff.jpg", r"\udcff.jpg"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
