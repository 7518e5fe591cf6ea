from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from inceptioncli.weights import formats, registry
from tests.conftest import Run
from tests.oracles.slim import SlimFiles
from tests.weights.server import serving

pytestmark = pytest.mark.slow


def test_list_names_what_there_is(run: Run, own_cache: Path) -> None:
    done = run("weights", "list")
    assert done.returncode == 0
    for name in registry.NAMED:
        assert name in done.stdout
    assert done.stdout.count("not here") == len([w for w in registry.NAMED.values() if w.url])
    assert "in the package" in done.stdout
    assert str(own_cache) in done.stdout
    assert "COMPILED" not in done.stdout


def test_list_names_what_is_compiled(run: Run, small_weights: Path, session_cache: Path) -> None:
    done = run("weights", "list")
    assert (done.returncode, done.stderr) == (0, "")
    named, downloads, compiled, folder = done.stdout.rstrip("\n").split("\n\n")
    assert named.startswith("NAME ")
    assert downloads == f"Downloads: {session_cache / 'weights'}"
    assert compiled.startswith("COMPILED FROM ")
    rows = [line.split() for line in compiled.splitlines()[1:]]
    (megabytes,) = (row[2] for row in rows if row[:2] == [small_weights.name, "float32"])
    assert 1 <= int(megabytes) <= 10
    assert folder == f"Compiled: {session_cache / 'compiled'}"


def test_the_registry_is_what_was_published() -> None:
    """Sizes and hashes as published (FACTS of the project, from the publishers' own pages)."""
    assert {
        (w.name, w.bytes, w.sha256[:8], w.classes) for w in registry.NAMED.values() if w.url
    } == {
        ("imagenet", 96_112_376, "00c9ea4e", 1000),
        ("imagenet-slim", 88_668_554, "7045b72a", 1001),
    }


def test_convert_slim_to_one_file(
    run: Run, narrow_slim_files: SlimFiles, pictures: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("ant\nbee\ncat\ndog\nelk\n")
    target = tmp_path / "mine.safetensors"
    done = run("weights", "convert", narrow_slim_files.v2, target, "--labels", labels)
    assert done.returncode == 0, done.stderr
    with safe_open(target, "numpy") as file:
        metadata = {name: json.loads(value) for name, value in file.metadata().items()}
        np.testing.assert_array_equal(
            file.get_tensor("InceptionV3/Logits/Conv2d_1c_1x1/weights"),
            formats.read(narrow_slim_files.v1).arrays["InceptionV3/Logits/Conv2d_1c_1x1/weights"],
        )
    assert [entry["label"] for entry in metadata["classes"]] == ["ant", "bee", "cat", "dog", "elk"]
    assert metadata["source"] == narrow_slim_files.v2.name
    assert len(metadata["source_sha256"]) == 64
    both = [
        run("classify", "--device", "cpu", "-f", "jsonl", "-w", weights, pictures).stdout
        for weights in (narrow_slim_files.v2, target)
    ]
    for before, after in zip(*(text.splitlines() for text in both), strict=True):
        ours, theirs = json.loads(after)["predictions"], json.loads(before)["predictions"]
        assert [p["index"] for p in ours] == [p["index"] for p in theirs]
        assert [p["probability"] for p in ours] == [p["probability"] for p in theirs]
        assert {p["label"] for p in ours} == {"ant", "bee", "cat", "dog", "elk"}

    again = run("weights", "convert", narrow_slim_files.v2, target)
    assert again.returncode == 6
    assert "--overwrite" in again.stderr
    assert run("weights", "convert", "--overwrite", narrow_slim_files.v2, target).returncode == 0
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


def test_convert_refuses(run: Run, small_weights: Path, tmp_path: Path) -> None:
    wrong = run("weights", "convert", small_weights, tmp_path / "x.h5")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    done = run("weights", "convert", small_weights, nowhere / "x.safetensors")
    assert done.returncode == 6
    missing = run("weights", "convert", tmp_path / "no.h5", tmp_path / "x.safetensors")
    assert missing.returncode == 5
    assert not (tmp_path / "x.safetensors").exists()


def test_verify(run: Run, small_weights: Path, published_file: Path, tmp_path: Path) -> None:
    done = run("weights", "verify", small_weights, published_file)
    assert done.returncode == 0
    assert done.stdout.count("sound") == 2
    bad = tmp_path / "bad.h5"
    bad.write_bytes(published_file.read_bytes()[:1_000_000])
    done = run("weights", "verify", bad, small_weights)
    assert done.returncode == 5
    assert done.stderr.startswith(f"Error: {bad}: damaged HDF5 file")
    assert done.stdout.count("sound") == 1


def test_remove_of_a_path_leaves_the_file(
    run: Run, small_weights: Path, pictures: Path, own_cache: Path
) -> None:
    assert run("classify", "-w", small_weights, pictures).returncode == 0
    assert list(own_cache.glob("compiled/*.tflite"))
    assert run("weights", "remove", small_weights).returncode == 0
    assert not list(own_cache.glob("compiled/*.tflite"))
    assert small_weights.exists()
    assert "nothing to remove" in run("weights", "remove", small_weights).stderr


def test_remove_unused(run: Run, small_weights: Path, own_cache: Path) -> None:
    nothing = run("weights", "remove", "--unused")
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (0, "", "nothing to remove\n")
    left = [
        own_cache / "compiled" / f"{'0' * 32}.tflite",
        own_cache / "weights" / ".x.h5.abcd_123.partial",
        own_cache / "digests" / f"{'0' * 64}.json",
    ]
    for path in left:
        path.parent.mkdir(parents=True)
        path.touch()
    done = run("weights", "remove", "--unused")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [f"removed {path}" for path in left]
    assert not any(path.exists() for path in left)
    assert run("weights", "remove", "--unused").stderr == "nothing to remove\n"


def test_remove_wants_to_know_what(run: Run) -> None:
    for arguments in ([], ["--unused", "demo"]):
        done = run("weights", "remove", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "Error: " in done.stderr


@pytest.mark.parametrize("given", ["demo", "a file"])
def test_verify_hashes_the_file_whatever_is_remembered(
    run: Run, small_weights: Path, own_cache: Path, given: str
) -> None:
    given = str(small_weights) if given == "a file" else given
    digest = run("weights", "verify", given).stdout.split()[-1]
    for note in (own_cache / "digests").iterdir():
        note.write_text(note.read_text().replace(digest, "0" * 64))
    done = run("weights", "verify", given)
    assert (done.returncode, done.stdout.split()[-1]) == (0, digest)


# Named weights, as published on a server of ours

_PATCHED = """
import sys
from inceptioncli.weights import registry
registry.NAMED["imagenet"] = registry.NamedWeights(*{weights!r})
from inceptioncli.cli import main
sys.argv = ["inceptioncli", *sys.argv[1:]]
main()
"""


def test_download_path_classify_remove(
    run: Run,
    published_file: Path,
    pictures: Path,
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import subprocess

    content = published_file.read_bytes()
    with serving(content) as server:
        code = _PATCHED.format(weights=tuple(server.publish("right")))

        def patched(*arguments: str | Path) -> Any:
            command = [sys.executable, "-c", code, *map(str, arguments)]
            return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

        assert patched("weights", "path").returncode == 5
        assert "weights download" in patched("weights", "verify").stderr
        first = patched("classify", "--device", "cpu", pictures)
        assert first.returncode == 0, first.stderr
        assert f"downloading imagenet ({len(content) / 1e6:.0f} MB)" in first.stderr
        assert "downloading imagenet" in first.stderr
        assert server.requests["right"] == 1

        path = patched("weights", "path").stdout.strip()
        assert Path(path).read_bytes() == content
        assert patched("weights", "download").stdout.strip() == path
        assert "sound" in patched("weights", "verify").stdout
        second = patched("classify", "--device", "cpu", "--offline", pictures)
        assert (second.returncode, second.stderr) == (0, "")
        assert second.stdout == first.stdout
        assert server.requests["right"] == 1

        Path(path).write_bytes(content[:1000])
        damaged = patched("weights", "verify")
        assert damaged.returncode == 5
        assert "is not the published file" in damaged.stderr

        assert patched("weights", "remove", "imagenet").returncode == 0
        left = [file for file in own_cache.rglob("*") if file.suffix in (".h5", ".tflite")]
        assert left == []
        assert patched("classify", "--offline", pictures).returncode == 5
