"""The workspace: a folder beside the model with what an interrupted run goes on from."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from inceptioncli.errors import ForeignOutputError, OutputError
from inceptioncli.files import replacing

_IDENTITY = "identity"


class Workspace:
    """``MODEL.training/`` of one run.

    Attributes:
        folder: the folder itself.
        checkpoint: state after the last finished epoch.
        best: arrays of the best epoch so far.
    """

    def __init__(self, output: Path) -> None:
        self.folder = output.with_suffix(".training")
        self.checkpoint = self.folder / "checkpoint.safetensors"
        self.best = self.folder / "best.safetensors"

    def features(self, weights_sha256: str, crop: float) -> Path:
        """Folder for features, which depend on no option of the fit."""
        return self.folder / f"features-{weights_sha256[:16]}-{crop:g}"

    def belongs_to(self, identity: str) -> bool:
        """Whether an unfinished run of this identity is here."""
        try:
            return (self.folder / _IDENTITY).read_text(encoding="utf-8") == identity
        except OSError:
            return False

    def take(self, identity: str, *, overwrite: bool) -> None:
        """Makes the folder this run's: a new one, or the same run's from before.

        With ``overwrite`` another run's checkpoint gives way; its features may still be of use.

        Raises:
            ForeignOutputError: another run's, or no folder of ours at all.
            OutputError: it can't be written.
        """
        if self.belongs_to(identity):
            return
        try:
            if self.folder.exists() and any(self.folder.iterdir()):
                if not (self.folder / _IDENTITY).exists():
                    raise ForeignOutputError(
                        f"{self.folder} is in the way: it was not made by `inceptioncli train`, "
                        "which wants to keep unfinished work there; choose another name for -o"
                    )
                if not overwrite and self._has_work():
                    raise ForeignOutputError(
                        f"{self.folder} holds an unfinished run with other options or other data; "
                        "give the same command to continue it, or --overwrite to start anew"
                    )
                self.checkpoint.unlink(missing_ok=True)
                self.best.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{self.folder}: {error.strerror or error}") from error
        with replacing(self.folder / _IDENTITY) as beside:
            beside.write_text(identity, encoding="utf-8")

    def _has_work(self) -> bool:
        return self.checkpoint.exists() or any(self.folder.glob("features-*/*"))

    def remove(self) -> None:
        """Deletes what a finished run no longer needs; the identity last, and nothing foreign."""
        for folder in self.folder.glob("features-*"):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (*self.folder.glob(".*.partial"), self.checkpoint, self.best):
            file.unlink(missing_ok=True)
        (self.folder / _IDENTITY).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # Somebody put something in; it is theirs.
            self.folder.rmdir()
