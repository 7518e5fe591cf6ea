"""Inputs: paths, a list, what a program hands over; and where relative ones begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from inceptioncli.errors import UsageError
from inceptioncli.images.given import given_inputs
from inceptioncli.images.inputs import Inputs, is_relative


@pytest.mark.parametrize(
    ("path", "relative"),
    [("/a/b.jpg", False), ("b.jpg", True), ("../b.jpg", True), ("./-", True), ("-", False)],
)
def test_what_depends_on_the_working_folder(path: str, relative: bool) -> None:
    assert is_relative(path) is relative
    folder = str(Path.cwd()) if relative else None
    assert Inputs(["/c.jpg", path]).provenance()["working_folder"] == folder


@pytest.mark.parametrize("peeked", [0, 1, 2, 9])
def test_a_list_tells_of_its_first_relative_entry_at_its_turn(tmp_path: Path, peeked: int) -> None:
    (tmp_path / "list").write_text("/a.jpg\n/b.jpg\nc.jpg\n/d.jpg\ne.jpg\n", encoding="utf-8")
    with (tmp_path / "list").open("rb") as listed:
        inputs = Inputs((), listed)
        assert inputs.provenance()["working_folder"] is None
        assert inputs.peek(peeked) == min(peeked, 5)
        seen: list[str] = []
        inputs.at_relative = lambda: seen.append("here")
        for source in inputs:
            seen.append(source.path)
    assert seen == ["/a.jpg", "/b.jpg", "here", "c.jpg", "/d.jpg", "e.jpg"]


def test_nothing_comes_after_what_is_raised_there(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("/a.jpg\nb.jpg\n/c.jpg\n", encoding="utf-8")
    with (tmp_path / "list").open("rb") as listed:
        inputs = Inputs((), listed)

        def refuse() -> None:
            raise UsageError("elsewhere")

        inputs.at_relative = refuse
        iterator = iter(inputs)
        assert next(iterator).path == "/a.jpg"
        with pytest.raises(UsageError, match="elsewhere"):
            next(iterator)
        assert list(iterator) == []


def test_a_program_tells_of_its_paths_and_not_of_its_pictures(pictures: Path) -> None:
    picture = (pictures / "a.jpg").read_bytes()
    inputs = given_inputs(iter([("x.jpg", picture), pictures / "a.jpg", picture, "y.jpg"]))
    seen: list[str] = []
    inputs.at_relative = lambda: seen.append("here")
    for source in inputs:
        seen.append(source.path)
    assert seen == ["x.jpg", str(pictures / "a.jpg"), "-", "here", "y.jpg"]


def test_a_working_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(UsageError, match="working folder has been removed"):
        Inputs(["a.jpg"]).provenance()
    assert Inputs(["/a.jpg"]).provenance()["working_folder"] is None
