"""`classify`, in processes of its own: results, records, streams, exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from PIL import Image

from tests.conftest import SMALL_GRAPH, Run
from tests.processes import start

pytestmark = pytest.mark.slow


def classify(run: Run, weights: Path, *arguments: str | Path, **options: Any) -> Any:
    return run("classify", "--device", "cpu", "-w", weights, *arguments, **options)


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# Results


def test_predictions_equal_keras_from_file_to_output(
    run: Run, published_file: Path, keras_model: Any, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(9).integers(0, 256, (2, 299, 299, 3), dtype=np.uint8)
    names = [str(tmp_path / f"{number}.png") for number in range(2)]
    for name, image in zip(names, pixels, strict=True):
        Image.fromarray(image).save(name)
    done = classify(run, published_file, "-k", "1000", "-f", "jsonl", *names)
    assert done.returncode == 0, done.stderr
    theirs = keras_model.predict(pixels / 127.5 - 1, verbose=0)
    for record, name, probabilities in zip(records(done.stdout), names, theirs, strict=True):
        assert (record["path"], record["status"]) == (name, "ok")
        ours = np.empty(1000)
        for prediction in record["predictions"]:
            ours[prediction["index"]] = prediction["probability"]
        assert np.abs(ours - probabilities).max() < 1e-5
        top = record["predictions"][0]
        assert top["index"] == probabilities.argmax()
        ranked = [prediction["probability"] for prediction in record["predictions"]]
        assert ranked == sorted(ranked, reverse=True)


def test_imagenet_labels_and_slims_background(run: Run, slim_files: Any, pictures: Path) -> None:
    done = classify(run, slim_files.v2, "-k", "1001", "-f", "jsonl", pictures / "a.jpg")
    labels = {p["index"]: (p["id"], p["label"]) for p in records(done.stdout)[0]["predictions"]}
    assert labels[0] == (None, "background")
    assert labels[410] == ("n02708093", "analog clock")


def test_text(run: Run, small_weights: Path, pictures: Path) -> None:
    done = classify(run, small_weights, "-k", "2", pictures)
    lines = done.stdout.splitlines()
    assert lines[0] == f"{pictures}/a.jpg"
    assert lines[3] == f"{pictures}/b.png"
    assert lines[1].strip().endswith(tuple(f"class {number}" for number in range(7)))
    assert float(lines[1].split("%")[0]) >= float(lines[2].split("%")[0])
    assert done.stderr == ""


def test_json_and_csv_say_what_jsonl_says(run: Run, small_weights: Path, pictures: Path) -> None:
    inputs = [pictures, "nowhere.jpg"]
    lines = classify(run, small_weights, "-k", "3", "-f", "jsonl", *inputs)
    assert lines.returncode == 3
    expected = records(lines.stdout)
    whole = classify(run, small_weights, "-k", "3", "-f", "json", *inputs)
    assert json.loads(whole.stdout) == expected
    table = classify(run, small_weights, "-k", "3", "-f", "csv", *inputs)
    rows = list(csv.DictReader(io.StringIO(table.stdout)))
    for row, record in zip(rows, expected, strict=True):
        assert (row["path"], row["status"]) == (record["path"], record["status"])
        assert row["error"] == record.get("error", {}).get("code", "")
        assert row["message"] == record.get("error", {}).get("message", "")
        assert row["size"] == str(record.get("file", {}).get("size", ""))
        assert row["modified"] == record.get("file", {}).get("modified", "")
        for rank, prediction in enumerate(record.get("predictions", []), start=1):
            assert row[f"label_{rank}"] == prediction["label"]
            assert float(row[f"probability_{rank}"]) == prediction["probability"]
    frame = pandas.read_csv(io.StringIO(table.stdout))
    common = ["path", "status", "error", "message", "size", "modified"]
    assert list(frame.columns[:9]) == [*common, "id_1", "label_1", "probability_1"]
    assert len(frame) == 4
    assert len(pandas.read_json(io.StringIO(lines.stdout), lines=True)) == 4


def test_top_k_beyond_the_classes_and_threshold(
    run: Run, small_weights: Path, pictures: Path
) -> None:
    done = classify(run, small_weights, "-k", "50", "-f", "jsonl", pictures)
    everything = [record["predictions"] for record in records(done.stdout)]
    assert [len(predictions) for predictions in everything] == [7, 7, 7]
    for predictions in everything:
        assert abs(sum(p["probability"] for p in predictions) - 1) < 1e-5
    limit = everything[0][2]["probability"]
    done = classify(run, small_weights, "-t", limit, "-f", "jsonl", pictures / "a.jpg")
    assert records(done.stdout)[0]["predictions"] == everything[0][:3]
    done = classify(run, small_weights, "-t", "1", pictures / "a.jpg")
    assert "no class reaches the threshold" in done.stdout
    assert done.returncode == 0


def test_labels_and_crop(run: Run, small_weights: Path, pictures: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("".join(f"n0000000{number} thing {number}\n" for number in range(7)))
    done = classify(run, small_weights, "--labels", names, "-f", "jsonl", pictures / "b.png")
    for prediction in records(done.stdout)[0]["predictions"]:
        assert prediction["label"] == f"thing {prediction['index']}"
        assert prediction["id"] == f"n0000000{prediction['index']}"
    cropped = classify(run, small_weights, "--crop", "0.5", "-f", "jsonl", pictures / "b.png")
    assert records(cropped.stdout)[0]["predictions"] != records(done.stdout)[0]["predictions"]


def test_options_come_from_the_environment(run: Run, small_weights: Path, pictures: Path) -> None:
    environment = {
        **os.environ,
        "INCEPTIONCLI_WEIGHTS": str(small_weights),
        "INCEPTIONCLI_DEVICE": "cpu",
        "INCEPTIONCLI_CLASSIFY_TOP_K": "2",
        "INCEPTIONCLI_CLASSIFY_FORMAT": "jsonl",
    }
    done = run("classify", pictures / "a.jpg", env=environment)
    assert len(records(done.stdout)[0]["predictions"]) == 2
    environment["INCEPTIONCLI_CLASSIFY_WEIGHTS"] = "nowhere.h5"  # the more specific wins
    assert run("classify", pictures / "a.jpg", env=environment).returncode == 5


# Inputs


def test_standard_input_and_lists(run: Run, small_weights: Path, pictures: Path) -> None:
    from_path = classify(run, small_weights, "-f", "jsonl", pictures / "a.jpg")
    content = (pictures / "a.jpg").read_bytes()
    piped = classify(run, small_weights, "-f", "jsonl", "-", input=content, text=False)
    record = records(piped.stdout.decode())[0]
    assert record["path"] == "-"
    assert record["predictions"] == records(from_path.stdout)[0]["predictions"]

    names = f"{pictures}/b.png\n{pictures}/missing.png\n{pictures}/b.png\n"
    listed = classify(run, small_weights, "-f", "jsonl", "-i", "-", input=names)
    assert listed.returncode == 3
    assert [r["status"] for r in records(listed.stdout)] == ["ok", "error", "ok"]
    zero = names.replace("\n", "\0")
    listed = classify(
        run, small_weights, "-f", "jsonl", "-i", "-", "-0", pictures / "c.webp", input=zero
    )
    assert [Path(r["path"]).name for r in records(listed.stdout)] == [
        "c.webp", "b.png", "missing.png", "b.png",
    ]  # fmt: skip


def test_strange_names_round_trip_and_never_reach_the_terminal(
    run: Run, small_weights: Path, pictures: Path
) -> None:
    folder = pictures / "strange"
    folder.mkdir()
    names = [b"new\nline.png", b'quo"te,.png', b"=1+1.png", b"\xff\xfe.png", b"\x1b[31mred.png"]
    names += ["café 猫.png".encode(), b"x" * 246 + b".png", b"\xc2\x9b31mC1.png"]
    for name in names:
        shutil.copy(pictures / "b.png", os.path.join(os.fsencode(folder), name))
    lines = classify(run, small_weights, "-f", "jsonl", folder, text=False)
    assert lines.returncode == 0
    paths = [json.loads(line)["path"] for line in lines.stdout.splitlines()]
    assert {os.fsencode(Path(path).name) for path in paths} == set(names)
    table = classify(run, small_weights, "-f", "csv", folder, text=False)
    rows = csv.DictReader(io.StringIO(table.stdout.decode("utf-8", "surrogateescape"), newline=""))
    assert [row["path"] for row in rows] == paths
    text = classify(run, small_weights, folder, text=False)
    for output in (text.stdout, lines.stdout):
        assert b"\x1b" not in output
        assert b"\xc2\x9b" not in output
    assert "café 猫.png".encode() in text.stdout
    failing = classify(run, small_weights, b"\x1b[31mnowhere\n.png".decode(), text=False)
    assert b"\\x1b[31mnowhere\\n.png: not_found" in failing.stderr
    assert b"\x1b" not in failing.stderr


# Bad input


@pytest.fixture
def bad_inputs(pictures: Path) -> list[tuple[str, str]]:
    """Paths and the codes that they fail with."""
    (pictures / "text.jpg").write_text("hello")
    (pictures / "empty.jpg").write_bytes(b"")
    whole = (pictures / "a.jpg").read_bytes()
    (pictures / "short.jpg").write_bytes(whole[: len(whole) // 2])
    Image.new("1", (12_000, 8_000)).save(pictures / "bomb.png")
    (pictures / "photo.jxl").write_bytes(b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20))
    codes = {
        "nowhere.jpg": "not_found",
        "text.jpg": "unidentified",
        "empty.jpg": "unidentified",
        "short.jpg": "truncated",
        "bomb.png": "too_many_pixels",
        "photo.jxl": "unsupported_format",
    }
    return [(str(pictures / name), code) for name, code in codes.items()]


def test_a_bad_input_costs_one_record(
    run: Run, small_weights: Path, pictures: Path, bad_inputs: list[tuple[str, str]]
) -> None:
    paths = [path for path, _ in bad_inputs]
    good = str(pictures / "b.png")
    inputs = [good, *paths, good]
    done = classify(run, small_weights, "-f", "jsonl", *inputs)
    assert done.returncode == 3
    result = records(done.stdout)
    assert [record["path"] for record in result] == inputs
    assert [record["error"]["code"] for record in result[1:-1]] == [code for _, code in bad_inputs]
    assert result[0] == result[-1]
    assert done.stderr.splitlines()[-1] == (
        "8 new: 2 ok, 6 failed (2 unidentified, 1 not_found, 1 truncated, 1 too_many_pixels, "
        "1 unsupported_format)"
    )

    text = classify(run, small_weights, *inputs)
    assert text.stdout.count(good) == 2
    errors = text.stderr.splitlines()
    assert len(errors) == len(paths) + 1
    for line, (path, code) in zip(errors, bad_inputs, strict=False):
        assert line.startswith(f"{path}: {code}: ")


def test_an_unreadable_file_costs_one_record(small_weights: Path, pictures: Path) -> None:
    (pictures / "a.jpg").chmod(0)
    command = [sys.executable, "-m", "inceptioncli", "classify", "-f", "jsonl"]
    command += ["-w", str(small_weights), str(pictures / "a.jpg"), str(pictures)]
    if os.geteuid() == 0:  # Root reads everything, unless it gives that right up.
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    codes = [record.get("error", {}).get("code") for record in records(done.stdout)]
    assert codes == ["permission_denied", "permission_denied", None, None]


def test_nothing_classified_is_exit_4(run: Run, small_weights: Path, tmp_path: Path) -> None:
    done = classify(run, small_weights, tmp_path / "nowhere.jpg")
    assert done.returncode == 4
    assert done.stderr.splitlines() == [
        f"{tmp_path}/nowhere.jpg: not_found: no such file or folder",
        "1 new: 0 ok, 1 failed (1 not_found)",
    ]
    (tmp_path / "folder").mkdir()
    done = classify(run, small_weights, tmp_path / "folder")
    assert done.returncode == 4
    assert "no images in this folder" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "No images given"),
        (["-0", "x.jpg"], "-0 goes with --input-list"),
        (["-i", "-", "-"], "Standard input can be read only once"),
        (["-", "-"], "Standard input can be read only once"),
        (["-k", "0", "x.jpg"], "--top-k"),
        (["-t", "1.5", "x.jpg"], "--threshold"),
        (["-t", "nan", "x.jpg"], "threshold nan is not in [0, 1]"),
        (["-f", "xml", "x.jpg"], "--format"),
        (["--crop", "0", "x.jpg"], "--crop"),
        (["-i", "nowhere.txt"], "nowhere.txt"),
        (["--device", "tpu", "x.jpg"], "unknown device 'tpu'"),
        (["--device", "cpu", "--precision", "float16", "x.jpg"], "use float32 or int8"),
        (["--labels", "nowhere.txt", "x.jpg"], "nowhere.txt: cannot read labels"),
    ],
)
def test_usage_errors_are_exit_2(
    run: Run, small_weights: Path, arguments: list[str], message: str
) -> None:
    done = run("classify", "-w", small_weights, *arguments, input="")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_labels_that_do_not_fit(
    run: Run, small_weights: Path, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    done = classify(run, small_weights, "--labels", tmp_path / "labels.txt", pictures)
    assert done.returncode == 2
    assert "2 labels, but the model has 7 classes" in done.stderr


def test_weights_errors_are_exit_5_and_one_line(
    run: Run, small_weights: Path, pictures: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(small_weights.read_bytes()[:-100])
    for weights, message in (
        ("imagnet", "unknown weights 'imagnet'; did you mean 'imagenet'?"),
        (tmp_path / "nowhere.h5", "no such weight file"),
        (bad, "damaged safetensors file"),
        (pictures / "a.jpg", "no layout that is known here; expected a Keras"),
    ):
        done = classify(run, weights, pictures)
        assert done.returncode == 5
        lines = done.stderr.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("Error: ")
        assert message in lines[0]
        debugged = classify(run, weights, "--debug", pictures)
        assert "Traceback" in debugged.stderr


def test_offline_without_weights(run: Run, pictures: Path, own_cache: Path) -> None:
    done = run("classify", "--offline", pictures)
    assert done.returncode == 5
    assert "inceptioncli weights download imagenet" in done.stderr
    assert done.stderr.count("\n") == 1


def test_weights_without_a_classifier(
    run: Run, keras_model: Any, pictures: Path, tmp_path: Path
) -> None:
    from tests.oracles.keras import save_published_layout

    save_published_layout(keras_model, tmp_path / "notop.h5", top=False)
    done = classify(run, tmp_path / "notop.h5", pictures)
    assert done.returncode == 5
    assert "gives features only" in done.stderr


# Streams and signals


def classifying(weights: Path, *arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "inceptioncli", "classify", "--device", "cpu"]
    command += ["-w", str(weights), *map(str, arguments)]
    return start(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE, **options
    )


def test_each_result_is_printed_when_it_is_there(small_weights: Path, pictures: Path) -> None:
    process = classifying(small_weights, "-f", "jsonl", pictures / "a.jpg", "-i", "-")
    assert process.stdout is not None
    assert process.stdin is not None
    # The list is still open: the first record must not wait for its end.
    assert select.select([process.stdout], [], [], 60)[0]
    assert b"a.jpg" in process.stdout.readline()
    process.stdin.close()
    process.wait(60)


def test_a_closed_pipe_ends_the_run_quietly(small_weights: Path, pictures: Path) -> None:
    process = classifying(small_weights, "-f", "jsonl", *[pictures] * 500)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr.read() == b""


def test_a_full_disk_is_exit_6(run: Run, small_weights: Path, pictures: Path) -> None:
    with open("/dev/full", "wb") as full:
        process = subprocess.run(
            [sys.executable, "-m", "inceptioncli", "classify", "-w", small_weights, pictures],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert process.returncode == 6
    assert process.stderr == b"Error: cannot write results: No space left on device\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(small_weights: Path, pictures: Path, number: int, code: int) -> None:
    # Unbuffered: what is read ahead of the first line would be lost to `communicate`.
    process = classifying(small_weights, "-f", "jsonl", *[pictures] * 5000, bufsize=0)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.2)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert b"Traceback" not in errors
    for line in output.splitlines()[:-1]:
        json.loads(line)


@pytest.mark.parametrize(("closed", "code"), [("2>&-", 0), ("<&-", 0), (">&-", 6), (">&- 2>&-", 6)])
def test_closed_standard_streams(
    small_weights: Path, pictures: Path, closed: str, code: int
) -> None:
    command = f'"{sys.executable}" -m inceptioncli classify -w "$0" "$1" {closed}'
    done = subprocess.run(
        ["sh", "-c", command, small_weights, pictures / "a.jpg"], capture_output=True, check=False
    )
    assert done.returncode == code
    assert (b"class" in done.stdout) == (code == 0)
    assert b"Traceback" not in done.stderr


def test_a_file_needs_no_standard_output(
    small_weights: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    command = f'"{sys.executable}" -m inceptioncli classify -w "$0" "$1" -o "$2" >&-'
    arguments = [small_weights, pictures / "a.jpg", out]
    done = subprocess.run(["sh", "-c", command, *arguments], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"1 new: 1 ok\n")
    assert out.read_bytes().count(b"\n") == 1


@pytest.mark.skipif(sys.version_info < (3, 11), reason="PYTHONSAFEPATH came with Python 3.11")
def test_modules_in_the_current_folder_are_not_imported(
    small_weights: Path, pictures: Path, tmp_path: Path, run: Run
) -> None:
    for name in ("socket", "pickle", "signal", "numpy", "PIL"):
        (tmp_path / f"{name}.py").write_text("open('imported', 'w')", encoding="utf-8")
    script = Path(sys.executable).with_name("inceptioncli")
    command = [script, "classify", "-w", small_weights, "-j", "1", pictures]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "imported").exists()


def test_help_into_a_closed_pipe() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "inceptioncli", "--help"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_version_and_help(run: Run) -> None:
    from inceptioncli import __version__

    assert run("--version").stdout == f"inceptioncli, version {__version__}\n"
    assert run("nonsense").returncode == 2
    assert "classify" in run("--help").stdout


def test_the_small_graph_is_what_ran(run: Run, small_weights: Path) -> None:
    done = run("weights", "verify", small_weights)
    assert f"{SMALL_GRAPH.classes} classes, depth multiplier 0.1" in done.stdout


def test_an_interrupted_array_is_whole(small_weights: Path, pictures: Path) -> None:
    process = classifying(small_weights, "-f", "json", *[pictures] * 5000)
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    output = first + process.stdout.read()
    assert process.wait(60) == 130
    assert len(json.loads(output)) > 0
