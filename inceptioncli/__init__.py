"""inceptioncli: labels and features from images, with InceptionV3.

    import inceptioncli

    classifier = inceptioncli.load("imagenet")
    for record in classifier.classify(["cat.jpg", "holiday/"], top_k=5):
        print(record.path, record.predictions)

What is here is imported when it is first used, so that the command line starts at once.
"""

from __future__ import annotations

from inceptioncli.version import __version__

TYPE_CHECKING = False  # Of `typing`, whose import would come before the command line's first line.
if TYPE_CHECKING:
    from typing import Any

    from inceptioncli.classifier import Classifier, load
    from inceptioncli.errors import InceptionError
    from inceptioncli.records import Failure, FileStamp, Prediction, Record
    from inceptioncli.runs.values import Batch, Committed, Summary, Waiting

__all__ = [
    "Batch",
    "Classifier",
    "Committed",
    "Failure",
    "FileStamp",
    "InceptionError",
    "Prediction",
    "Record",
    "Summary",
    "Waiting",
    "__version__",
    "load",
]

_HOMES = {
    "Classifier": "inceptioncli.classifier",
    "load": "inceptioncli.classifier",
    "Batch": "inceptioncli.runs.values",
    "Committed": "inceptioncli.runs.values",
    "Summary": "inceptioncli.runs.values",
    "Waiting": "inceptioncli.runs.values",
    "InceptionError": "inceptioncli.errors",
    "Failure": "inceptioncli.records",
    "FileStamp": "inceptioncli.records",
    "Prediction": "inceptioncli.records",
    "Record": "inceptioncli.records",
}


def __dir__() -> list[str]:
    return [*globals(), *__all__]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
