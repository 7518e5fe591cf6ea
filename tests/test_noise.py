from __future__ import annotations

import logging
import os
import tempfile

import pytest

from inceptioncli.noise import native_stderr_hidden
from inceptioncli.terminal import printable


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

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with native_stderr_hidden():
        os.write(2, b"chatter")
    assert capfd.readouterr().err == ""


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
