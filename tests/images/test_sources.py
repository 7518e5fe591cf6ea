from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from inceptioncli.images.inputs import read_list
from inceptioncli.images.source import Source, Unusable
from inceptioncli.images.walk import sources


def code_of(source: Source) -> str | None:
    """The code of a failure that is known already."""
    return source.locator.failure.code if isinstance(source.locator, Unusable) else None


def found(*paths: str | Path) -> list[str]:
    return [source.path for source in sources(map(str, paths))]


def test_folders_are_walked_in_order_by_content(
    pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (pictures / "notes.txt").write_text("no image")
    (pictures / "text.jpg").write_text("no image either, whatever its name")
    (pictures / "empty.png").write_bytes(b"")
    shutil.copy(pictures / "a.jpg", pictures / "no suffix")
    shutil.copy(pictures / "a.jpg", pictures / ".hidden.jpg")
    for folder in ("aa", ".git", "z"):
        (pictures / folder).mkdir()
        shutil.copy(pictures / "b.png", pictures / folder / "x.png")
    names = ["a.jpg", "aa/x.png", "b.png", "c.webp", "no suffix", "z/x.png"]
    assert found(pictures) == [f"{pictures}/{name}" for name in names]
    assert caplog.messages == [
        f"{pictures}: left out, no images whatever their names say: "
        f"{pictures}/empty.png, {pictures}/text.jpg"
    ]


def test_named_files_are_inputs_whatever_they_are(pictures: Path) -> None:
    hidden = pictures / ".hidden.jpg"
    shutil.copy(pictures / "a.jpg", hidden)
    assert found(hidden, "nowhere.jpg", "-", hidden) == [
        str(hidden),
        "nowhere.jpg",
        "-",
        str(hidden),
    ]


def test_paths_stay_as_the_user_wrote_them(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pictures)
    assert found(".")[0] == "./a.jpg"
    assert found("../pictures/")[0] == "../pictures/a.jpg"


def test_refused_formats_in_a_folder_are_inputs(tmp_path: Path) -> None:
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert found(tmp_path) == [f"{tmp_path}/photo.heic"]


def test_the_walk_is_lazy(pictures: Path) -> None:
    walk = sources([str(pictures), "later"])
    assert next(walk).path.endswith("a.jpg")
    shutil.rmtree(pictures)
    rest = list(walk)
    assert [code_of(source) for source in rest[:-1]] == ["not_found"] * 2
    assert (rest[-1].path, code_of(rest[-1])) == ("later", None)


def test_a_folder_without_images_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert found(tmp_path) == []
    assert f"{tmp_path}: no images in this folder" in caplog.text


def test_symlink_loops_pipes_and_broken_links(pictures: Path) -> None:
    (pictures / "loop").symlink_to(pictures)
    (pictures / "gone.jpg").symlink_to(pictures / "nowhere")
    os.mkfifo(pictures / "pipe")
    result = list(sources([str(pictures)]))
    assert [Path(source.path).name for source in result] == ["a.jpg", "b.png", "c.webp", "gone.jpg"]
    assert code_of(result[-1]) == "not_found"


def test_folders_nested_deeper_than_pythons_calls(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(1200):
        Path("d").mkdir()
        os.chdir("d")
    shutil.copy(pictures / "a.jpg", "a.jpg")
    os.chdir(tmp_path)
    assert found("d") == [f"{'d/' * 1200}a.jpg"]
    subprocess.run(["rm", "-r", "d"], check=True)  # pytest's clean-up calls itself as deep


def test_an_unreadable_folder_is_a_failure(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pictures / "b").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("/b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # chmod does not stop root
    result = list(sources([str(pictures)]))
    assert [Path(source.path).name for source in result] == ["a.jpg", "b", "b.png", "c.webp"]
    assert code_of(result[1]) == "permission_denied"


def test_lists_are_read_as_they_come() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file:
        os.write(writing, b"a.jpg\nb.")
        paths = read_list(file)
        assert next(paths) == "a.jpg"
        os.write(writing, b"jpg\n")
        os.close(writing)
        assert list(paths) == ["b.jpg"]


@pytest.mark.parametrize(
    ("content", "nul", "paths"),
    [
        (b"a.jpg\nb c.jpg\n", False, ["a.jpg", "b c.jpg"]),
        (b"a.jpg\r\n\r\n  b.jpg", False, ["a.jpg", "  b.jpg"]),
        (b"a\nb.jpg\0c.jpg\0", True, ["a\nb.jpg", "c.jpg"]),
        (b"caf\xc3\xa9.jpg\n\xff.jpg\n", False, ["café.jpg", "\udcff.jpg"]),
        (b"", False, []),
        (b"x" * 70_000 + b"\ny", False, ["x" * 70_000, "y"]),
    ],
)
def test_lists(content: bytes, nul: bool, paths: list[str]) -> None:
    assert list(read_list(io.BytesIO(content), nul_separated=nul)) == paths
