"""The weights that a user has or can have: found by name or path, fetched, verified, removed."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from inceptioncli.errors import WeightsError
from inceptioncli.weights import cache, formats
from inceptioncli.weights.download import WITHOUT_NETWORK, download
from inceptioncli.weights.model import Weights
from inceptioncli.weights.registry import NAMED, NamedWeights, named


class Chosen(NamedTuple):
    """Weights as the user chose them; ``path`` is None for named ones that are not here yet."""

    given: str
    sha256: str
    path: Path | None
    named: NamedWeights | None


def choose(given: str) -> Chosen:
    """Finds weights by name, else by path, without the network.

    Raises:
        WeightsError: neither a known name nor a file.
    """
    if given in NAMED:
        return Chosen(given, NAMED[given].sha256, local_copy(NAMED[given]), NAMED[given])
    path = Path(given).expanduser()
    if not path.exists() and not path.with_name(f"{path.name}.index").exists():
        if path.name == given and not path.suffix:
            named(given)  # raises, with the nearest name
        raise WeightsError(
            f"{given}: no such weight file; expected one of {', '.join(NAMED)}, "
            f"or the path of {formats.KNOWN_LAYOUTS}"
        )
    return Chosen(given, sha256_of(path), path, None)


def sha256_of(path: Path) -> str:
    """SHA-256 of a weight file; of a V2 checkpoint, that of its files' digests in name order.

    Raises:
        WeightsError: unreadable.
    """
    digests = [cache.sha256(file) for file in formats.files_of(path)]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def fetch(chosen: Chosen, *, offline: bool = False) -> Path:
    """The file of chosen weights, downloaded first where that is needed and allowed.

    Raises:
        WeightsError: not here and offline, unreachable, or not the published file.
    """
    if chosen.path is not None:
        return chosen.path
    assert chosen.named is not None  # Only named weights can be without a path.
    if offline:
        raise WeightsError(
            f"{chosen.given} is not downloaded yet and --offline forbids to fetch it; run "
            f"`inceptioncli weights download {chosen.given}` where there is a network, "
            f"or {WITHOUT_NETWORK}"
        )
    return download(chosen.named, cache.downloads_folder())


def load(chosen: Chosen, *, offline: bool = False) -> Weights:
    """Reads and checks chosen weights, after `fetch`.

    Raises:
        WeightsError: see `fetch` and `formats.read`.
    """
    return formats.read(fetch(chosen, offline=offline), source_sha256=chosen.sha256)


def local_copy(weights: NamedWeights) -> Path | None:
    """A sound copy of named weights: in the package, in our cache, or in Keras's own."""
    for folder in (_package_data(), cache.downloads_folder(), cache.keras_folder()):
        path = folder / weights.file_name
        if is_published(path, weights):
            return path
    return None


def require_local(weights: NamedWeights) -> Path:
    """The sound copy of named weights on this machine.

    Raises:
        WeightsError: there is none.
    """
    path = local_copy(weights)
    if path is not None:
        return path
    command = f"`inceptioncli weights download {weights.name}`"
    damaged = cache.downloads_folder() / weights.file_name
    if damaged.exists():
        raise WeightsError(
            f"{damaged} is not the published file: expected {weights.bytes:,} bytes with SHA-256 "
            f"{weights.sha256}, found {damaged.stat().st_size:,} bytes with "
            f"{cache.sha256(damaged)}; run {command}"
        )
    raise WeightsError(f"{weights.name} is not on this machine; run {command}")


def is_published(path: Path, weights: NamedWeights) -> bool:
    """Whether the file at ``path`` is the published one, by size and SHA-256."""
    try:
        return path.stat().st_size == weights.bytes and cache.sha256(path) == weights.sha256
    except OSError:
        return False


def _package_data() -> Path:
    return Path(str(resources.files("inceptioncli"))) / "data"


def verify(given: str) -> tuple[Path, Weights]:
    """Reads everything of a set of weights and checks it, hash included where one is published.

    Raises:
        WeightsError: not here, damaged, or not an InceptionV3.
    """
    chosen = choose(given)
    path = chosen.path or require_local(named(given))
    return path, formats.read(path, source_sha256=chosen.sha256)


def remove(weights: NamedWeights) -> list[Path]:
    """Deletes our downloaded copy of named weights; Keras's own is left alone.

    Returns:
        What was deleted.
    """
    path = cache.downloads_folder() / weights.file_name
    if not path.exists():
        return []
    path.unlink()
    return [path]
