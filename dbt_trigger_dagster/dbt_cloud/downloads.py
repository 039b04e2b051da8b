"""Files on their way from dbt Cloud to whoever keeps them: all of their bytes, and their own."""

import hashlib
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError, DbtCloudPayloadError
from dbt_trigger_dagster.dbt_cloud.responses import Response

_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)\b", re.IGNORECASE)
_PAGES = (".html", ".htm")
_BEGINNING = 256


@dataclass(frozen=True)
class Download:
    """What is known of a file once all its bytes have arrived.

    Attributes:
        size_bytes: How many there are.
        sha256: Their SHA-256, as hex digits.
        content_type: What dbt Cloud says that they are.
        headers: All that it says.
        is_length_known: Whether it says where they end: else the connection ended after them, and
            may have broken.
    """

    size_bytes: int
    sha256: str
    content_type: str | None
    headers: Mapping[str, str]
    is_length_known: bool


def pass_on(
    response: Response, keep: Callable[[Iterator[bytes]], object], *, path: str
) -> Download:
    """Hand the chunks of a file to whoever keeps them."""
    digest = hashlib.sha256()
    size_bytes = 0

    def chunks() -> Iterator[bytes]:
        nonlocal size_bytes
        for chunk in _no_page(response.chunks(), path):
            digest.update(chunk)
            size_bytes += len(chunk)
            yield chunk

    keep(chunks())
    return Download(
        size_bytes=size_bytes,
        sha256=digest.hexdigest(),
        content_type=response.headers.get("Content-Type"),
        headers=dict(response.headers),
        is_length_known=response.is_end_known,
    )


def _no_page(chunks: Iterator[bytes], path: str) -> Iterator[bytes]:
    """The same chunks; refuses the page of a login or a proxy in the place of a file.

    Told by its beginning, which may come in pieces: which content types dbt Cloud declares is not
    documented.
    """
    beginning = b""
    for chunk in chunks:
        beginning += chunk
        if len(beginning) >= _BEGINNING:
            break
    if not path.endswith(_PAGES) and _PAGE.match(beginning):
        raise DbtCloudPayloadError(
            f"GET {path} was answered with a web page instead of the file. Check access_url, and "
            "what stands between here and dbt Cloud."
        )
    return itertools.chain([beginning] if beginning else [], chunks)


def into(target: BinaryIO) -> Callable[[Iterator[bytes]], None]:
    """Keeps chunks in a file that can seek; each attempt starts the file anew."""

    def keep(chunks: Iterator[bytes]) -> None:
        try:
            for chunk in chunks:
                write_all(chunk, target)
        except DbtCloudError:
            target.seek(0)
            target.truncate()
            raise

    return keep


def write_all(chunk: bytes, target: BinaryIO) -> None:
    """A file without a buffer may take less than it is given: give it the rest."""
    written = target.write(chunk)
    while written < len(chunk):
        written += target.write(chunk[written:])
