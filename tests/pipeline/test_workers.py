from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from inceptioncli.errors import InceptionError
from inceptioncli.pipeline.recipe import Input
from inceptioncli.pipeline.workers import in_batches, map_in_workers
from inceptioncli.records import Failure
from tests.pipeline import jobs


def answers(paths: Iterable[str], **options: Any) -> list[Any]:
    """Codes of failures, else answers; checks that every input has its own."""
    paths = list(paths)
    options = {"count": 2, "timeout": 20, "ahead": 16, **options}
    given = list(map_in_workers(map(Input, paths), jobs.start, **options))
    assert [path for path, _ in given] == paths
    return [answer.code if isinstance(answer, Failure) else answer for _, answer in given]


def test_answers_come_in_input_order() -> None:
    paths = [f"sleep {number % 3 / 50}" for number in range(40)]
    assert answers(paths, count=3) == [f"did {path}" for path in paths]
    assert answers([]) == []


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL])
def test_a_crash_costs_one_input(number: int) -> None:
    paths = ["a", "b", f"signal {int(number)}", *"cdefgh"]
    assert answers(paths) == [
        "did a", "did b", "decoder_crashed", *(f"did {path}" for path in "cdefgh"),
    ]  # fmt: skip


def test_who_is_killed_from_outside_has_another_try(tmp_path: Path) -> None:
    kill, term = int(signal.SIGKILL), int(signal.SIGTERM)
    once = [f"once {kill} {tmp_path / 'killed'}", f"once {term} {tmp_path / 'terminated'}"]
    twice = [f"signal {kill}", f"signal {term}", "exit 7"]
    assert answers(["a", *once, "b", *twice, "c"]) == [
        "did a", *(f"did {path}" for path in once), "did b",
        "out_of_memory", "decoder_crashed", "decoder_crashed", "did c",
    ]  # fmt: skip


def test_a_hang_costs_one_input_and_its_time() -> None:
    begun = time.monotonic()
    paths = ["a", "loop", *"bcdefgh"]
    assert answers(paths, timeout=1)[1] == "timeout"
    assert answers(["sleep 0.6"] * 6, timeout=1, count=1) == ["did sleep 0.6"] * 6
    assert time.monotonic() - begun < 20


def test_time_when_all_of_us_are_stopped_is_not_counted() -> None:
    """Ctrl-Z for longer than the timeout."""
    code = (
        "from tests.pipeline.test_workers import answers\n"
        "if __name__ == '__main__': print(answers(['a', 'sleep 1', 'b'], timeout=2.5, count=1))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    time.sleep(1.2)
    os.killpg(process.pid, signal.SIGSTOP)
    time.sleep(4)
    os.killpg(process.pid, signal.SIGCONT)
    assert process.communicate(timeout=30)[0] == "['did a', 'did sleep 1', 'did b']\n"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_too_much_memory_costs_one_input() -> None:
    assert answers(["a", "memory", "b"]) == ["did a", "out_of_memory", "did b"]


def test_a_bug_comes_out_with_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        answers(["a", "bug", "b"])
    assert "in answer" in str(caught.value.__cause__)


def test_workers_that_never_begin_are_an_error() -> None:
    with pytest.raises(InceptionError, match=r"SIGKILL.*memory.*__main__"):
        list(map_in_workers(map(Input, "ab"), jobs.start_badly, count=2, timeout=9, ahead=9))


def test_workers_killed_while_they_send_cost_nothing() -> None:
    """A pipe for all workers would be cut off, and the run stuck (as pebble's is)."""
    paths = ["pid", *["large"] * 400]
    rng = random.Random(0)
    kills = 0
    for number, (_, answer) in enumerate(
        map_in_workers(map(Input, paths), jobs.start, count=2, timeout=20, ahead=8)
    ):
        assert number == 0 or answer == "x" * 5_000_000
        if number % 50 == 10:
            time.sleep(rng.random() / 50)
            workers = psutil.Process().children()
            workers = [
                worker for worker in workers if "resource_tracker" not in str(worker.cmdline())
            ]
            rng.choice(workers).kill()
            kills += 1
    assert (number, kills) == (400, 8)


def test_content_that_only_the_parent_has() -> None:
    inputs = [
        Input("a"),
        Input("-", bytes(3_000_000)),
        Input("large"),
        Input("-", bytes(2_000_000)),
    ]
    inputs += [Input("gone", failure=Failure("not_found", "no")), Input("b")]
    given = [
        answer
        for _, answer in map_in_workers(iter(inputs), jobs.start, count=1, timeout=20, ahead=16)
    ]
    assert given[1:4] == ["3000000 bytes", "x" * 5_000_000, "2000000 bytes"]
    assert given[4:] == [Failure("not_found", "no"), "did b"]


def test_a_slow_source_holds_up_no_answers() -> None:
    more = threading.Event()

    def inputs() -> Iterator[Input]:
        yield Input("a")
        yield Input("b")
        assert more.wait(30)
        yield Input("c")

    given = map_in_workers(inputs(), jobs.start, count=2, timeout=20, ahead=16)
    assert [next(given)[1], next(given)[1]] == ["did a", "did b"]
    more.set()
    assert [answer for _, answer in given] == ["did c"]


def test_an_error_of_the_source_comes_out() -> None:
    def inputs() -> Iterator[Input]:
        yield Input("a")
        raise LookupError("source")

    with pytest.raises(LookupError, match="source"):
        list(map_in_workers(inputs(), jobs.start, count=2, timeout=20, ahead=16))


def test_inputs_are_taken_as_they_are_needed() -> None:
    taken = 0

    def inputs() -> Iterator[Input]:
        nonlocal taken
        while taken < 1_000_000:
            taken += 1
            yield Input("a")

    given = map_in_workers(inputs(), jobs.start, count=2, timeout=20, ahead=16)
    for _ in range(5):
        next(given)
    assert taken <= 5 + 2 * 16 + 2
    given.close()


def test_native_noise_stays_off_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    assert answers(["noise"]) == ["did noise"]
    assert capfd.readouterr().err == ""


def test_workers_end_with_their_parent() -> None:
    code = (
        "import os, signal\n"
        "from inceptioncli.pipeline.workers import Input, map_in_workers\n"
        "from tests.pipeline import jobs\n"
        "if __name__ == '__main__':\n"
        "    inputs = map(Input, ['pid', 'pid', *['loop'] * 9])\n"
        "    given = map_in_workers(inputs, jobs.start, count=2, timeout=99, ahead=9)\n"
        "    print(next(given)[1], next(given)[1], flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 10
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, pids))


def test_batches_are_what_is_there() -> None:
    more = threading.Event()

    def items() -> Iterator[int]:
        yield from range(10)
        assert more.wait(30)
        yield 10

    batches = in_batches(items(), lambda: 4, lambda: None)
    given: list[int] = []
    sizes = []
    while len(given) < 10:
        batch = next(batches)
        sizes.append(len(batch))
        given += batch
    assert max(sizes) <= 4
    more.set()
    assert [*given, *(item for batch in batches for item in batch)] == list(range(11))
