"""The weights that a user has or can have: found by name or path, fetched, verified, removed."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import NamedTuple

from inceptioncli import cache
from inceptioncli.architecture import Activation, Graph
from inceptioncli.errors import OutputError, WeightsError
from inceptioncli.weights import formats
from inceptioncli.weights.download import WITHOUT_NETWORK, download, is_published
from inceptioncli.weights.model import Weights
from inceptioncli.weights.registry import NAMED, NamedWeights, named


class Chosen(NamedTuple):
    """Weights as the user chose them.

    Attributes:
        given: their name or path.
        sha256: of their file.
        path: of their file; None for named ones that are not here yet.
        named: as they are published, if they have a name.
        activation: of the classifier, where the file can't tell; None to go by the file.
        image_size: side of the input, likewise.
        for_classes: whether they are no use without a classifier.
    """

    given: str
    sha256: str
    path: Path | None
    named: NamedWeights | None
    activation: Activation | None = None
    image_size: int | None = None
    for_classes: bool = False

    def portable(self) -> Chosen:
        """The same where the current folder may be another one."""
        if self.path is None or self.named:
            return self
        return self._replace(given=str(self.path.absolute()))


def choose(
    given: str,
    *,
    activation: Activation | None = None,
    image_size: int | None = None,
    anew: bool = False,
) -> Chosen:
    """Finds weights by name, else by path, without the network.

    Args:
        given: a name, or the path of a file.
        activation: see `Chosen`.
        image_size: see `Chosen`.
        anew: read their files for the hash, whatever is remembered of it.

    Raises:
        UsageError: no activation or image size that a graph can have.
        WeightsError: neither a known name nor a file.
    """
    Graph(  # raises, before anything is downloaded
        image_size=Graph.image_size if image_size is None else image_size,
        classes=0,
        activation=Graph.activation if activation is None else activation,
    )
    return _found(given, anew)._replace(activation=activation, image_size=image_size)


def choose_again(before: Chosen) -> Chosen:
    """Finds weights that were chosen elsewhere or earlier.

    Raises:
        WeightsError: they are not to be found, or are others by now.
    """
    chosen = choose(before.given, activation=before.activation, image_size=before.image_size)
    if chosen.sha256 != before.sha256:
        raise WeightsError(
            f"{before.given}: other weights than those of the classifier that was pickled"
        )
    return chosen


def _found(given: str, anew: bool) -> Chosen:
    if given in NAMED:
        return Chosen(given, NAMED[given].sha256, local_copy(NAMED[given], anew=anew), NAMED[given])
    try:
        path = Path(given).expanduser()
        exists = path.exists() or path.with_name(f"{path.name}.index").exists()
        if exists:
            return Chosen(given, sha256_of(path, anew=anew), path, None)
    except (OSError, ValueError, RuntimeError) as error:  # no permission, NUL, ~nosuchuser
        raise WeightsError(f"{given}: cannot read weights: {error}") from error
    if path.name == given and not path.suffix:
        named(given)  # raises, with the nearest name
    raise WeightsError(
        f"{given}: no such weight file; expected one of {', '.join(NAMED)}, "
        f"or the path of {formats.KNOWN_LAYOUTS}"
    )


def sha256_of(path: Path, *, anew: bool = False) -> str:
    """SHA-256 of a weight file; of a V2 checkpoint, that of its files' digests in name order.

    ``anew``, from their content, whatever is remembered of it.

    Raises:
        WeightsError: unreadable.
    """
    digests = [cache.sha256(file, anew=anew) for file in formats.files_of(path)]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def fetch(chosen: Chosen, *, offline: bool = False, keep: bool = False) -> Path:
    """The file of chosen weights, downloaded first where that is needed and allowed.

    Args:
        chosen: which weights.
        offline: forbid to download them.
        keep: they are wanted in the cache; else a cache that can't be written stops nobody.

    Raises:
        WeightsError: not here and offline, unreachable, or not the published file.
        OutputError: they can't be written.
    """
    if chosen.named is None:
        assert chosen.path is not None  # Only named weights can be without a path.
        return chosen.path
    if chosen.path is not None and chosen.path.exists():  # What was downloaded may be deleted.
        return chosen.path
    if chosen.named.url is None:
        return require_local(chosen.named)
    if offline:
        raise WeightsError(
            f"{chosen.given} is not downloaded yet and --offline forbids to fetch it; run "
            f"`inceptioncli weights download {chosen.given}` where there is a network, "
            f"or {WITHOUT_NETWORK}"
        )
    try:
        return download(chosen.named, cache.downloads_folder())
    except OutputError as error:
        if keep:
            raise
        return download(chosen.named, cache.temporary_folder(error))


def load(chosen: Chosen, *, offline: bool = False) -> Weights:
    """Reads and checks chosen weights, after `fetch`.

    Raises:
        UsageError: see `formats.read`.
        WeightsError: see `fetch` and `formats.read`; or the file is not the one that was chosen
            any more, or without the classes that are asked for.
    """
    path = fetch(chosen, offline=offline)
    weights = formats.read(
        path,
        source_sha256=chosen.sha256,
        activation=chosen.activation,
        image_size=chosen.image_size,
    )
    try:
        changed = sha256_of(path) != chosen.sha256
    except OSError:  # gone
        changed = True
    if changed:
        raise WeightsError(f"{path}: changed while it was read; try again")
    if chosen.for_classes:
        weights.model.require_classes(chosen.given)
    return weights


def local_copy(weights: NamedWeights, *, anew: bool = False) -> Path | None:
    """A sound copy of named weights: in the package, in our cache, or in Keras's own."""
    for folder, _ in _places():
        path = folder / weights.file_name
        if is_published(path, weights, anew=anew):
            return path
    return None


def require_local(weights: NamedWeights) -> Path:
    """The sound copy of named weights on this machine.

    Raises:
        WeightsError: there is none.
        OutputError: nor is there a cache that it could be in.
    """
    path = local_copy(weights)
    if path is not None:
        return path
    if weights.url is None:
        raise WeightsError(
            f"{_package_data() / weights.file_name} is missing or damaged; "
            "install inceptioncli anew"
        )
    command = f"`inceptioncli weights download {weights.name}`"
    damaged = cache.downloads_folder() / weights.file_name
    if damaged.exists():
        raise WeightsError(
            f"{damaged} is not the published file: expected {weights.bytes:,} bytes with SHA-256 "
            f"{weights.sha256}, found {damaged.stat().st_size:,} bytes with "
            f"{cache.sha256(damaged)}; run {command}"
        )
    raise WeightsError(f"{weights.name} is not on this machine; run {command}")


def state(weights: NamedWeights) -> str:
    """Where named weights are, by name and size alone: quick, for lists."""
    for folder, found in _places():
        try:
            size = (folder / weights.file_name).stat().st_size
        except OSError:
            continue
        return found if size == weights.bytes else "damaged"
    return "not here"


def _places() -> list[tuple[Path, str]]:
    """The folders where named weights may be, and what is said of those that are there."""
    places = [(_package_data(), "in the package")]
    for folder, found in (
        (cache.downloads_folder, "downloaded"),
        (cache.keras_folder, "in Keras's cache"),
    ):
        with contextlib.suppress(OutputError):  # no home
            places.append((folder(), found))
    return places


def _package_data() -> Path:
    return Path(__file__).parents[1] / "data"


class Verified(NamedTuple):
    """Weights that are sound, with their file and its SHA-256."""

    path: Path
    sha256: str
    weights: Weights


def verify(given: str) -> Verified:
    """Reads everything of a set of weights and checks it, hash included where one is published.

    The hash is that of the content as it is now: a disk that has lost some of it does not tell.

    Raises:
        WeightsError: not here, damaged, or not an InceptionV3.
    """
    chosen = choose(given, anew=True)
    if chosen.named is not None and chosen.path is None:
        chosen = chosen._replace(path=require_local(chosen.named))
    weights = load(chosen)
    return Verified(fetch(chosen), chosen.sha256, weights)


def remove(weights: NamedWeights) -> list[Path]:
    """Deletes our downloaded copy of named weights; Keras's own is left alone.

    Returns:
        What was deleted.

    Raises:
        OutputError: it can't be.
    """
    return cache.remove(cache.downloads_folder() / weights.file_name)
