"""Downloads from a server that misbehaves; the final name holds the truth or nothing."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import filelock
import numpy as np
import pytest

from inceptioncli.errors import OutputError, WeightsError
from inceptioncli.weights import collection, download, registry
from inceptioncli.weights.registry import NamedWeights
from tests.processes import start
from tests.weights.server import Server, serving

CONTENT = np.random.default_rng(0).bytes(3_000_000)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(CONTENT) as running:
        yield running


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


@pytest.mark.parametrize("behaviour", ["right", "slow", "flaky"])
def test_the_published_file_arrives(server: Server, tmp_path: Path, behaviour: str) -> None:
    path = download.download(server.publish(behaviour), tmp_path)
    assert path == tmp_path / "weights.h5"
    assert path.read_bytes() == CONTENT
    assert left_in(tmp_path) == ["weights.h5"]


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("wrong", r"not the published file \(expected sha256:[0-9a-f]{64} but got [0-9a-f]{64}\)"),
        ("short", r"expected 3,000,000 bytes but got 1,500,000"),
        ("long", r"expected 3,000,000 bytes but got 3,000,004"),
        ("dropped", r"cannot download imagenet .*broke off"),
        ("missing", r"cannot download imagenet .*HTTP 404"),
    ],
)
def test_anything_else_is_refused_and_leaves_nothing(
    server: Server, tmp_path: Path, behaviour: str, message: str
) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        download.download(server.publish(behaviour), tmp_path)
    assert "\n" not in str(caught.value)
    assert left_in(tmp_path) == []


def test_a_silent_server_times_out(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "READ_TIMEOUT_SECONDS", 0.3)
    with pytest.raises(WeightsError, match="no answer in time"):
        download.download(server.publish("silent"), tmp_path)
    assert left_in(tmp_path) == []


def test_no_network(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    weights = NamedWeights(
        "imagenet", f"http://127.0.0.1:{port}/x.h5", "0" * 64, 5, "keras", 1000, ""
    )
    with pytest.raises(WeightsError, match=r"no connection.*give the path of a file"):
        download.download(weights, tmp_path)


def test_the_proxy_of_the_environment_is_used(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    elsewhere = server.publish("right")._replace(url="http://weights.invalid/right/weights.h5")
    path = download.download(elsewhere, tmp_path)
    assert path.read_bytes() == CONTENT
    # A proxy is asked for the whole address, whose second part is empty: "http:", "", ...
    assert server.requests == {"": 1}


def test_a_bad_ca_bundle_is_no_fault_of_the_cache(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nowhere.pem"))
    weights = server.publish("right")._replace(url="https://127.0.0.1:1/x.h5")
    with pytest.raises(WeightsError, match=r"nowhere\.pem; check REQUESTS_CA_BUNDLE"):
        download.download(weights, tmp_path)


def test_a_damaged_copy_is_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights.h5").write_bytes(CONTENT[:1000])
    download.download(server.publish("right"), tmp_path)
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="INCEPTIONCLI_CACHE"):
        download.download(server.publish("right"), tmp_path / "file")


def _download_in_process(weights: NamedWeights, folder: Path) -> None:
    assert download.download(weights, folder).read_bytes() == CONTENT


@pytest.mark.slow
def test_eight_processes_end_with_one_file(server: Server, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_download_in_process, args=(server.publish("slow"), tmp_path))
        for _ in range(8)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8
    assert left_in(tmp_path) == ["weights.h5"]
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT
    assert server.requests["slow"] == 1


def test_killed_in_the_middle_nothing_has_the_final_name(server: Server, tmp_path: Path) -> None:
    weights = server.publish("slow")
    code = (
        "import sys; from pathlib import Path; from inceptioncli.weights import download, registry;"
        f"download.download(registry.NamedWeights(*{tuple(weights)!r}), Path(sys.argv[1]))"
    )
    process = start([sys.executable, "-c", code, str(tmp_path)])
    deadline = time.monotonic() + 30
    while not server.requests["slow"] and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "weights.h5").exists()
    assert left_in(tmp_path) != []
    assert download.download(weights, tmp_path).read_bytes() == CONTENT
    assert left_in(tmp_path) == ["weights.h5"]


# What is left behind


def test_what_kills_left_is_removed(tmp_path: Path) -> None:
    left = {
        ".weights.h5.0a1b2c3d.partial",
        "tmpabcd_123",  # pooch's, by earlier versions
        ".gone.h5.lock",
        ".gone.h5.abcdefgh.partial",
    }
    ours = {"weights.h5", ".weights.h5.lock", "tmp", "tmpabcd_123.h5", ".hidden", "notes.partial"}
    for name in left | ours:
        (tmp_path / name).touch()
    assert {path.name for path in download.remove_leftovers(tmp_path)} == left
    assert {path.name for path in tmp_path.iterdir()} == ours
    assert download.remove_leftovers(tmp_path) == []
    assert download.remove_leftovers(tmp_path / "nowhere") == []


def test_a_download_under_way_is_left_alone(tmp_path: Path) -> None:
    for name in (".weights.h5.0a1b2c3d.partial", "tmpabcd_123"):
        (tmp_path / name).touch()
    with filelock.FileLock(tmp_path / ".weights.h5.lock"):
        assert download.remove_leftovers(tmp_path) == []
    assert len(download.remove_leftovers(tmp_path)) == 3


# The collection: what is here already is used.


@pytest.fixture
def published(server: Server, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> NamedWeights:
    weights = server.publish("right")
    monkeypatch.setitem(registry.NAMED, "imagenet", weights)
    return weights


def test_a_download_is_kept_and_found_again(
    published: NamedWeights, server: Server, own_cache: Path
) -> None:
    assert collection.choose("imagenet").path is None
    path = collection.fetch(collection.choose("imagenet"))
    assert path.is_relative_to(own_cache)
    assert collection.fetch(collection.choose("imagenet"), offline=True) == path
    assert server.requests["right"] == 1
    assert collection.remove(published) == [path]
    assert collection.local_copy(published) is None


def test_kerass_own_copy_is_used_if_it_is_sound(
    published: NamedWeights, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    copy = tmp_path / "keras" / "models" / "weights.h5"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(bytes(len(CONTENT)))
    assert collection.choose("imagenet").path is None
    copy.write_bytes(CONTENT)
    assert collection.fetch(collection.choose("imagenet"), offline=True) == copy
    assert server.requests["right"] == 0


def test_offline_is_obeyed(published: NamedWeights, server: Server) -> None:
    with pytest.raises(WeightsError, match=r"--offline.*inceptioncli weights download imagenet"):
        collection.fetch(collection.choose("imagenet"), offline=True)
    assert server.requests["right"] == 0


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(WeightsError, match="did you mean 'imagenet-slim'"):
        collection.choose("imagenet_slim")
    with pytest.raises(WeightsError, match=r"models/mine\.h5: no such weight file"):
        collection.choose("models/mine.h5")


def test_messages_go_to_the_log(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="inceptioncli"):
        download.download(server.publish("right"), tmp_path)
    assert "downloading imagenet (3 MB) ..." in caplog.text
