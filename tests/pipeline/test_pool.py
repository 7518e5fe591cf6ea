from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from inceptioncli.errors import ImageError, InceptionError
from inceptioncli.images.source import Content, File, Source, Unusable
from inceptioncli.pipeline import pool as pools
from inceptioncli.pipeline.ordered import Ordered
from inceptioncli.pipeline.pool import Pool
from inceptioncli.records import Failure, FileStamp, Record
from tests.pipeline import jobs
from tests.processes import start

Start = Callable[[], jobs.Answer]


def in_order(
    sources: Iterable[Source],
    *,
    start: Start = jobs.start,
    count: int = 2,
    timeout: float = 20,
    ahead: int = 16,
    most_bytes: int = 1 << 30,
) -> Generator[tuple[str, Any], None, None]:
    """Names and answers of the sources, in their order, from a pool of their own."""
    with Pool(start, count) as pool:
        yield from ordered(pool, sources, timeout=timeout, ahead=ahead, most_bytes=most_bytes)


def ordered(
    pool: Pool,
    sources: Iterable[Source],
    *,
    timeout: float = 20,
    ahead: int = 16,
    most_bytes: int = 1 << 30,
) -> Iterator[tuple[str, Any]]:
    answers = Ordered(
        pool, sources, "task", timeout=timeout, ahead=ahead, most_bytes=most_bytes, nbytes=0
    )
    with contextlib.closing(answers):
        while True:
            found = answers.next(1)
            if answers.ended:
                return
            if found is not None:
                yield found


def answers(paths: Iterable[str], **options: Any) -> list[Any]:
    """Codes of failures, else answers; checks that every source has its own."""
    paths = list(paths)
    given = list(in_order(jobs.sources(paths), **options))
    assert [path for path, _ in given] == paths
    return [answer.code if isinstance(answer, Record) else answer for _, answer in given]


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


def test_the_record_of_a_dead_worker_speaks_of_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    before = FileStamp.of(path.stat())
    with Pool(jobs.start, 1) as pool:
        busy = pool.submit(next(jobs.sources(["sleep 0.3"])), None, 20)
        futures = [
            pool.submit(Source(name, File(str(path))), None, timeout)
            for name, timeout in ((f"signal {int(signal.SIGSEGV)}", 20), ("loop", 0.5))
        ]
        path.write_bytes(b"\x89PNG\r\n\x1a\n and more")
        assert busy.result(20) == "did sleep 0.3"
        records = [future.result(20) for future in futures]
    assert [record.code for record in records] == ["decoder_crashed", "timeout"]
    assert [record.file for record in records] == [before, before]


@pytest.mark.slow
def test_a_hang_costs_one_input_and_its_time() -> None:
    begun = time.monotonic()
    paths = ["a", "loop", *"bcdefgh"]
    assert answers(paths, timeout=1)[1] == "timeout"
    assert answers(["sleep 0.6"] * 6, timeout=1, count=1) == ["did sleep 0.6"] * 6
    assert time.monotonic() - begun < 20


@pytest.mark.slow
def test_time_when_all_of_us_are_stopped_is_not_counted() -> None:
    """Ctrl-Z for longer than the timeout."""
    code = (
        "from tests.pipeline.test_pool import answers\n"
        "if __name__ == '__main__': print(answers(['a', 'sleep 1', 'b'], timeout=2.5, count=1))"
    )
    process = start(
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
        list(in_order(jobs.sources("ab"), start=jobs.start_badly))


@pytest.mark.slow
def test_workers_killed_while_they_send_cost_nothing() -> None:
    """A pipe for all workers would be cut off, and the run stuck (as pebble's is)."""
    paths = ["pid", *["large"] * 400]
    rng = random.Random(0)
    kills = 0
    for number, (_, answer) in enumerate(in_order(jobs.sources(paths), ahead=8)):
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
    sources = [
        Source("a", jobs.Nothing()),
        Source("-", Content(bytes(3_000_000))),
        Source("large", jobs.Nothing()),
        Source("-", Content(bytes(2_000_000))),
        Source("gone", Unusable(Failure("not_found", "no"))),
        Source("b", jobs.Nothing()),
    ]
    given = [answer for _, answer in in_order(sources, count=1)]
    assert given[1:4] == ["3000000 bytes", "x" * 5_000_000, "2000000 bytes"]
    assert given[4:] == [Record("gone", failure=Failure("not_found", "no")), "did b"]


def test_what_is_known_to_be_a_failure_needs_no_worker() -> None:
    failure = Failure("not_found", "no")
    with Pool(jobs.start_badly, 1) as pool:
        source = Source("x" * 10_000_000, Unusable(failure))
        expected = [Record(source.path, failure=failure)] * 100
        assert [answer for _, answer in ordered(pool, [source] * 100)] == expected


def test_a_slow_source_holds_up_no_answers() -> None:
    more = threading.Event()

    def sources() -> Iterator[Source]:
        yield from jobs.sources("ab")
        assert more.wait(30)
        yield from jobs.sources("c")

    given = in_order(sources())
    assert [next(given)[1], next(given)[1]] == ["did a", "did b"]
    more.set()
    assert [answer for _, answer in given] == ["did c"]


def test_an_error_of_the_source_comes_out() -> None:
    def sources() -> Iterator[Source]:
        yield from jobs.sources("a")
        raise LookupError("source")

    given = in_order(sources())
    assert next(given) == ("a", "did a")
    with pytest.raises(LookupError, match="source"):
        list(given)


def test_sources_are_taken_as_they_are_needed() -> None:
    taken = 0

    def sources() -> Iterator[Source]:
        nonlocal taken
        while taken < 1_000_000:
            taken += 1
            yield from jobs.sources("a")

    given = in_order(sources(), ahead=16)
    for _ in range(5):
        next(given)
    assert taken <= 5 + 16 + 2
    given.close()


def test_what_waits_in_memory_is_bounded_in_bytes() -> None:
    held: list[int] = []
    given = 0

    def sources() -> Iterator[Source]:
        for _ in range(40):
            held.append(len(held) - given)
            yield Source("-", Content(bytes(1_000_000)))

    for _, answer in in_order(sources(), most_bytes=3_500_000):
        assert answer == "1000000 bytes"
        given += 1
    assert given == 40
    assert max(held) <= 3 + 2  # one more is on its way in, and one on its way out


def test_a_pool_lasts_and_has_room_for_many_at_once() -> None:
    with Pool(jobs.start, 2) as pool:
        pids = set()
        for _ in range(3):
            pids |= {answer for _, answer in ordered(pool, jobs.sources(["pid"] * 9))}
        futures = [pool.submit(next(jobs.sources(["task"])), task, 20) for task in (1, 1, [2], "3")]
        assert [future.result(20) for future in futures] == [1, 1, [2], "3"]
        results: dict[int, list[Any]] = {}

        def use(number: int) -> None:
            paths = [f"{number} {place}" for place in range(50)]
            results[number] = [answer for _, answer in ordered(pool, jobs.sources(paths))]

        threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number, found in results.items():
            assert found == [f"did {number} {place}" for place in range(50)]
        pids |= {answer for _, answer in ordered(pool, jobs.sources(["pid"] * 9))}
    assert len(pids) <= 2
    with pytest.raises(InceptionError, match="closed"):
        pool.submit(next(jobs.sources("a")), None, 20).result(20)


def test_large_tasks_that_take_turns_with_large_answers() -> None:
    tasks = ["a" * 1_000_000, "b" * 1_000_000]
    with Pool(jobs.start, 1) as pool:
        list(ordered(pool, [Source("a", jobs.Clock()) for _ in range(30)]))  # It is given many.
        futures = [
            pool.submit(source, tasks[number % 2], 20)
            for number, source in enumerate(jobs.sources(["large", "task"] * 20))
        ]
        found = [future.result(60) for future in futures]
    assert found[0] == "x" * 5_000_000
    assert found[1] == tasks[1]


def test_what_can_not_be_received_costs_itself() -> None:
    with Pool(jobs.start, 1) as pool:
        sources = [*jobs.sources("a"), Source("-", jobs.Unreceivable()), *jobs.sources("b")]
        futures = [pool.submit(source, None, 20) for source in sources]
        assert [futures[0].result(60), futures[2].result(60)] == ["did a", "did b"]
        assert futures[1].result(60).code == "decoder_crashed"


def test_a_pool_that_nobody_has_any_more_ends_its_workers() -> None:
    pool = Pool(jobs.start, 1)
    pid = int(pool.submit(next(jobs.sources(["pid"])), None, 20).result(20))
    pool.close(wait=False)
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not psutil.pid_exists(pid)


def test_a_program_that_ends_in_the_middle_ends_quietly() -> None:
    code = (
        "from tests.pipeline import jobs\n"
        "from tests.pipeline.test_pool import Pool\n"
        "if __name__ == '__main__':\n"
        "    pool = Pool(jobs.start, 2)\n"
        "    sources = list(jobs.sources(['a', *['sleep 0.2'] * 50]))\n"
        "    futures = [pool.submit(source, None, 20) for source in sources]\n"
        "    futures[0].result(20)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_bug_in_one_answer_leaves_the_pool_to_others() -> None:
    with Pool(jobs.start, 1) as pool:
        paths = ["a", "bug", "clumsy", "b"]
        futures = [pool.submit(source, None, 20) for source in jobs.sources(paths)]
        assert futures[0].result(20) == "did a"
        assert isinstance(futures[1].exception(20), ZeroDivisionError)
        assert str(futures[2].exception(20)) == "TooClumsyError: 1 and 2"
        assert futures[3].result(20) == "did b"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("speechless", "SpeechlessError"),
        ("forgetful", "ForgetfulError: one and more"),
        ("panic", "PanicError: index out of bounds"),
        ("lambda", "lambda"),
    ],
)
def test_a_bug_that_can_not_be_pickled_is_no_images_fault(path: str, told: str) -> None:
    with Pool(jobs.start, 1) as pool:
        futures = [pool.submit(source, None, 20) for source in jobs.sources([path, "pid", "b"])]
        error = futures[0].exception(60)
        assert isinstance(error, Exception)
        assert told in str(error)
        assert "in answer" in str(error.__cause__) or path == "lambda"
        assert futures[2].result(20) == "did b"


def test_an_image_error_keeps_its_arguments() -> None:
    (answer,) = (answer for _, answer in in_order(jobs.sources(["image"])))
    assert answer == Record(
        "image", failure=Failure("truncated", "too short"), file=FileStamp(3, "then")
    )
    error = ImageError("truncated", "too short", FileStamp(3, "then"))
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.args, vars(copy)) == (error.args, vars(error))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_an_answer_that_does_not_fit_into_memory_costs_itself() -> None:
    assert answers(["a", "immense", "b"]) == ["did a", "out_of_memory", "did b"]


def test_what_is_given_up_is_not_done(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    with Pool(jobs.start, 1) as pool:
        busy = [pool.submit(source, None, 20) for source in jobs.sources(["sleep 0.3"] * 3)]
        late = pool.submit(next(jobs.sources([f"once 0 {flag}"])), None, 20)
        assert late.cancel()
        assert [future.result(20) for future in busy] == ["did sleep 0.3"] * 3
        assert pool.submit(next(jobs.sources("a")), None, 20).result(20) == "did a"
    assert not flag.exists()


def test_a_worker_that_takes_too_long_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_START_S", 0.5)
    with pytest.raises(InceptionError, match="end before they begin"):
        list(in_order(jobs.sources("ab"), start=jobs.start_never))


def test_sources_are_read_while_others_are_worked_on() -> None:
    sources = [Source("clock", jobs.Clock()) for _ in range(20)]
    times = [answer for _, answer in in_order(sources, count=1)]
    early = [read < answered for (_, answered), (read, _) in itertools.pairwise(times[1:])]
    assert sum(early) > len(early) / 2


def test_a_worker_that_waits_for_what_it_reads_is_given_more() -> None:
    with Pool(jobs.start, 1) as pool:
        list(ordered(pool, jobs.sources("abc")))
        (worker,) = pool._workers
        assert worker.depth == 2
        list(ordered(pool, [Source("a", jobs.Clock()) for _ in range(40)]))
        assert worker.depth > 4


def test_native_noise_stays_off_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    assert answers(["noise"]) == ["did noise"]
    assert capfd.readouterr().err == ""


def test_workers_end_with_their_parent() -> None:
    code = (
        "import os, signal\n"
        "from tests.pipeline import jobs\n"
        "from tests.pipeline.test_pool import in_order\n"
        "if __name__ == '__main__':\n"
        "    given = in_order(jobs.sources(['pid', 'pid', *['loop'] * 9]), timeout=99)\n"
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
