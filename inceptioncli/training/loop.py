"""The training loop: epochs, checkpoints that survive a kill, metrics, the best epoch."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file
from tqdm import tqdm

from inceptioncli.errors import DataError, DivergedError, ForeignOutputError
from inceptioncli.noise import native_stderr_hidden
from inceptioncli.terminal import printable
from inceptioncli.training import metrics
from inceptioncli.training.metrics import Epoch
from inceptioncli.training.workspace import Workspace
from inceptioncli.weights.formats.own import write_arrays

with native_stderr_hidden():
    import keras
    import tensorflow as tf

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_logger = logging.getLogger(__name__)

Arrays = Mapping[str, "NDArray[np.float32]"]


class Task(NamedTuple):
    """What is to be trained.

    Attributes:
        model: a compiled Keras model, its optimizer built, with a metric ``accuracy``.
        training: the training batches of an epoch; the same epoch, the same batches.
        validation: the validation batches.
        steps: training batches in an epoch.
        export: the model's arrays as they are to be kept.
        unreadable: what could not be read while training, as the batches find it.
    """

    model: Any
    training: Callable[[int], Any]
    validation: Any
    steps: int
    export: Callable[[], Arrays]
    unreadable: Sequence[str] = ()


class Fitted(NamedTuple):
    """The best epoch's arrays, and all epochs' metrics."""

    arrays: Arrays
    history: tuple[Epoch, ...]
    diverged: bool

    @property
    def best(self) -> Epoch:
        """The epoch with the highest validation accuracy; of several, the one of lowest loss."""
        return _best(self.history)


def fit(task: Task, *, epochs: int, workspace: Workspace, identity: str, output: Path) -> Fitted:
    """Trains for ``epochs`` epochs, or goes on where an interrupted run of the same stopped.

    Args:
        task: what.
        epochs: how many in all.
        workspace: for the checkpoint and the best epoch's arrays.
        identity: what a checkpoint must have been made from to be continued.
        output: the model's path; metrics and curve are written beside it after each epoch.

    Raises:
        ForeignOutputError: the workspace holds a checkpoint of something else.
        DataError: an image can't be read any more.
        DivergedError: the loss is no number in the very first epoch.
        OutputError: a file can't be written.
    """
    history = _restore(task.model, workspace, identity)
    if history:
        _logger.info("continuing after epoch %d of %d", len(history), epochs)
    diverged = False
    for number in range(len(history) + 1, epochs + 1):
        epoch = _train(task, number, epochs)
        if epoch is None:
            diverged = True
            break
        history.append(epoch)
        if _best(history) == epoch:
            write_arrays(workspace.best, task.export())
        _save(task.model, workspace.checkpoint, identity, history)
        metrics.write(output, history)
        _logger.info("%s", _progress_line(epoch, epochs))
    if not history:
        raise DivergedError(
            "the loss is not a number in the first epoch; nothing can be kept. "
            "Lower --learning-rate, or look at the images"
        )
    return Fitted(load_file(workspace.best), tuple(history), diverged)


def _train(task: Task, number: int, epochs: int) -> Epoch | None:
    """Trains for one epoch; None if its loss is no number."""
    start = time.monotonic()
    watch = _Watch(f"epoch {number}/{epochs}", task.steps)
    try:
        logs = task.model.fit(
            task.training(number),
            validation_data=task.validation,
            verbose=0,
            shuffle=False,  # The batches are shuffled already.
            callbacks=[watch],
        ).history
    except tf.errors.OpError:
        if not task.unreadable:
            raise
        raise DataError(
            f"{printable(task.unreadable[0])}; it could be read before: put it back and give "
            "the same command to continue"
        ) from None
    if watch.diverged or not math.isfinite(_last(logs, "val_loss")):
        return None
    return Epoch(
        number,
        loss=_last(logs, "loss"),
        accuracy=_last(logs, "accuracy"),
        validation_loss=_last(logs, "val_loss"),
        validation_accuracy=_last(logs, "val_accuracy"),
        seconds=time.monotonic() - start,
    )


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no type stubs
    """Shows a bar on a terminal, and stops at a loss that is no number."""

    def __init__(self, title: str, steps: int) -> None:
        super().__init__()
        self.diverged = False
        # disable=None: only on a terminal.
        self._bar = tqdm(total=steps, desc=title, unit="batch", leave=False, disable=None)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            self.diverged = True
            self.model.stop_training = True
        self._bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        self._bar.update()

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        self._bar.close()


def _best(history: list[Epoch] | tuple[Epoch, ...]) -> Epoch:
    return max(history, key=lambda epoch: (epoch.validation_accuracy, -epoch.validation_loss))


def _last(logs: Mapping[str, list[float]], name: str) -> float:
    """An epoch's value of a metric; with several outputs Keras puts the output's name into it."""
    with_output = name.replace("accuracy", "Logits_accuracy")
    return float(logs[name if name in logs else with_output][-1])


def _progress_line(epoch: Epoch, epochs: int) -> str:
    left = (epochs - epoch.epoch) * epoch.seconds
    return (
        f"epoch {epoch.epoch}/{epochs}  loss {epoch.loss:.4f}  accuracy {epoch.accuracy:.1%}  "
        f"validation loss {epoch.validation_loss:.4f}  "
        f"validation accuracy {epoch.validation_accuracy:.1%}  "
        f"{int(left // 60)}:{int(left % 60):02} left"
    )


def _state(model: Any) -> dict[str, Any]:
    """All that a run needs to go on: weights, statistics, random states, optimizer's moments."""
    return {
        **{f"model/{number:04}": variable for number, variable in enumerate(model.variables)},
        **{
            f"optimizer/{number:04}": variable
            for number, variable in enumerate(model.optimizer.variables)
        },
    }


def _save(model: Any, path: Path, identity: str, history: list[Epoch]) -> None:
    arrays = {
        name: keras.ops.convert_to_numpy(variable) for name, variable in _state(model).items()
    }
    metadata = {"identity": identity, "history": json.dumps([tuple(epoch) for epoch in history])}
    write_arrays(path, arrays, metadata)


def _restore(model: Any, workspace: Workspace, identity: str) -> list[Epoch]:
    path = workspace.checkpoint
    if not path.exists() or not workspace.best.exists():
        return []
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("identity") != identity:
                raise ForeignOutputError(
                    f"{path.parent} holds an unfinished run on other images: some can be read "
                    "that could not, or the other way round; give --overwrite to start anew"
                )
            for name, variable in _state(model).items():
                variable.assign(file.get_tensor(name))
    except SafetensorError as error:
        raise ForeignOutputError(
            f"{path}: damaged checkpoint ({error}); give --overwrite to start anew"
        ) from error
    return [Epoch(*values) for values in json.loads(metadata["history"])]
