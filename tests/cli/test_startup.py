"""What a command imports, looked up in the process that ran it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.processes import start

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


_INTERRUPTED = """
import os, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
from inceptioncli.cli import main
threading.Timer({seconds}, os.kill, (os.getpid(), signal.SIGINT)).start()
sys.argv = ["inceptioncli", "classify", "-w", "demo", "-"]
main()
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_an_interrupt_at_any_moment_of_the_start_is_a_message() -> None:
    """From the first line of ours; what Python says of its own start is not in our hands."""
    for milliseconds in range(1, 61, 5):
        command = [sys.executable, "-c", _INTERRUPTED.format(seconds=milliseconds / 1000)]
        # The picture never comes: at the latest it is waited for.
        process = start(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stderr is not None
        assert process.stderr.read().split() == [b"interrupted"], milliseconds
        # Where the exception passes through Python's `eval`, Python ends itself by the signal in
        # the end, which shells call 130.
        assert process.wait(60) in (130, -signal.SIGINT)


_LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (200_000 << 10, 200_000 << 10))
from inceptioncli.cli import main
sys.argv = ["inceptioncli", *sys.argv[1:]]
main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
@pytest.mark.parametrize("workers", ["0", "1"])
def test_too_little_memory_to_start_is_a_message(
    small_weights: Path, pictures: Path, workers: str
) -> None:
    command = [sys.executable, "-c", _LIMITED, "classify", "--device", "cpu", "-j", workers]
    command += ["-w", str(small_weights), str(pictures)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    # How far it comes depends on what the libraries here take; some pictures may fail for it, too.
    assert done.returncode in (1, 3, 4)
    assert "memory" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_package_imports_nothing_heavy_by_itself() -> None:
    code = "import sys, inceptioncli; print(*{n.partition('.')[0] for n in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & HEAVY == set()
