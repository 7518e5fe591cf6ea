"""Downloads of named weights: the only place of the package that uses the network."""

from __future__ import annotations

import functools
import logging
import re
import sys
import time
from pathlib import Path

from inceptioncli import cache
from inceptioncli.errors import WeightsError
from inceptioncli.weights.registry import NAMED, NamedWeights

_logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_SECONDS = 10
READ_TIMEOUT_SECONDS = 60
_SECONDS_BETWEEN = 1  # two attempts
_CHUNK_BYTES = 1 << 20

# What is beside a download, of which file: unfinished, or the lock.
_BESIDE = re.compile(r"\.(?:(?P<partial>.+)\.[a-z0-9_]{8}\.partial|(?P<lock>.+)\.lock)")
# What pooch called unfinished files, in versions that had it write them.
_POOCHS = re.compile(r"tmp[a-z0-9_]{8}")

_DEMO = NAMED["demo"]
WITHOUT_NETWORK = (
    "give the path of a file that you have in place of the name; to try the program, demo works "
    f"without the network: a small model of {_DEMO.classes} drawn classes, no replacement"
)


class _OtherFileError(Exception):
    """What came is not what was published."""


def download(weights: NamedWeights, folder: Path) -> Path:
    """Downloads weights into ``folder``; the file has its name only once its size and SHA-256 are
    right.

    Proxies and CA bundles are those of the environment (``HTTPS_PROXY``, ``REQUESTS_CA_BUNDLE``).
    Of several processes that ask at once, one downloads and the others wait for it.

    Raises:
        WeightsError: unreachable, or not the published file.
        OutputError: ``folder`` can't be written.
    """
    path = folder / weights.file_name
    return cache.built_once(
        path,
        lambda: path if is_published(path, weights) else None,
        functools.partial(_download, weights),
        lock=_lock(folder, path.name),
    )


def is_published(path: Path, weights: NamedWeights, *, anew: bool = False) -> bool:
    """Whether the file at ``path`` is the published one, by size and `cache.sha256`."""
    try:
        size = path.stat().st_size
        return size == weights.bytes and cache.sha256(path, anew=anew) == weights.sha256
    except OSError:
        return False


def remove_leftovers(folder: Path) -> list[Path]:
    """Deletes what killed downloads have left in ``folder``, and locks of files that are gone.

    Returns:
        What was deleted.

    Raises:
        OutputError: it can't be.
    """
    names = sorted(path.name for path in folder.glob("*"))
    left: dict[str, list[str]] = {}  # file name to what is left of it
    for match in filter(None, map(_BESIDE.fullmatch, names)):
        of = match["partial"] or match["lock"]
        if match["partial"] or of not in names:
            left.setdefault(of, []).append(match[0])
    removed = []
    for name, files in left.items():
        removed += cache.remove_at_rest((folder / file for file in files), [_lock(folder, name)])
    poochs = [folder / name for name in names if _POOCHS.fullmatch(name)]
    locks = list(folder.glob(".*.lock"))
    return removed + (cache.remove_at_rest(poochs, locks) if poochs else [])


def _lock(folder: Path, name: str) -> Path:
    return folder / f".{name}.lock"


def _download(weights: NamedWeights, beside: Path) -> None:
    import requests

    _logger.info("downloading %s (%s) ...", weights.name, _megabytes(weights.bytes))
    try:
        try:
            _fetch(weights, beside)
        except (requests.RequestException, _OtherFileError):
            time.sleep(_SECONDS_BETWEEN)
            _fetch(weights, beside)
    except requests.RequestException as error:
        raise WeightsError(
            f"cannot download {weights.name} from {weights.url}: {_reason(error)}; "
            f"check the network or proxy, or {WITHOUT_NETWORK}"
        ) from error
    except _OtherFileError as error:
        raise WeightsError(
            f"{weights.url}: what came is not the published file ({error}); "
            "nothing was kept, try again or from another network"
        ) from error


def _fetch(weights: NamedWeights, beside: Path) -> None:
    import pooch
    import requests

    fetch = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(),
        chunk_size=_CHUNK_BYTES,
        timeout=(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS),
    )
    try:
        fetch(weights.url, beside, None)
    except OSError as error:
        # requests' own word for a bad CA bundle is a plain OSError, without an errno.
        if error.errno is None and not isinstance(error, requests.RequestException):
            raise WeightsError(
                f"cannot download {weights.name}: {error}; check REQUESTS_CA_BUNDLE"
            ) from error
        raise
    size = beside.stat().st_size
    if size != weights.bytes:
        raise _OtherFileError(f"expected {weights.bytes:,} bytes but got {size:,}")
    digest = cache.hashed(beside)
    if digest != weights.sha256:
        raise _OtherFileError(f"expected sha256:{weights.sha256} but got {digest}")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"


def _reason(error: Exception) -> str:
    """The innermost cause, which names the fault; requests wraps it in layers of its own."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.ConnectTimeout | requests.ReadTimeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy refused or can't be reached"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not trusted (set REQUESTS_CA_BUNDLE to your CA bundle)"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off in the middle"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return str(error).splitlines()[0]
