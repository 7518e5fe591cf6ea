"""Downloads of named weights: the only place of the package that uses the network."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inceptioncli.errors import WeightsError
from inceptioncli.files import cannot_write
from inceptioncli.weights.registry import NAMED, NamedWeights

if TYPE_CHECKING:
    from collections.abc import Callable

_logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_SECONDS = 10
READ_TIMEOUT_SECONDS = 60
_CHUNK_BYTES = 1 << 20

_DEMO = NAMED["demo"]
WITHOUT_NETWORK = (
    "give a file that you have with --weights PATH; to try the program, --weights demo works "
    f"without: a small model of {_DEMO.classes} drawn classes, no replacement"
)


def download(weights: NamedWeights, folder: Path) -> Path:
    """Downloads weights into ``folder``; the file has its name only once its size and SHA-256 are
    right.

    Proxies and CA bundles are those of the environment (``HTTPS_PROXY``, ``REQUESTS_CA_BUNDLE``).
    Of several processes that ask at once, one downloads and the others wait for it.

    Raises:
        WeightsError: unreachable, or not the published file.
        OutputError: ``folder`` can't be written.
    """
    import filelock
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.WARNING)  # Its messages are ours, said in our own words.
    assert weights.url is not None  # What is in the package is never downloaded.
    target = folder / weights.file_name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / f".{target.name}.lock"):
            if not target.exists():
                _logger.info("downloading %s (%s) ...", weights.name, _megabytes(weights.bytes))
            pooch.create(
                folder,
                base_url="",
                registry={target.name: f"sha256:{weights.sha256}"},
                urls={target.name: weights.url},
                retry_if_failed=1,
            ).fetch(target.name, downloader=_sized_downloader(weights))
    except requests.RequestException as error:
        raise WeightsError(
            f"cannot download {weights.name} from {weights.url}: {_reason(error)}; "
            f"check the network or proxy, or {WITHOUT_NETWORK}"
        ) from error
    except ValueError as error:  # ours for a wrong size, pooch's for a wrong hash
        detail = str(error).partition("expected ")[2].partition(". ")[0]
        raise WeightsError(
            f"{weights.url}: what came is not the published file (expected {detail}); "
            "nothing was kept, try again or from another network"
        ) from error
    except OSError as error:
        advice = "set INCEPTIONCLI_CACHE to a folder that can be written"
        raise cannot_write(folder, error, advice) from error
    return target


def _sized_downloader(weights: NamedWeights) -> Callable[[str, Any, Any], None]:
    import pooch
    import requests

    fetch = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(),
        chunk_size=_CHUNK_BYTES,
        timeout=(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS),
    )

    def download_and_check_size(url: str, output_file: Any, registry: Any) -> None:
        try:
            fetch(url, output_file, registry)
        except OSError as error:
            # requests' own word for a bad CA bundle is a plain OSError, without an errno.
            if error.errno is None and not isinstance(error, requests.RequestException):
                raise WeightsError(
                    f"cannot download {weights.name}: {error}; check REQUESTS_CA_BUNDLE"
                ) from error
            raise
        found = Path(output_file).stat().st_size
        if found != weights.bytes:
            raise ValueError(f"expected {weights.bytes:,} bytes but got {found:,}")

    return download_and_check_size


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
