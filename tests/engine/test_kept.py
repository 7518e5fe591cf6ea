"""What is compiled and kept: listed, and removed when nobody needs it any more, and no sooner."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest

from inceptioncli.engine import compile as compiler
from inceptioncli.engine import kept, writer
from inceptioncli.engine.compile import Compiled, compiled
from inceptioncli.weights import collection, registry
from inceptioncli.weights.formats.own import write_safetensors
from inceptioncli.weights.registry import NamedWeights
from tests.conftest import SMALL_GRAPH, random_weights, write_weights_only

Compile = Callable[..., Compiled]


@pytest.fixture
def compile_(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Compile:
    """Compiles to something else than a graph, at once; with packed weights of two machines."""
    monkeypatch.setattr(
        writer, "write", lambda weights, precision, path: path.write_bytes(b"x" * 2_000_000)
    )

    def compile_(given: str | Path, precision: str = "float32", **asked: Any) -> Compiled:
        graph = compiled(collection.choose(str(given), **asked), precision)
        for machine in ("here", "there"):
            graph.path.with_suffix(f".{machine}.packed").write_bytes(b"x" * 1_000_000)
            graph.path.with_suffix(f".{machine}.json").write_text('{"graph_sha256": "x"}')
        return graph

    return compile_


@pytest.fixture
def mine(small_weights: Path, tmp_path: Path) -> Path:
    path = tmp_path / "mine.safetensors"
    shutil.copy(small_weights, path)
    return path


def publish(file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A downloaded copy of a file, as named weights."""
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    url = "http://127.0.0.1/published.safetensors"
    weights = NamedWeights("imagenet", url, digest, len(content), "safetensors", 7, "")
    monkeypatch.setitem(registry.NAMED, "imagenet", weights)
    downloaded = Path(
        shutil.copy(file, collection.cache.downloads_folder() / "published.safetensors")
    )
    assert collection.local_copy(weights) == downloaded
    return downloaded


def test_what_is_kept(compile_: Compile, mine: Path) -> None:
    assert kept.kept() == []
    compile_(mine)
    compile_(mine, "int8")
    unnoted = compile_("demo")
    for name, precision, variant, size in kept.kept():
        assert variant == ""
        assert name in ("demo", "mine.safetensors")
        assert precision in ("float32", "int8")
        assert 4_000_000 < size < 4_010_000
    assert len(kept.kept()) == 3
    unnoted.path.with_suffix(".json").unlink()
    assert [graph[:2] for graph in kept.kept()] == [
        ("mine.safetensors", "float32"),
        ("mine.safetensors", "int8"),
    ]


def test_each_graph_of_a_file_that_can_not_tell_is_another_one(
    compile_: Compile, tmp_path: Path
) -> None:
    path = write_weights_only(tmp_path / "some.h5", SMALL_GRAPH)
    asked: list[dict[str, Any]] = [
        {},
        {"activation": "sigmoid"},
        {"image_size": 75},
        {"activation": "sigmoid", "image_size": 75},
    ]
    graphs = [compile_(path, **each) for each in asked]
    assert len({graph.path for graph in graphs}) == 4
    for graph, each in zip(graphs, asked, strict=True):
        assert graph.model.graph.activation == each.get("activation", "softmax")
        assert graph.model.graph.image_size == each.get("image_size", 299)
        assert compile_(path, **each).path == graph.path
    assert [graph.variant for graph in kept.kept()] == ["", "75x75", "sigmoid", "sigmoid, 75x75"]
    assert kept.remove_unused() == []
    assert len(kept.forget(collection.choose(str(path)).sha256)) == 4 * 6


def test_what_is_needed_stays(
    compile_: Compile, mine: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_(mine)
    compile_(mine, "int8")
    compile_("demo")
    (own_cache / "weights").mkdir(parents=True)
    other = mine.with_name("other.safetensors")
    write_safetensors(other, random_weights(SMALL_GRAPH, seed=1))
    publish(other, monkeypatch)
    compile_(other)
    other.unlink()  # Its weights are still here under a name.
    for name in ("notes.txt", "notes.json", f"{'0' * 31}.json"):
        (own_cache / "compiled" / name).write_text("somebody's")
    before = {path for path in own_cache.rglob("*") if path.parent.name != "digests"}
    kept.remove_unused()
    assert kept.remove_unused() == []
    assert {path for path in own_cache.rglob("*") if path.parent.name != "digests"} == before


@pytest.mark.parametrize("end", ["gone", "changed", "elsewhere", "another version", "not known"])
def test_a_graph_that_nobody_needs_is_removed_with_all_that_belongs_to_it(
    compile_: Compile, mine: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    stays = compile_("demo").path
    if end == "another version":
        with monkeypatch.context() as another:
            another.setattr(compiler, "_litert_version", lambda: "another")
            graph = compile_(mine)
    else:
        graph = compile_(mine)
    if end == "gone":
        mine.unlink()
    elif end == "changed":
        write_safetensors(mine, random_weights(SMALL_GRAPH, seed=1))
    elif end == "elsewhere":
        mine.rename(mine.with_name("moved.safetensors"))
    elif end == "not known":  # as notes of earlier versions
        note = json.loads(graph.path.with_suffix(".json").read_text(encoding="utf-8"))
        del note["weights_path"], note["precision"]
        graph.path.with_suffix(".json").write_text(json.dumps(note), encoding="utf-8")
    folder = graph.path.parent
    belonging = {path for path in folder.iterdir() if path.stem.startswith(graph.path.stem)}
    assert len(belonging) == 7
    removed = kept.remove_unused()
    assert {path for path in removed if path.parent == folder} == belonging
    assert not any(path.exists() for path in removed)
    assert {path.parent.name for path in removed} == {"compiled", "digests"}
    assert compiler.find(stays) is not None
    assert len(list(folder.iterdir())) == 7
    assert kept.remove_unused() == []


def test_a_graph_of_named_weights_that_are_not_here_is_removed(
    compile_: Compile, mine: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_cache / "weights").mkdir(parents=True)
    downloaded = publish(mine, monkeypatch)
    graph = compile_("imagenet")
    assert kept.remove_unused() == []
    downloaded.unlink()
    assert graph.path in kept.remove_unused()


def test_what_kills_left_beside_a_needed_graph_is_removed(compile_: Compile, mine: Path) -> None:
    graph = compile_(mine).path
    packed = graph.with_suffix(".here.packed")
    packed.with_suffix(".json").unlink()
    left = {packed}
    for name in (graph.name, f"{graph.stem}.json", packed.name):
        orphan = graph.with_name(f".{name}.abcd_123.partial")
        orphan.touch()
        left.add(orphan)
    with filelock.FileLock(graph.with_suffix(".lock")):  # Somebody is at it.
        assert kept.remove_unused() == []
    assert set(kept.remove_unused()) == left
    assert len(list(graph.parent.iterdir())) == 5


def test_what_kills_left_without_a_graph_is_removed(own_cache: Path) -> None:
    folder = own_cache / "compiled"
    folder.mkdir(parents=True)
    for number, name in enumerate(("{}.lock", "{}.tflite", ".{}.tflite.abcd_123.partial")):
        (folder / name.format(f"{number:032x}")).touch()
    assert len(kept.remove_unused()) == 3
    assert list(folder.iterdir()) == []


def test_a_graph_that_is_being_compiled_is_left_alone(compile_: Compile, mine: Path) -> None:
    graph = compile_(mine).path
    graph.with_suffix(".json").unlink()
    with filelock.FileLock(graph.with_suffix(".lock")):
        assert kept.remove_unused() == []
    assert graph in kept.remove_unused()


def test_forgetting_leaves_the_lock_and_others_graphs(compile_: Compile, mine: Path) -> None:
    stays, graph = compile_("demo").path, compile_(mine).path
    assert len(kept.forget(collection.choose(str(mine)).sha256)) == 6
    assert graph.with_suffix(".lock").exists()
    assert not graph.exists()
    assert stays.exists()
