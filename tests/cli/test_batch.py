"""Many images into files: formats, continuing, refusing, workers, strange inputs."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow.parquet
import pytest
from PIL import Image

from tests.conftest import Run
from tests.processes import start
from tests.reliability.crash import make_images

pytestmark = pytest.mark.slow

FILES = ("out.jsonl", "out.csv", "out.parquet")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty pictures, some of them broken."""
    folder = tmp_path_factory.mktemp("images")
    make_images(folder, 30)
    return folder


@pytest.fixture
def classify(run: Run, small_weights: Path) -> Any:
    def classify(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        return run("classify", "--device", "cpu", "-w", small_weights, *arguments, **options)

    return classify


def rows(path: Path) -> list[tuple[str, str, str]]:
    """Path, status and failure's code of each record in a file, by its format's own reader."""
    if path.suffix == ".jsonl":
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [
            (line["path"], line["status"], line.get("error", {}).get("code", "")) for line in lines
        ]
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return [(row["path"], row["status"], row["error"]) for row in csv.DictReader(file)]
    table = pyarrow.parquet.read_table(path)
    paths = table["path"].to_pylist()
    paths = [os.fsdecode(path) if isinstance(path, bytes) else path for path in paths]
    codes = [code or "" for code in table["error"].to_pylist()]
    return list(zip(paths, table["status"].to_pylist(), codes, strict=True))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# Formats


def test_all_formats_say_the_same_as_standard_output(
    classify: Any, images: Path, tmp_path: Path
) -> None:
    printed = classify("-f", "jsonl", "-k", "3", images)
    assert printed.returncode == 3
    summary = printed.stderr.splitlines()[-1]
    for name in FILES:
        done = classify("-k", "3", images, "-o", tmp_path / name / name)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.splitlines() == [summary]
        assert names(tmp_path / name) == {name, f"{name}.run.json"}
    out = {name: tmp_path / name / name for name in FILES}
    assert out["out.jsonl"].read_text(encoding="utf-8") == printed.stdout
    assert rows(out["out.jsonl"]) == rows(out["out.csv"]) == rows(out["out.parquet"])
    text = pandas.read_csv(out["out.csv"])
    binary = pandas.read_parquet(out["out.parquet"])
    assert list(text.columns) == list(binary.columns)
    common = ["path", "status", "error", "message", "size", "modified"]
    assert list(text.columns[:9]) == [*common, "id_1", "label_1", "probability_1"]
    for line, row in zip(printed.stdout.splitlines(), binary.itertuples(), strict=True):
        record = json.loads(line)
        status = os.stat(record["path"])
        assert (record["file"]["size"], row.size) == (status.st_size, status.st_size)
        modified = pandas.Timestamp(status.st_mtime_ns, tz="UTC")
        assert (pandas.Timestamp(record["file"]["modified"]), row.modified) == (modified, modified)
        message = row.message if isinstance(row.message, str) else None
        assert record.get("error", {}).get("message") == message
        for rank, prediction in enumerate(record.get("predictions", ()), 1):
            assert getattr(row, f"label_{rank}") == prediction["label"]
            ours = np.float32(getattr(row, f"probability_{rank}"))
            assert ours == np.float32(prediction["probability"])
    assert np.allclose(text["probability_2"], binary["probability_2"], equal_nan=True)
    assert (pandas.to_datetime(text["modified"]) == binary["modified"]).all()
    assert (text["size"] == binary["size"]).all()
    assert list(text["message"].dropna()) == list(binary["message"].dropna())


def test_the_format_comes_from_the_option_or_the_suffix(
    classify: Any, images: Path, tmp_path: Path
) -> None:
    image = next(images.rglob("*.jpg"))
    assert classify(image, "-o", tmp_path / "a.txt", "-f", "csv").returncode == 0
    assert rows(Path(shutil.copy(tmp_path / "a.txt", tmp_path / "a.csv")))[0][0] == str(image)
    for arguments, told in (
        (["-o", tmp_path / "a.json"], "use .jsonl, .ndjson, .csv, .parquet"),
        (["-o", tmp_path / "b.csv", "-f", "text"], "format text"),
        (["-f", "parquet"], "-f parquet goes with --output"),
        (["--retry-errors"], "--retry-errors goes with --output"),
        (["--retry-changed"], "--retry-changed goes with --output"),
        (["--overwrite"], "--overwrite goes with"),
        (["--dump", "Logits"], "--dump END_POINT and --dump-dir DIR go together"),
    ):
        done = classify(image, *arguments)
        assert done.returncode == 2, arguments
        assert told in done.stderr
    assert classify(image, "-o", tmp_path).returncode == 6
    done = classify(image, "-o", "/dev/null", "-f", "csv")
    assert done.returncode == 6
    assert "/dev/null is no file that can be continued" in done.stderr
    for kept in ("run.json", "a.run.json"):
        assert classify(image, "-o", tmp_path / kept, "-f", "jsonl").returncode == 2
    assert classify(image, "--timeout", "nan").returncode == 2
    assert classify(image, "--timeout", "1e9").returncode == 2
    assert names(tmp_path) == {"a.txt", "a.txt.run.json", "a.csv"}


def test_provenance(classify: Any, images: Path, small_weights: Path, tmp_path: Path) -> None:
    import hashlib

    from inceptioncli import __version__
    from inceptioncli.version import RESULTS_VERSION

    classify(images, "-k", "2", "--crop", "0.875", "-o", tmp_path / "out.csv")
    note = json.loads((tmp_path / "out.csv.run.json").read_bytes())
    assert (note["version"], note["results_version"]) == (__version__, RESULTS_VERSION)
    digest = hashlib.sha256(small_weights.read_bytes()).hexdigest()
    assert note["weights"] == {"name": str(small_weights), "sha256": digest}
    assert (note["engine"], note["precision"], note["crop"]) == ("litert", "float32", 0.875)
    assert "75x75" in note["resize"]
    assert note["options"]["top_k"] == 2
    assert note["inputs"] == [str(images)]
    counts = note["counts"]
    assert counts["inputs"] == 30 == counts["ok"] + counts["failed"]
    assert counts["failed"] == sum(counts["failures"].values()) > 0


def test_two_outputs_in_one_folder_have_notes_of_their_own(
    classify: Any, images: Path, tmp_path: Path
) -> None:
    for name in ("a.csv", "b.csv"):
        assert classify(images, "-o", tmp_path / name).returncode == 3
    assert names(tmp_path) == {"a.csv", "a.csv.run.json", "b.csv", "b.csv.run.json"}
    for name in ("a.csv", "b.csv"):
        assert classify(images, "-o", tmp_path / name).returncode == 0
        assert classify(images, "-k", "2", "-o", tmp_path / name).returncode == 7


@pytest.mark.parametrize("note", ["labels.csv.run.json", "run.json"])
def test_features_leave_a_table_in_their_folder_alone(
    classify: Any, run: Run, small_weights: Path, images: Path, tmp_path: Path, note: str
) -> None:
    table = tmp_path / "out" / "labels.csv"
    few = ["-i", tmp_path / "list"]
    listed = sorted(map(str, images.rglob("*.*")))
    (tmp_path / "list").write_text("\n".join(listed[:9]), encoding="utf-8")
    assert classify(*few, "-o", table).returncode in (0, 3)
    if note == "run.json":  # as the first notes were named
        written = json.loads((tmp_path / "out" / "labels.csv.run.json").read_bytes())
        del written["results_version"]
        (tmp_path / "out" / "labels.csv.run.json").unlink()
        (tmp_path / "out" / "run.json").write_text(json.dumps(written), encoding="utf-8")
    features = ["features", "-w", small_weights, images, "-o", tmp_path / "out", "--overwrite"]
    assert run(*features).returncode in (0, 3)
    assert names(tmp_path / "out") == {
        "labels.csv", "labels.csv.run.json", "PreLogits.npy", "index.jsonl", "run.json",
    }  # fmt: skip
    (tmp_path / "list").write_text("\n".join(listed), encoding="utf-8")
    assert classify(*few, "-o", table).returncode in (0, 3)
    assert [path for path, _, _ in rows(table)] == listed
    assert run(*features[:-1]).returncode in (0, 3)
    before = tree(tmp_path / "out")
    assert classify(*few, "-o", tmp_path / "out" / "more.csv", "-k", "2").returncode in (0, 3)
    assert before.items() <= tree(tmp_path / "out").items()


def test_a_link_is_followed(classify: Any, images: Path, tmp_path: Path) -> None:
    image = next(images.rglob("*.jpg"))
    (tmp_path / "real").mkdir()
    (tmp_path / "out.csv").symlink_to(tmp_path / "real" / "table.csv")
    assert classify(image, "-o", tmp_path / "out.csv").returncode == 0
    assert (tmp_path / "out.csv").is_symlink()
    assert names(tmp_path / "real") == {"table.csv", "table.csv.run.json"}


# Continuing


@pytest.mark.parametrize("name", [*FILES, "features"])
def test_continued_where_files_have_come_gone_and_been_mended(
    run: Run, small_weights: Path, images: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "images"
    shutil.copytree(images, folder)
    pictures = sorted(path for path in folder.rglob("*.*") if path.is_file())
    aside = tmp_path / "aside"
    aside.mkdir()
    late = [pictures[0], pictures[11], pictures[29]]
    for path in late:
        path.rename(aside / path.name)
    command = ["features"] if name == "features" else ["classify"]
    command += ["-w", str(small_weights), str(folder)]
    first = run(*command, "-o", tmp_path / "work" / name)
    assert first.returncode == 3
    assert run(*command, "-o", tmp_path / "work" / name).returncode == 0  # nothing new
    for path in late:
        (aside / path.name).rename(path)
    assert run(*command, "-o", tmp_path / "work" / name).returncode == 0
    assert run(*command, "-o", tmp_path / "whole" / name).returncode == 3
    assert tree(tmp_path / "work") == tree(tmp_path / "whole")

    index = tmp_path / "work" / name
    index = index / "index.jsonl" if name == "features" else index
    broken = [path for path, _, code in rows(index) if code]
    assert broken
    for path in broken:
        Image.new("RGB", (64, 48), (90, 120, len(broken))).save(path)
    mended = run(*command, "-o", tmp_path / "work" / name)
    assert (mended.returncode, mended.stderr) == (0, f"{len(broken)} new: {len(broken)} ok\n")
    shutil.rmtree(tmp_path / "whole")
    assert run(*command, "-o", tmp_path / "whole" / name).returncode == 0
    assert tree(tmp_path / "work") == tree(tmp_path / "whole")

    pictures[4].write_bytes(b"\x89PNG\r\n\x1a\n")
    pictures[5].unlink()  # what has been computed stays
    kept = run(*command, "-o", tmp_path / "work" / name)
    told = "nothing new; 1 older result whose file has changed, --retry-changed does it again\n"
    assert (kept.returncode, kept.stderr) == (0, told)
    assert tree(tmp_path / "work") == tree(tmp_path / "whole")
    assert run(*command, "-o", tmp_path / "work" / name, "--retry-changed").returncode == 3
    pictures[4].unlink()  # a failure goes
    shutil.copy(pictures[6], pictures[5])
    assert run(*command, "-o", tmp_path / "work" / name, "--retry-changed").returncode == 0
    shutil.rmtree(tmp_path / "whole")
    assert run(*command, "-o", tmp_path / "whole" / name).returncode == 0
    assert tree(tmp_path / "work") == tree(tmp_path / "whole")
    assert run(*command, "-o", tmp_path / "work" / name).returncode == 0
    assert tree(tmp_path / "work") == tree(tmp_path / "whole")


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_is_there_is_not_done_again(classify: Any, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    classify(images, "-o", out)
    lines = out.read_bytes().splitlines(keepends=True)
    # Were an image classified again, the mark would be gone.
    marked = [line.replace(b'"class 0"', b'"CLASS 0"') for line in lines]
    out.write_bytes(b"".join(marked))
    new = images.parent / "new.png"
    shutil.copy(next(images.rglob("*.png")), new)
    assert classify(images, "-o", out).returncode == 0
    assert out.read_bytes() == b"".join(marked)


def test_another_runs_output_is_refused(classify: Any, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "out.csv"
    assert classify(images, "-o", out).returncode == 3
    before = tree(out.parent)
    for other, told in (
        (["-k", "4"], "options top_k is 5 there and 4 here"),
        (["--precision", "int8"], "precision is float32 there and int8 here"),
        (["-w", "demo"], "weights sha256"),
        (["--crop", "0.5"], "crop is 1.0 there and 0.5 here"),
        (["-f", "jsonl"], "options format is csv there and jsonl here"),
        ([images / "000"], "inputs"),
    ):
        done = classify(images, "-o", out, *other)
        assert done.returncode == 7, other
        assert told in done.stderr
        assert "--overwrite" in done.stderr
        assert len(done.stderr.splitlines()) <= 2
    assert tree(out.parent) == before
    assert classify(images, "-o", out, "-k", "4", "--overwrite").returncode == 3
    assert out.read_text(encoding="utf-8").startswith(
        "path,status,error,message,size,modified,id_1,"
    )
    assert names(out.parent) == {"out.csv", "out.csv.run.json"}


def test_somebody_elses_files_are_refused(classify: Any, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("mine\n", encoding="utf-8")
    assert classify(images, "-o", out).returncode == 7
    assert out.read_text(encoding="utf-8") == "mine\n"
    out.write_bytes(b"")  # as mktemp leaves it
    assert classify(images, "-o", out).returncode == 3
    with out.open("ab") as file:
        file.write(b"more\n")
    assert classify(images, "-o", out).returncode == 7
    out.write_bytes(out.read_bytes()[:100])
    done = classify(images, "-o", out)
    assert done.returncode == 7
    assert "100 bytes" in done.stderr
    out.unlink()  # to have it anew
    assert classify(images, "-o", out).returncode == 3
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")  # whose it is
    assert classify(images, "-o", out).returncode in (0, 3)
    (tmp_path / "out.csv.run.json").write_text("{}", encoding="utf-8")
    assert classify(images, "-o", out).returncode == 7


def test_one_writer_at_a_time(small_weights: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "inceptioncli", "classify", "-w", str(small_weights)]
    command += ["-i", "-", "-o", str(out)]
    first = start(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert first.stdin is not None
    first.stdin.write(f"{next(images.rglob('*.jpg'))}\n".encode())
    first.stdin.flush()
    deadline = time.monotonic() + 60
    while not out.exists() or not out.stat().st_size:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    second = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert second.returncode == 7
    assert b"another process is writing" in second.stderr
    first.stdin.close()
    assert first.wait(60) == 0
    assert names(tmp_path) == {"out.jsonl", "out.jsonl.run.json"}


def test_max_errors(classify: Any, tmp_path: Path) -> None:
    missing = [str(tmp_path / f"{number}.jpg") for number in range(10)]
    out = tmp_path / "out" / "out.jsonl"
    done = classify(*missing, "-o", out, "--max-errors", "3")
    assert done.returncode == 8
    assert "4 failed, more than --max-errors 3" in done.stderr
    assert f"{out}: 4 records; the same command continues" in done.stderr
    assert len(rows(out)) == 4
    assert classify(*missing, "-o", out, "--max-errors", "3").returncode == 8
    assert len(rows(out)) == 8
    assert classify(*missing, "-o", out, "--max-errors", "3").returncode == 4
    assert [path for path, _, _ in rows(out)] == missing
    assert classify(*missing, "--max-errors", "0").returncode == 8


def test_old_failures_do_not_count_for_max_errors(
    classify: Any, images: Path, tmp_path: Path
) -> None:
    """Night after night, a folder with eleven broken pictures."""
    folder, out = tmp_path / "in", tmp_path / "out" / "out.csv"
    shutil.copytree(images / "000", folder)
    for number in range(11):
        (folder / f"bad{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert classify(folder, "-o", out).returncode == 3
    before = tree(out.parent)
    for retry in ((), ("--retry-errors",)):
        done = classify(folder, "-o", out, "--max-errors", "10", *retry)
        assert done.returncode == (8 if retry else 0)
    # That was interrupted: each of these is there twice, and once only counts.
    assert classify(folder, "-o", out, "--max-errors", "0").returncode == 0
    assert tree(out.parent) == before


def test_a_run_that_can_not_be_continued_does_not_say_so(
    classify: Any, images: Path, tmp_path: Path
) -> None:
    dumping = ("--dump", "Logits", "--dump-dir", tmp_path / "out")
    done = classify(images, *dumping, "--max-errors", "0")
    assert done.returncode == 8
    assert done.stderr.splitlines()[-1] == "Error: 1 failed, more than --max-errors 0"
    assert "continue" not in done.stderr
    assert "from here" not in done.stderr


# Workers


def test_scores_do_not_depend_on_workers_or_neighbours(
    classify: Any, images: Path, tmp_path: Path
) -> None:
    outputs = [classify("-f", "jsonl", "-j", workers, images).stdout for workers in "0123"]
    assert len(set(outputs)) == 1
    image = next(images.rglob("*.jpg"))
    alone = classify("-f", "jsonl", image).stdout
    assert alone in outputs[0]
    assert classify("-f", "jsonl", *[image] * 7).stdout == alone * 7


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_full_size_scores_do_not_depend_on_workers(
    run: Run, published_file: Path, images: Path, precision: str
) -> None:
    command = ["classify", "-w", published_file, "--precision", precision, "-f", "jsonl"]
    some = sorted(images.rglob("*.png"))[:6]
    alone = run(*command, "-j", "0", *some)
    assert alone.returncode in (0, 3), alone.stderr
    assert run(*command, "-j", "2", *some).stdout == alone.stdout


def test_failures_are_the_same_in_every_process(
    classify: Any, images: Path, tmp_path: Path
) -> None:
    """Texts too: outputs continued with other workers are to be the same byte for byte."""
    for workers in ("0", "2"):
        classify(images, "-j", workers, "-o", tmp_path / workers / "out.jsonl")
    assert tree(tmp_path / "0") == tree(tmp_path / "2")


# Strange inputs


def test_strange_names_round_trip_through_files(
    classify: Any, images: Path, tmp_path: Path
) -> None:
    (tmp_path / "strange").mkdir()
    folder = os.fsencode(tmp_path / "strange")
    strange = [b"new\nline.png", b"\r\n.png", b'quo"te,.png', b"=1+1.png", b"\xff\xfe.png"]
    strange += [
        b"\x1b[31mred.png",
        "café 猫.png".encode(),
        b"x" * 246 + b".png",
        b" .png",
        b'".png',
    ]
    for name in strange:
        shutil.copy(next(images.rglob("*.png")), os.path.join(folder, name))
    expected = [os.fsdecode(os.path.join(folder, name)) for name in map(os.fsencode, sorted(
        map(os.fsdecode, strange)))]  # fmt: skip
    for name in FILES:
        out = tmp_path / name / name
        done = classify(tmp_path / "strange", "-o", out)
        assert done.returncode == 0, done.stderr
        assert [path for path, _, _ in rows(out)] == expected
        before = tree(tmp_path / name)
        assert classify(tmp_path / "strange", "-o", out).returncode == 0
        assert tree(tmp_path / name) == before
        # Read back and gone on from, with one in front of the others.
        first = tmp_path / "strange" / "\t.png"
        shutil.copy(next(images.rglob("*.png")), first)
        assert classify(tmp_path / "strange", "-o", out).returncode == 0
        assert [path for path, _, _ in rows(out)] == [str(first), *expected]
        first.unlink()


def test_names_that_are_all_utf8_are_strings_in_parquet(
    classify: Any, images: Path, tmp_path: Path
) -> None:
    classify(images, "-o", tmp_path / "out.parquet")
    assert pyarrow.parquet.read_schema(tmp_path / "out.parquet").field("path").type == "string"


def test_no_input_is_lost(classify: Any, images: Path, tmp_path: Path) -> None:
    """A link in a circle, a pipe, a device, a list with missing files, files given twice."""
    folder = tmp_path / "in"
    shutil.copytree(images / "000", folder)
    (folder / "around").symlink_to(folder)
    (folder / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "null.png").symlink_to("/dev/null")
    image = str(next(images.rglob("*.jpg")))
    listed = tmp_path / "list"
    listed.write_text(f"{image}\n{tmp_path}/missing.jpg\n\n{image}\n", encoding="utf-8")
    out = tmp_path / "out.jsonl"
    done = classify(folder, image, image, "-i", listed, "-o", out)
    assert done.returncode == 3
    found = rows(out)
    assert found[-5:] == [
        (image, "ok", ""),
        (image, "ok", ""),
        (image, "ok", ""),
        (f"{tmp_path}/missing.jpg", "error", "not_found"),
        (image, "ok", ""),
    ]
    assert (str(folder / "dangling.jpg"), "error", "not_found") in found
    assert len(found) == 5 + 30 + 1
    assert f"left out, folders that were entered by another way: {folder}/around" in done.stderr
    before = out.read_bytes()
    assert classify(folder, image, image, "-i", listed, "-o", out).returncode == 0
    assert out.read_bytes() == before


@pytest.mark.parametrize("workers", ["0", "1", "2"])
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_path_in_a_list_costs_itself(
    classify: Any, images: Path, tmp_path: Path, name: str, workers: str
) -> None:
    """A byte-order mark, entries longer than any path and any pipe, and NUL."""
    image = str(next(images.rglob("*.jpg")))
    entries = [image, *["x" * 60_000] * 20, "y" * 5_000_000, "a\0b", *["z" * 70_000] * 9, image]
    listed = tmp_path / "list"
    listed.write_text("\n".join(entries), encoding="utf-8-sig")
    out = tmp_path / name
    assert classify("-i", listed, "-o", out, "-j", workers).returncode == 3
    found = rows(out)
    assert len(found) == len(entries)
    assert found[0] == found[-1] == (image, "ok", "")
    assert [code for _, _, code in found[21:-1]] == ["not_found"] * 11
    assert found[21][0] == "y" * 200 + "... (5,000,000 bytes)"
    before = out.read_bytes()
    classify("-i", listed, "-o", out, "-j", workers)
    assert out.read_bytes() == before


def test_linked_folders_are_left_out_on_demand(classify: Any, images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "linked").symlink_to(images / "000")
    (folder / "file.jpg").symlink_to(next(images.rglob("*.jpg")))
    out = tmp_path / "out.csv"
    assert classify(folder, "-o", out, "--no-follow").returncode == 0
    assert [path for path, _, _ in rows(out)] == [f"{folder}/file.jpg"]
    assert classify(folder, "-o", out).returncode == 7  # Other inputs than those of the first run.


def test_pipes_and_standard_input_reach_workers(
    classify: Any, images: Path, tmp_path: Path
) -> None:
    image = next(images.rglob("*.jpg"))
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    silent = tmp_path / "silent"
    os.mkfifo(silent)
    writer = threading.Thread(target=fifo.write_bytes, args=(image.read_bytes(),))
    writer.start()
    out = tmp_path / "out.jsonl"
    with image.open("rb") as content:
        done = classify(
            "-", fifo, silent, image, "/dev/zero", "-j", "2", "--timeout", "1", "-o", out,
            stdin=content,
        )  # fmt: skip
    writer.join()
    assert done.returncode == 3, done.stderr
    assert [code for _, _, code in rows(out)] == ["", "", "timeout", "", "unidentified"]
    scores = [json.loads(line).get("predictions") for line in out.read_text().splitlines()]
    assert scores[0] == scores[1] == scores[3]


def test_a_list_that_does_not_wait(small_weights: Path, images: Path) -> None:
    """Standard input may be shared with somebody who made it non-blocking; a `-` is a file."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    command = [sys.executable, "-m", "inceptioncli", "classify", "-w", str(small_weights)]
    process = start([*command, "-f", "csv", "-i", "-"], stdin=reading, stdout=subprocess.PIPE)
    image = next(images.rglob("*.jpg"))
    for _ in range(3):
        time.sleep(0.4)
        os.write(writing, f"{image}\n".encode())
    os.write(writing, b"-\n")
    os.close(writing)
    output, _ = process.communicate(timeout=60)
    os.close(reading)
    lines = output.decode().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [*[str(image)] * 3, "./-"]


def test_standard_input_is_another_picture_each_time(
    classify: Any, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    scores = []
    for image in sorted(images.rglob("*.jpg"))[:2]:
        with image.open("rb") as content:
            assert classify("-", "-o", out, stdin=content).returncode == 0
        assert [path for path, _, _ in rows(out)] == ["-"]
        scores.append(out.read_bytes())
    assert scores[0] != scores[1]


def test_an_interrupt_while_workers_start(small_weights: Path, images: Path) -> None:
    """Nothing but our word for it on the terminal, whenever it comes."""
    command = [sys.executable, "-m", "inceptioncli", "classify", "-w", str(small_weights)]
    for wait in (0.25, 0.3, 0.35, 0.4, 0.5, 0.6):
        process = start(
            [*command, "-i", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(f"{images}\n".encode())
        process.stdin.flush()
        time.sleep(wait)
        os.killpg(process.pid, 2)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 130
        assert b"multiprocessing" not in errors, wait


def test_records_are_safe_while_nothing_comes(
    small_weights: Path, images: Path, tmp_path: Path
) -> None:
    """However few they are, and with workers or without."""
    for workers in ("0", "1"):
        out = tmp_path / workers / "out.jsonl"
        command = [sys.executable, "-m", "inceptioncli", "classify", "-w", str(small_weights)]
        process = start([*command, "-j", workers, "-i", "-", "-o", str(out)], stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(f"{next(images.rglob('*.jpg'))}\n".encode())
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while True:
            assert time.monotonic() < deadline
            time.sleep(0.2)
            note = out.with_name("out.jsonl.run.json")
            if note.exists() and json.loads(note.read_bytes())["counts"]["inputs"] == 1:
                break
        process.kill()
        process.wait()
        assert len(rows(out)) == 1


@pytest.fixture
def unprivileged(small_weights: Path) -> Any:
    """Runs `classify` as somebody who may not read everything."""

    def unprivileged(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "inceptioncli", "classify", "-w", str(small_weights)]
        command += map(str, arguments)
        if os.geteuid() == 0:
            command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return unprivileged


def test_an_unreadable_folder_costs_one_record(
    unprivileged: Any, images: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "work" / "out.jsonl"
    shutil.copytree(images / "000", folder / "b")
    (folder / "a").mkdir()
    (folder / "c").mkdir()
    for place in "ac":
        shutil.copy(next(images.rglob("*.jpg")), folder / place / "x.jpg")
    (folder / "a").chmod(0)
    done = unprivileged(folder, "-o", out)
    assert done.returncode == 3, done.stderr
    found = rows(out)
    assert found[0] == (str(folder / "a"), "error", "permission_denied")
    assert b'"file"' not in out.read_bytes().splitlines()[0]
    assert found[-1] == (str(folder / "c" / "x.jpg"), "ok", "")
    assert len(found) == 32

    before = tree(out.parent)
    still = unprivileged(folder, "-o", out)
    assert still.returncode == 0
    assert re.fullmatch(r"nothing new; \d older failures, .*\n", still.stderr)
    assert tree(out.parent) == before

    (folder / "a").chmod(0o755)  # It is back, and what is in it takes its place.
    assert unprivileged(folder, "-o", out).returncode == 0
    assert unprivileged(folder, "-o", tmp_path / "whole" / "out.jsonl").returncode == 3
    assert tree(out.parent) == tree(tmp_path / "whole")


def test_an_unreadable_folder_of_a_list_is_back(
    unprivileged: Any, images: Path, tmp_path: Path
) -> None:
    folder, out, listed = tmp_path / "in", tmp_path / "work" / "out.csv", tmp_path / "list"
    folder.mkdir()
    shutil.copy(next(images.rglob("*.jpg")), folder / "x.jpg")
    listed.write_text(f"{folder}\n", encoding="utf-8")
    folder.chmod(0)
    done = unprivileged("-i", listed, "-o", out)
    assert (done.returncode, len(rows(out))) == (4, 1), done.stderr
    folder.chmod(0o755)
    assert unprivileged("-i", listed, "-o", out).returncode == 0
    assert rows(out) == [(str(folder / "x.jpg"), "ok", "")]


def test_what_may_not_be_read_or_is_not_there_is_looked_at_in_every_run(
    unprivileged: Any, images: Path, tmp_path: Path
) -> None:
    image = next(images.rglob("*.jpg"))
    shut, late, out = tmp_path / "shut.jpg", tmp_path / "late.jpg", tmp_path / "work" / "out.jsonl"
    shutil.copy(image, shut)
    shut.chmod(0)
    first = unprivileged(image, shut, late, "-o", out)
    told = "3 new: 1 ok, 2 failed (1 permission_denied, 1 not_found)\n"
    assert (first.returncode, first.stderr) == (3, told)
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [record.get("file", {}).get("size") for record in records] == [
        image.stat().st_size, shut.stat().st_size, None,
    ]  # fmt: skip
    again = unprivileged(image, shut, late, "-o", out)
    told = "nothing new; 2 older failures, --retry-errors tries them again\n"
    assert (again.returncode, again.stderr) == (0, told)
    shut.chmod(0o644)
    shutil.copy(image, late)
    mended = unprivileged(image, shut, late, "-o", out)
    assert (mended.returncode, mended.stderr) == (0, "2 new: 2 ok\n")
    assert unprivileged(image, shut, late, "-o", tmp_path / "whole" / "out.jsonl").returncode == 0
    assert tree(out.parent) == tree(tmp_path / "whole")


# Exit codes, of this run


def test_what_cron_sees_night_after_night(classify: Any, images: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out" / "out.csv"
    good = sorted((images / "000").glob("*.png"))[:3]
    folder.mkdir()

    def night(*options: str) -> tuple[int, str]:
        done = classify(folder, "-o", out, *options)
        return done.returncode, done.stderr.splitlines()[-1] if done.stderr else ""

    assert night() == (4, "no images found")
    for path in good[:2]:
        shutil.copy(path, folder)
    (folder / "bad.png").write_bytes(good[0].read_bytes()[:200])
    assert night() == (3, "3 new: 2 ok, 1 failed (1 truncated)")
    older = "1 older failure, --retry-errors tries it again"
    assert night() == (0, f"nothing new; {older}")
    assert night("--strict") == (3, f"nothing new; {older}")
    shutil.copy(good[2], folder)
    assert night() == (0, f"1 new: 1 ok; {older}")
    assert night("--retry-errors") == (3, "1 new: 0 ok, 1 failed (1 truncated)")
    for path in folder.iterdir():
        path.unlink()
    assert night()[0] == 0  # what has been computed is there
    (folder / "late.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert night() == (3, "1 new: 0 ok, 1 failed (1 truncated)")
    assert len(rows(out)) == 4


def test_a_failure_that_is_no_image_any_more_is_no_input(
    classify: Any, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "work" / "out.csv"
    bad = pictures / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n")
    assert classify(pictures, "-o", out).returncode == 3
    bad.write_text("a note", encoding="utf-8")
    assert classify(pictures, "-o", out).returncode == 0
    assert classify(pictures, "-o", tmp_path / "whole" / "out.csv").returncode == 0
    assert tree(out.parent) == tree(tmp_path / "whole")


def test_no_result_at_all(classify: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n")
    for told in ("1 new: 0 ok, 1 failed (1 truncated)", "nothing new; 1 older failure, "):
        done = classify(bad, "-o", tmp_path / "out" / "out.jsonl")
        assert done.returncode == 4
        assert done.stderr.startswith(told)


def test_a_run_into_files_says_what_it_did(classify: Any, pictures: Path, tmp_path: Path) -> None:
    assert classify(pictures, "-o", tmp_path / "out.csv").stderr == "3 new: 3 ok\n"
    assert classify(pictures, "-o", tmp_path / "out.csv").stderr == ""
    assert classify(pictures).stderr == ""


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_table_with_the_columns_of_an_earlier_version_is_refused(
    classify: Any, pictures: Path, tmp_path: Path, name: str
) -> None:
    out, note = tmp_path / name, tmp_path / f"{name}.run.json"
    assert classify(pictures, "-o", out).returncode == 0
    if name == "out.csv":
        table = pandas.read_csv(out).drop(columns=["message", "size", "modified"])
        table.to_csv(out, index=False)
        told = json.loads(note.read_bytes())
        told["committed"][name] = out.stat().st_size
        note.write_text(json.dumps(told), encoding="utf-8")
    else:
        table = pyarrow.parquet.read_table(out).drop_columns(["message", "size", "modified"])
        pyarrow.parquet.write_table(table, out)
    before = tree(tmp_path)
    done = classify(pictures, "-o", out)
    assert done.returncode == 7
    assert "its first columns are path,status,error,id_1,label_1,probability_1" in done.stderr
    assert "an earlier version wrote it; --overwrite starts anew" in done.stderr
    assert tree(tmp_path) == before


def test_output_inside_of_the_input_folder(classify: Any, images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    shutil.copytree(images, folder)
    out = folder / "000" / "out.csv"
    for code in (3, 0):
        assert classify(folder, "-o", out).returncode == code
        assert len(rows(out)) == 30


def test_a_file_that_vanishes_is_a_failure(small_weights: Path, tmp_path: Path) -> None:
    """Found by the walk, gone when its turn comes."""
    folder = tmp_path / "in"
    make_images(folder, 400)
    out = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "inceptioncli", "classify", "-w", str(small_weights)]
    process = start([*command, str(folder), "-j", "1", "-o", str(out)])
    while not out.exists() or not out.stat().st_size:
        time.sleep(0.005)
    for path in sorted((folder / "000").iterdir()):
        path.unlink()
    assert process.wait(120) == 3
    codes = [code for _, _, code in rows(out)]
    assert codes.count("not_found") > 0
    assert len(codes) == 400


# Progress


def shown_on_a_terminal(command: list[str]) -> bytes:
    """What a run with failures tells there."""
    parent, child = pty.openpty()
    process = start(command, stdout=subprocess.PIPE, stderr=child)
    os.close(child)
    shown = b""
    while select.select([parent], [], [], 60)[0]:
        try:
            chunk = os.read(parent, 4096)
        except OSError:  # the other end is closed
            break
        shown += chunk
    assert process.wait(60) == 3
    os.close(parent)
    return shown


def test_a_bar_on_a_terminal_alone(small_weights: Path, images: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "inceptioncli", "classify", "-w", str(small_weights)]
    command += [str(images), "-o", str(tmp_path / "out.csv")]
    shown = shown_on_a_terminal(command)
    assert b"30/30" in shown
    assert b"failed" in shown
    assert b"img/s" in shown
    quiet = subprocess.run([*command, "--overwrite"], capture_output=True, check=False)
    assert quiet.stderr.count(b"\n") == 1


_COUNTED = """
import atexit, collections, sys
opened = collections.Counter()
def count(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        opened[arguments[0]] += 1
sys.addaudithook(count)
folder, told, *sys.argv[1:] = sys.argv[1:]
def tell():
    counts = [number for path, number in opened.items() if path.startswith(folder)]
    print(*counts, file=open(told, "w"))
atexit.register(tell)
from inceptioncli.cli import main
main()
"""


def test_a_file_is_opened_to_be_told_from_others_and_to_be_read(
    small_weights: Path, images: Path, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    command = [sys.executable, "-c", _COUNTED, f"{images}/", str(told), "classify"]
    command += ["-w", str(small_weights), "-j", "0", str(images), "-o", str(tmp_path / "out.csv")]
    assert b"30/30" in shown_on_a_terminal(command)
    assert set(told.read_text().split()) == {"2"}
