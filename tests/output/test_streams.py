from __future__ import annotations

import contextlib
import io
import json

import pytest

from inceptioncli.output.formats import STREAM_FORMATS, stream_lines
from inceptioncli.output.streams import StreamWriter
from inceptioncli.records import Failure, FileStamp, Prediction, Record

OK = Record(
    "a.jpg",
    (Prediction(3, "n1", "cat", 0.75), Prediction(0, None, "do,g", 0.25)),
    file=FileStamp(48213, "2026-11-24T08:45:19.123456789Z"),
)
BAD = Record("b\x1b[31m.jpg", failure=Failure("truncated", "image file is truncated"))


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


def written(name: str, *records: Record, stream: io.BytesIO | None = None) -> str:
    stream = stream or io.BytesIO()
    with StreamWriter(stream, stream_lines(name, columns=2)) as writer:
        for record in records:
            writer.write(record)
    return stream.getvalue().decode("utf-8")


def test_jsonl_is_the_contract_to_the_letter() -> None:
    assert written("jsonl", OK, BAD) == (
        '{"path": "a.jpg", "status": "ok", '
        '"file": {"size": 48213, "modified": "2026-11-24T08:45:19.123456789Z"}, "predictions": ['
        '{"index": 3, "id": "n1", "label": "cat", "probability": 0.75}, '
        '{"index": 0, "id": null, "label": "do,g", "probability": 0.25}]}\n'
        '{"path": "b\\u001b[31m.jpg", "status": "error", '
        '"error": {"code": "truncated", "message": "image file is truncated"}}\n'
    )


def test_json_is_one_array_even_of_nothing() -> None:
    assert [record["path"] for record in json.loads(written("json", OK, BAD))] == [
        "a.jpg",
        "b\x1b[31m.jpg",
    ]
    assert json.loads(written("json")) == []


def test_csv_has_a_row_for_each_record() -> None:
    assert written("csv", OK, BAD) == (
        "path,status,error,message,size,modified,id_1,label_1,probability_1,id_2,label_2,"
        "probability_2\n"
        'a.jpg,ok,,,48213,2026-11-24T08:45:19.123456789Z,n1,cat,0.75,,"do,g",0.25\n'
        "b\x1b[31m.jpg,error,truncated,image file is truncated,,,,,,,,\n"
    )


def test_csv_quotes_a_lone_carriage_return() -> None:
    text = written("csv", Record("a\rb.jpg", failure=Failure("truncated", "")))
    assert text.splitlines(keepends=True)[1:] == ['"a\r', 'b.jpg",error,truncated,,,,,,,,,\n']


def test_text_leaves_failures_to_the_caller() -> None:
    assert written("text", OK, BAD) == "a.jpg\n   75.00%  cat  (n1)\n   25.00%  do,g\n"


@pytest.mark.parametrize("name", STREAM_FORMATS)
@pytest.mark.parametrize("odd", ["\x1b]0;x\x07", "\x9b31m", "\u202egpj.exe", "\u2066", "\x7f"])
@pytest.mark.parametrize("where", ["path", "id", "label", "message"])
def test_a_terminal_gets_no_control_characters(name: str, odd: str, where: str) -> None:
    """In one place at a time: what is done for one would hide what is not for another."""
    path, id, label, message = (
        f"a{odd}" if where == each else "a" for each in ("path", "id", "label", "message")
    )
    record = Record(path, (Prediction(0, id, label, 1.0),))
    failure = Record(path, failure=Failure("truncated", message))
    text = written(name, record, failure, stream=Terminal())
    assert all(character.isprintable() or character == "\n" for character in text)
    if name == "jsonl":  # Nothing is lost.
        first, second = map(json.loads, text.splitlines())
        assert first["predictions"][0]["label"] == label
        assert (first["path"], second["error"]["message"]) == (path, message)


def test_json_escapes_nothing_else() -> None:
    text = written("jsonl", Record("caf\xe9.jpg", (Prediction(0, None, "\u732b\U0001f408", 1.0),)))
    assert "caf\xe9.jpg" in text
    assert "\u732b\U0001f408" in text


class Flushed(io.BytesIO):
    """Keeps what has been flushed."""

    flushed = b""

    def flush(self) -> None:
        self.flushed = self.getvalue()


@pytest.mark.parametrize("name", STREAM_FORMATS)
def test_every_record_is_flushed(name: str) -> None:
    stream = Flushed()
    with StreamWriter(stream, stream_lines(name, columns=2)) as writer:
        for record in (OK, BAD, OK):
            writer.write(record)
            assert stream.flushed == stream.getvalue()
        assert b"do,g" in stream.flushed
    assert stream.flushed == stream.getvalue()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_an_interrupted_array_is_an_array(count: int) -> None:
    stream = io.BytesIO()
    with (
        contextlib.suppress(KeyboardInterrupt),
        StreamWriter(stream, stream_lines("json", columns=2)) as writer,
    ):
        for _ in range(count):
            writer.write(OK)
        raise KeyboardInterrupt
    assert len(json.loads(stream.getvalue())) == count
