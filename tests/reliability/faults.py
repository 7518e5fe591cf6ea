"""Runs whose disk fails, fills up or ends, and which are then continued.

As a script it lets every one of the first writes fail, for every format:

    python -m tests.reliability.faults --writes 50
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from tests.reliability.crash import FORMATS, Case, make_images, undisturbed, weights_in

ERRORS = ("EIO", "ENOSPC")
# Stopped at writes alone, which needs -f, a process is hardly slower than by itself.
_STRACE = ("strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=write,pwrite64")


def writes(case: Case) -> list[int]:
    """The numbers of a run's writes to its output, among all that it does.

    LiteRT tells of itself in some forty others, which are nobody's loss.
    """
    log = case.folder.with_suffix(".strace")
    command = [*_STRACE, "-y", "-o", str(log), "-e", "signal=none", *case.command]
    subprocess.run([*command, "--workers", "0"], capture_output=True, timeout=300, check=False)
    text = log.read_text(encoding="utf-8", errors="replace")
    process = text.split(maxsplit=1)[0]  # Its threads write too, and are counted by themselves.
    lines = [line for line in text.splitlines() if line.startswith(f"{process} ")]
    shutil.rmtree(case.folder)
    return [number for number, line in enumerate(lines, 1) if f"<{case.folder}/" in line]


def fail_write(case: Case, error: str, number: int, reference: dict[str, bytes]) -> int:
    """Lets one of a run's `writes` fail, then continues; the exit code.

    In one process, so that files are written to and no pipes, which do not fail so.
    """
    inject = f"inject=write,pwrite64:error={error}:when={number}"
    command = [*_STRACE, "-o", "/dev/null", "-e", inject, *case.command, "--workers", "0"]
    done = subprocess.run(command, capture_output=True, timeout=300, check=False)
    assert done.returncode in (3, 6), (done.returncode, done.stderr)
    assert b"Traceback" not in done.stderr, done.stderr
    _continue(case, reference)
    return done.returncode


def limit_files(case: Case, size: int, reference: dict[str, bytes]) -> None:
    """Lets no file grow beyond a size (the write that crosses it is short), then continues."""
    process = case.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 6, (process.returncode, errors)
    assert b"File too large" in errors, errors
    _continue(case, reference)


def _continue(case: Case, reference: dict[str, bytes]) -> None:
    case.check_valid()
    case.finish()
    assert case.files() == reference
    shutil.rmtree(case.folder)


def main() -> None:
    """Breaks writes, and prints a line for each format."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writes", type=int, default=50)
    parser.add_argument("--images", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = weights_in(folder)
        make_images(folder / "images", options.images)
        for format in FORMATS:
            case = Case(format, weights, folder / "images", folder / "work" / format)
            reference = undisturbed(case).files
            codes = Counter(
                (error, fail_write(case, error, number, reference))
                for number in writes(case)[: options.writes]
                for error in ERRORS
            )
            told = ", ".join(f"{n} x {error}: exit {code}" for (error, code), n in codes.items())
            print(f"{format}: {told}; continued, all byte for byte the same", flush=True)


if __name__ == "__main__":
    main()
