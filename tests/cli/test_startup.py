"""What a command imports, looked up in the process that ran it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Run

HEAVY = {"tensorflow", "keras", "numpy", "PIL", "ai_edge_litert", "h5py", "safetensors", "pooch"}

_PROBE = """
import sys
from inceptioncli.cli import main
sys.argv = ["inceptioncli", *sys.argv[1:]]
try:
    main()
finally:
    print("\\nimported:", *{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""


def imported_by(*arguments: str | Path) -> set[str]:
    command = [sys.executable, "-c", _PROBE, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.rpartition("imported:")[2].split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["classify", "--help"],
        ["model"],
        ["model", "--json"],
        ["model", "--layers"],
        ["weights", "--help"],
        ["weights", "list"],
    ],
)
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    assert imported_by(*arguments) & HEAVY == set()


def test_listing_what_is_compiled_imports_nothing_heavy(small_weights: Path) -> None:
    assert imported_by("weights", "list") & HEAVY == set()


def test_a_warm_classify_never_imports_tensorflow(
    small_weights: Path, pictures: Path, run: Run
) -> None:
    arguments = ["classify", "--device", "cpu", "-w", small_weights, "-j", "0", pictures]
    assert run(*arguments).returncode == 0
    modules = imported_by(*arguments)
    assert "ai_edge_litert" in modules
    heavy = {"tensorflow", "keras", "h5py", "safetensors", "pooch", "requests", "pyarrow"}
    assert modules & heavy == set()
    with_workers = imported_by(*arguments[:-3], pictures)
    assert with_workers & (heavy | HEAVY) == set()


def test_the_package_imports_nothing_heavy_by_itself() -> None:
    code = "import sys, inceptioncli; print(*{n.partition('.')[0] for n in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & HEAVY == set()
