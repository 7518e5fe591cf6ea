"""Recipe owns the making of the model in the package: render, train, convert, measure.

    python -m demo.recipe WORK_FOLDER

Everything goes through the `inceptioncli` command line, as it would for anyone's own classes; an
interrupted recipe goes on where it stopped. It writes `inceptioncli/data/demo.safetensors` and
`docs/demo-model.md`, and prints the size and hash for `inceptioncli/weights/registry.py`.
"""

import argparse
import csv
import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from demo.renderer import DEFAULT_SIZE, dataset
from demo.renderer.classes import CLASSES

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "inceptioncli" / "data" / "demo.safetensors"
SAMPLES = ROOT / "sample_images"
REPORT = ROOT / "docs" / "demo-model.md"

# Left out of the model, so that a head can be trained for classes that it never saw.
UNSEEN = ("ladybug", "maze", "piggy_bank", "pizza")
SEEN = tuple(name for name in CLASSES if name not in UNSEEN)
TRAINING_IMAGES = 300
HEAD_IMAGES = 40
HELD_OUT_IMAGES = 50
FIRST_HELD_OUT_SEED = 1_000_000
EPOCHS = 14


class Answer(NamedTuple):
    """The model's first class for a picture whose class is known, by WordNet id."""

    true: str
    found: str
    probabilities: dict[str, float]


def main() -> None:
    """Runs the recipe."""
    parser = argparse.ArgumentParser(prog="python -m demo.recipe", description=__doc__)
    parser.add_argument("work", type=Path, help="folder for pictures and intermediate files")
    work: Path = parser.parse_args().work
    work.mkdir(parents=True, exist_ok=True)

    _draw(work / "train", SEEN, TRAINING_IMAGES)
    _draw(work / "held_out", SEEN, HELD_OUT_IMAGES, FIRST_HELD_OUT_SEED)
    _draw(work / "unseen_train", UNSEEN, HEAD_IMAGES)
    _draw(work / "unseen_held_out", UNSEEN, HELD_OUT_IMAGES, FIRST_HELD_OUT_SEED)

    trained = work / "demo.safetensors"
    if not trained.exists():
        _run("train", work / "train", "-o", trained, "--mode", "full", "--from", "none",
             "--depth-multiplier", "0.25", "--epochs", EPOCHS)  # fmt: skip
    _run("weights", "convert", "--overwrite", "--dtype", "float16", trained, MODEL)
    head = work / "head.safetensors"
    _run("train", work / "unseen_train", "-o", head, "--from", MODEL, "--overwrite")

    REPORT.write_text(_report(work, head), encoding="utf-8")
    content = MODEL.read_bytes()
    print(f'sha256="{hashlib.sha256(content).hexdigest()}",\nbytes={len(content):_},')


def _draw(folder: Path, classes: Sequence[str], images: int, first_seed: int = 0) -> None:
    seeds = range(first_seed, first_seed + images)
    dataset.write(folder, classes=classes, seeds=seeds, size=DEFAULT_SIZE, jobs=2)


def _run(*arguments: object) -> str:
    command = [sys.executable, "-m", "inceptioncli", *map(str, arguments)]
    print("$ inceptioncli", *arguments[:2], "...", flush=True)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603


def _answers(model: Path, folder: Path, *options: str) -> list[Answer]:
    lines = _run("classify", "-w", model, "-k", 1000, "-f", "jsonl", *options, folder)
    records = [json.loads(line) for line in lines.splitlines()]
    return [
        Answer(
            Path(record["path"]).parent.name,
            record["predictions"][0]["id"],
            {each["id"]: each["probability"] for each in record["predictions"]},
        )
        for record in records
    ]


def _tensorflow_answers(model: Path, folder: Path) -> list[Answer]:
    """What the TensorFlow engine says, on the CPU; the command line takes it on GPUs only."""
    from inceptioncli.classifier import Classifier
    from inceptioncli.engine import tensorflow
    from inceptioncli.weights import collection

    classifier = Classifier(tensorflow.prepare(collection.choose(str(model)), "cpu"))
    return [
        Answer(
            Path(record.path).parent.name,
            str(record.predictions[0].id),
            {str(each.id): each.probability for each in record.predictions},
        )
        for record in classifier.classify(folder, top_k=1000)
    ]


def _accuracy(answers: Sequence[Answer]) -> float:
    return sum(answer.true == answer.found for answer in answers) / len(answers)


def _agreement(ours: Sequence[Answer], theirs: Sequence[Answer]) -> tuple[float, float]:
    """Share of pictures with the same first class, and the largest difference of a probability."""
    same = sum(a.found == b.found for a, b in zip(ours, theirs, strict=True)) / len(ours)
    largest = max(
        abs(probability - b.probabilities[name])
        for a, b in zip(ours, theirs, strict=True)
        for name, probability in a.probabilities.items()
    )
    return same, largest


def _report(work: Path, head: Path) -> str:
    held_out = work / "held_out"
    exact = _answers(MODEL, held_out)
    quick = _answers(MODEL, held_out, "--precision", "int8")
    tensorflow = _tensorflow_answers(MODEL, held_out)
    unseen = _answers(head, work / "unseen_held_out")
    names = {row.wordnet_id: name.replace("_", " ") for name, row in CLASSES.items()}
    int8_same, int8_difference = _agreement(quick, exact)
    tf_same, tf_difference = _agreement(tensorflow, exact)
    with (work / "demo.metrics.csv").open(encoding="utf-8", newline="") as file:
        minutes = sum(float(row["seconds"]) for row in csv.DictReader(file)) / 60
    samples = [
        json.loads(line)
        for line in _run("classify", "-w", MODEL, "-k", 1, "-f", "jsonl", SAMPLES).splitlines()
    ]
    samples_right = sum(
        Path(record["path"]).stem.replace("_", " ") == record["predictions"][0]["label"]
        for record in samples
    )

    by_class = Counter(answer.true for answer in exact)
    wrong = Counter((answer.true, answer.found) for answer in exact if answer.true != answer.found)
    missed = Counter(answer.true for answer in exact if answer.true != answer.found)
    rows = []
    for true, count in missed.most_common():
        confused = ", ".join(
            f"{names[found]} ({times})"
            for (was, found), times in wrong.most_common()
            if was == true
        )
        rows.append(f"| {names[true]} | {1 - count / by_class[true]:.0%} | {confused} |")
    weakest = "\n".join(rows) or "| none | | |"
    return f"""# The demo model

Made by `python -m demo.recipe WORK_FOLDER`, which writes this page too.

`--weights demo` is a small model of {len(SEEN)} drawn classes (InceptionV3 at a quarter of its width, float16,
{MODEL.stat().st_size / 1e6:.1f} MB) for trying the program without a network. It has seen drawings only: it is no
replacement for `imagenet`, and what it says of a photograph means little.

## Recipe

`python -m demo.renderer dataset` draws {TRAINING_IMAGES} pictures of each class; then

    inceptioncli train PICTURES -o demo.safetensors --mode full --from none --depth-multiplier 0.25 --epochs {EPOCHS}
    inceptioncli weights convert --dtype float16 demo.safetensors inceptioncli/data/demo.safetensors

The epochs took {minutes:.0f} minutes in all on two cores that had other work to do.

## Measured

On {HELD_OUT_IMAGES} fresh pictures of each class, from seeds that training never saw ({len(exact)} in all):

| | |
|---|---|
| top-1 accuracy, float32 (LiteRT) | {_accuracy(exact):.2%} |
| top-1 accuracy, int8 (LiteRT) | {_accuracy(quick):.2%} |
| int8 and float32: same first class | {int8_same:.2%} |
| int8 and float32: largest difference of a probability | {int8_difference:.3f} |
| TensorFlow and LiteRT, float32: same first class | {tf_same:.2%} |
| TensorFlow and LiteRT, float32: largest difference of a probability | {tf_difference:.1e} |
| pictures in `sample_images/` with the right first class | {samples_right} of {len(samples)} |
| `train --mode head --from demo` on {len(UNSEEN)} classes it never saw, {HEAD_IMAGES} images each: accuracy on {len(unseen)} fresh ones | {_accuracy(unseen):.1%} |

The unseen classes: {", ".join(name.replace("_", " ") for name in UNSEEN)}.

## Classes with mistakes

| class | accuracy | taken for |
|---|---|---|
{weakest}

## All classes

{", ".join(name.replace("_", " ") for name in SEEN)}.
"""


if __name__ == "__main__":
    main()
