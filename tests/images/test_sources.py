from __future__ import annotations

import io
import itertools
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from inceptioncli.images.inputs import Inputs, read_list
from inceptioncli.images.source import Source, Unusable
from inceptioncli.images.walk import sources


def code_of(source: Source) -> str | None:
    """The code of a failure that is known already."""
    return source.locator.failure.code if isinstance(source.locator, Unusable) else None


def found(*paths: str | Path, follow: bool = True) -> list[str]:
    return [source.path for source in sources(map(str, paths), follow=follow)]


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


def test_each_folder_is_entered_once(
    tmp_path: Path, pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Twelve folders, each with two links to the next: 4,096 ways to one file."""
    folders = [tmp_path / "links" / str(number) for number in range(12)]
    for folder, after in itertools.pairwise([*folders, pictures]):
        folder.mkdir(parents=True)
        (folder / "one").symlink_to(after)
        (folder / "two").symlink_to(after)
    way = folders[0] / "/".join(["one"] * 12)
    names = ("a.jpg", "b.png", "c.webp")
    assert found(folders[0]) == [f"{way}/{name}" for name in names]
    (told,) = caplog.messages
    assert "left out, folders that were entered by another way: " in told
    assert told.endswith("one/two and 9 more")
    assert found(folders[0], pictures, folders[-1])[3:] == [
        *(f"{pictures}/{name}" for name in names),
        *(f"{folders[-1]}/one/{name}" for name in names),
    ]


def test_the_first_way_counts_linked_or_not(pictures: Path) -> None:
    (pictures / "m").mkdir()
    shutil.copy(pictures / "a.jpg", pictures / "m" / "x.jpg")
    (pictures / "z").symlink_to("m")
    assert found(pictures)[-1] == f"{pictures}/m/x.jpg"
    (pictures / "d").symlink_to("m")
    assert [Path(path).parent.name for path in found(pictures)] == [
        "pictures", "pictures", "pictures", "d",
    ]  # fmt: skip
    (pictures / "up").symlink_to(pictures.parent)
    assert len(found(pictures)) == 4


def test_linked_folders_can_be_left_out(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "folder").symlink_to(pictures)
    (tmp_path / "all" / "file.jpg").symlink_to(pictures / "a.jpg")
    (tmp_path / "named").symlink_to(tmp_path / "all")
    assert len(found(tmp_path / "all")) == 4
    for root in ("all", "named"):
        assert found(tmp_path / root, follow=False) == [f"{tmp_path / root}/file.jpg"]
    plain, without = (Inputs(["all"], follow=follow).provenance() for follow in (True, False))
    assert without == {**plain, "links_followed": False}


@pytest.mark.parametrize("target", ["nowhere", "a.jpg/below", "link"])
def test_a_link_that_leads_nowhere_is_an_input_by_its_name_alone(
    pictures: Path, target: str
) -> None:
    for name in ("link", "link.jpg"):
        (pictures / name).symlink_to(target)
    (bad,) = (source for source in sources([str(pictures)]) if code_of(source))
    assert Path(bad.path).name == "link.jpg"
    assert {Path(path).name for path in found(pictures / "link")} == {"link"}  # It is named.


def test_the_total_is_counted_on_the_way(pictures: Path, tmp_path: Path) -> None:
    """By the one listing of each folder; of folders still to be entered it is a guess."""
    tree = tmp_path / "tree"
    for name in ("a", "b", "c"):
        shutil.copytree(pictures, tree / name)
    shutil.copytree(pictures, tree / "c" / "below")
    (tree / "a" / "notes.txt").write_text("no image")
    listing = tmp_path / "list"
    listing.write_text(f"{pictures}/a.jpg\n\n{pictures}\n")
    with listing.open("rb") as file:
        inputs = Inputs([str(tree), "named.jpg"], file)
        assert inputs.total() == 5  # Two paths and three lines.
        totals = [inputs.total() for _ in inputs]
    assert totals[0] == 4 + 2 * 4 + 4  # A folder, two like it, and what is named besides.


def test_what_is_still_in_the_making_has_no_total() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        assert Inputs([], file).total() is None


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
        (b"\xef\xbb\xbfa.jpg\n\xef\xbb\xbfb", False, ["a.jpg", "\ufeffb"]),
        (b"\xef\xbb\xbfa.jpg\0", True, ["a.jpg"]),
        (b"\xef\xbb\xbf\r\na.jpg", False, ["a.jpg"]),
        (b"x" * 65_536 + b"\r\ny", False, ["x" * 65_536, "y"]),
    ],
)
def test_lists(content: bytes, nul: bool, paths: list[str]) -> None:
    assert list(read_list(io.BytesIO(content), nul_separated=nul)) == paths


@pytest.mark.parametrize("size", [65_537, 131_072, 131_073, 10_000_000])
@pytest.mark.parametrize("nul", [False, True])
def test_an_entry_that_is_too_long_is_a_failure_with_a_short_name(size: int, nul: bool) -> None:
    separator = b"\0" if nul else b"\n"
    entries = [b"a", "\u732b".encode() * (size // 3) + b"-" * (size % 3), b"", b"b"]
    first, long, last = read_list(io.BytesIO(separator.join(entries)), nul_separated=nul)
    assert (first, last) == ("a", "b")
    assert isinstance(long, Source)
    assert long.path == "\u732b" * 200 + f"... ({size:,} bytes)"
    assert code_of(long) == "not_found"


def test_a_list_of_another_kind_takes_no_time_to_speak_of() -> None:
    """`find -print0` without -0: one entry of any size."""
    begun = time.monotonic()
    (only,) = read_list(io.BytesIO(b"folder/file.jpg\0" * 4_000_000))
    assert time.monotonic() - begun < 2
    assert isinstance(only, Source)
    assert "-0" in only.locator.failure.message  # type: ignore[attr-defined]
