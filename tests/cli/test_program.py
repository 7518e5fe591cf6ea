"""How the program ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_SCRIPT = """
from inceptioncli.images import decode

class TooClumsyError(Exception):  # It can't be pickled.
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")

def broken(*arguments):
    raise TooClumsyError(1, 2)

decode.decode = broken

if __name__ == "__main__":
    from inceptioncli.cli import main
    main()
"""


@pytest.fixture
def with_a_bug(tmp_path: Path, small_weights: Path, pictures: Path) -> Any:
    """Runs `classify` on pictures, with a bug where they are decoded, in this process or others."""
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT, encoding="utf-8")

    def with_a_bug(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(script), "classify", "-w", str(small_weights), *options]
        return subprocess.run(
            [*command, str(pictures)], capture_output=True, text=True, check=False
        )

    return with_a_bug


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_bug_is_one_line_and_a_traceback_under_debug(with_a_bug: Any, workers: str) -> None:
    done = with_a_bug("-j", workers)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: a bug of inceptioncli: ")
    assert done.stderr.endswith("1 and 2; --debug shows where\n")
    assert done.stderr.count("\n") == 1
    shown = with_a_bug("-j", workers, "--debug")
    assert shown.returncode == 1
    assert "Traceback (most recent call last)" in shown.stderr
    assert "in broken" in shown.stderr
    assert "TooClumsyError" in shown.stderr
