"""Runs for Python users: the command line's files, and what happens on the way."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

import inceptioncli
from inceptioncli import Batch, Record, Summary
from inceptioncli.errors import ExitCode, ForeignOutputError, TooManyFailuresError, UsageError
from inceptioncli.records import FileStamp
from inceptioncli.runs.values import Committed, Waiting
from tests.conftest import Run as Command

pytestmark = pytest.mark.slow

HERE = Batch(workers=0)


@pytest.fixture(scope="module")
def classifier(small_weights: Path, session_cache: Path) -> inceptioncli.Classifier:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INCEPTIONCLI_CACHE", str(session_cache))
        return inceptioncli.load(small_weights, device="cpu")


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_run_tells_what_happens_and_ends_with_a_summary(
    classifier: inceptioncli.Classifier, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "bad.png").write_bytes((pictures / "b.png").read_bytes()[:300])
    out = tmp_path / "out" / "labels.csv"
    with classifier.run(pictures, out, batch=HERE) as run:
        assert run.summary == Summary(0, {})
        events = list(run)
    records = [event for event in events if isinstance(event, Record)]
    assert [Path(record.path).name for record in records] == ["a.jpg", "b.png", "bad.png", "c.webp"]
    assert all(isinstance(event, Record | Committed | Waiting) for event in events)
    assert run.summary == Summary(3, {"truncated": 1})
    assert run.summary.exit_code == ExitCode.SOME_FAILED
    assert list(pandas.read_csv(out)["path"]) == [record.path for record in records]


@pytest.mark.parametrize("name", ["labels.csv", "labels.jsonl", "labels.parquet", "features"])
def test_program_and_command_line_continue_each_other(
    classifier: inceptioncli.Classifier,
    small_weights: Path,
    pictures: Path,
    run: Command,
    tmp_path: Path,
    name: str,
) -> None:
    command = ["features", "-e", "Logits"] if name == "features" else ["classify", "-k", "3"]
    command += ["-w", str(small_weights), str(pictures), "-o"]

    def ours(folder: Path) -> Any:
        if name == "features":
            return classifier.run_features(
                pictures, folder / name, end_points=["Logits"], batch=HERE
            )
        return classifier.run([str(pictures)], folder / name, top_k=3, batch=HERE)

    late = pictures / "b.png"
    late.rename(tmp_path / "b.png")
    assert ours(tmp_path / "a").finish().ok == 2
    assert run(*command, tmp_path / "b" / name).returncode == 0
    shutil.move(tmp_path / "b.png", late)
    assert run(*command, tmp_path / "a" / name).returncode == 0
    assert ours(tmp_path / "b").finish() == Summary(ok=1, failures={}, older_ok=2)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_what_is_done_is_kept_when_a_run_is_left(
    classifier: inceptioncli.Classifier, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "labels.jsonl"
    with classifier.run(pictures, out, batch=HERE) as run:
        next(iter(run))
    assert len(out.read_text(encoding="utf-8").splitlines()) == 1
    assert json.loads((out.parent / "labels.jsonl.run.json").read_bytes())["status"] == "unfinished"
    with classifier.run(pictures, out, batch=HERE) as run:
        assert sum(isinstance(event, Record) for event in run) == 2
    assert run.summary == Summary(2, {}, older_ok=1)
    with pytest.raises(ForeignOutputError, match="top_k"):
        classifier.run(pictures, out, top_k=1, batch=HERE)
    again = classifier.run(pictures, out, top_k=1, batch=HERE._replace(overwrite=True))
    assert again.finish().ok == 3


def test_what_can_not_run_touches_no_output(
    small_weights: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "labels.csv"
    with inceptioncli.load(small_weights, device="cpu") as classifier:
        assert classifier.run(pictures, out, batch=HERE).finish().ok == 3
        before = tree(tmp_path)
        for wrong in ({"workers": -1}, {"timeout": 0.0}, {"max_errors": -1}):
            with pytest.raises(UsageError):
                classifier.run(pictures, out, batch=Batch(overwrite=True, **wrong))
    with pytest.raises(UsageError, match="closed"):
        classifier.run(pictures, out, batch=HERE._replace(overwrite=True))
    assert tree(tmp_path) == before


def test_too_many_failures_end_a_run(
    classifier: inceptioncli.Classifier, pictures: Path, tmp_path: Path
) -> None:
    images = [str(tmp_path / f"{number}.jpg") for number in range(5)]
    out = tmp_path / "out" / "labels.csv"
    with pytest.raises(TooManyFailuresError, match="2 failed"):
        classifier.run(images, out, batch=HERE._replace(max_errors=1)).finish()
    assert len(pandas.read_csv(out)) == 2
    # So many of this run: what failed before does not count.
    with pytest.raises(TooManyFailuresError, match="2 failed"):
        classifier.run(images, out, batch=HERE._replace(max_errors=1)).finish()
    last = classifier.run(images, out, batch=HERE._replace(max_errors=1)).finish()
    assert last == Summary(0, {"not_found": 1}, older_failures={"not_found": 4})
    kept = classifier.run(images, None, batch=HERE)
    assert kept.finish() == Summary(0, {"not_found": 5})
    assert kept.summary.exit_code == ExitCode.NONE_OK


def test_features_in_the_same_pass(
    classifier: inceptioncli.Classifier, pictures: Path, tmp_path: Path
) -> None:
    with classifier.run(
        pictures, tmp_path / "a" / "out.csv", dump=["Logits"], dump_dir=tmp_path / "b", batch=HERE
    ) as run:
        records = [event for event in run if isinstance(event, Record)]
    rows = np.load(tmp_path / "b" / "Logits.npy")
    np.testing.assert_array_equal(rows, [record.features["Logits"] for record in records])
    assert all(record.predictions for record in records)
    with pytest.raises(UsageError, match="go together"):
        classifier.run(pictures, dump=["Logits"], batch=HERE)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"batch": HERE._replace(retry_errors=True)}, "--retry-errors goes with --output"),
        ({"batch": HERE._replace(retry_changed=True)}, "--retry-changed goes with --output"),
        ({"batch": HERE._replace(overwrite=True)}, "--overwrite goes with --output or --dump-dir"),
        ({"format": "parquet"}, "-f parquet goes with --output"),
        ({"output": "a.csv", "format": "text"}, "format text"),
        ({"dump": ["Logits"]}, "--dump END_POINT and --dump-dir DIR go together"),
        ({"dump_dir": "dumps"}, "--dump END_POINT and --dump-dir DIR go together"),
    ],
)
def test_options_that_need_an_output(
    classifier: inceptioncli.Classifier, pictures: Path, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        classifier.run(pictures, **given)


def test_options_of_a_note_that_are_damaged(
    classifier: inceptioncli.Classifier, pictures: Path, tmp_path: Path
) -> None:
    """They are read before the output is opened, too."""
    classifier.run_features(pictures, tmp_path, batch=HERE).finish()
    note = json.loads((tmp_path / "run.json").read_bytes())
    for options in (3, {"end_points": 3}, {"end_points": [[]]}, None):
        (tmp_path / "run.json").write_text(json.dumps({**note, "options": options}))
        with pytest.raises(ForeignOutputError, match="in the way"):
            classifier.run_features(pictures, tmp_path, batch=HERE)
    anew = HERE._replace(overwrite=True)
    assert classifier.run_features(pictures, tmp_path, batch=anew).finish().ok == 3


def test_pictures_of_a_program_go_into_files(
    classifier: inceptioncli.Classifier, pictures: Path, tmp_path: Path
) -> None:
    named = [(path.name, path.read_bytes()) for path in sorted(pictures.iterdir())]
    out = tmp_path / "out.jsonl"
    assert classifier.run(named, out, batch=HERE).finish().ok == 3
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["path"] for line in lines] == ["a.jpg", "b.png", "c.webp"]
    with classifier.run(iter([*named, ("d.jpg", named[0][1])]), out, batch=HERE) as run:
        assert [event.path for event in run if isinstance(event, Record)] == ["d.jpg"]


def test_a_summary_is_of_this_run(
    classifier: inceptioncli.Classifier, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "labels.jsonl"
    bad = pictures / "bad.png"
    bad.write_bytes((pictures / "b.png").read_bytes()[:300])
    first = classifier.run(pictures, out, batch=HERE).finish()
    assert (first, first.exit_code) == (Summary(3, {"truncated": 1}), ExitCode.SOME_FAILED)
    again = classifier.run(pictures, out, batch=HERE).finish()
    assert again == Summary(0, {}, older_ok=3, older_failures={"truncated": 1})
    assert again.exit_code == ExitCode.OK
    strict = classifier.run(pictures, out, batch=HERE._replace(strict=True)).finish()
    assert strict.exit_code == ExitCode.SOME_FAILED
    os.utime(pictures / "a.jpg", ns=(1, 1))
    os.utime(bad, ns=(1, 1))
    changed = classifier.run(pictures, out, batch=HERE).finish()
    assert changed == Summary(0, {"truncated": 1}, older_ok=3, changed=1)
    mended = classifier.run(pictures, out, batch=HERE._replace(retry_changed=True)).finish()
    assert mended == Summary(1, {}, older_ok=2, older_failures={"truncated": 1})
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["file"]["modified"][:4] for line in lines][::2] == ["1970", "1970"]
    assert lines[1]["file"]["size"] == (pictures / "b.png").stat().st_size


def test_pictures_that_are_no_files_have_none(
    classifier: inceptioncli.Classifier, pictures: Path, tmp_path: Path
) -> None:
    content = (pictures / "a.jpg").read_bytes()
    given = [("a", content), ("b", content[:100]), str(pictures / "b.png")]
    with classifier.run(iter(given), tmp_path / "out.jsonl", batch=HERE) as run:
        found = [event.file for event in run if isinstance(event, Record)]
    assert found == [None, None, FileStamp.of((pictures / "b.png").stat())]


def test_failures_of_an_earlier_list_stay(
    classifier: inceptioncli.Classifier, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    for name in "ab":
        batch = HERE._replace(retry_errors=name == "b")
        classifier.run(iter([(name, b"no image")]), out, batch=batch).finish()
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["path"] for line in lines] == ["a", "b"]
