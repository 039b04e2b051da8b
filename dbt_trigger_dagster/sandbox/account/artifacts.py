"""What a step leaves behind: files in a folder, or contents that a script made up."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from starlette.responses import FileResponse, Response, StreamingResponse

from dbt_trigger_dagster.sandbox.account.scripts import GeneratedBytes, ScriptedArtifacts

_BLOCK = bytes(range(256)) * 1024


class StepArtifacts(Protocol):
    """The artifacts of one step."""

    def paths(self) -> list[str]:
        """Return the paths, sorted."""

    def find(self, path: str) -> Path | bytes | GeneratedBytes | None:
        """Return the content at a path, or ``None`` where there is nothing."""


@dataclass(frozen=True)
class FolderArtifacts:
    """The files under a folder.

    Attributes:
        folder: A snapshot of dbt's ``target``.
    """

    folder: Path

    def paths(self) -> list[str]:
        """Return the relative paths of all files, sorted."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.folder).as_posix() for path in files)

    def find(self, path: str) -> Path | None:
        """Return the file at a path; one outside the folder does not exist."""
        file = (self.folder / path).resolve()
        inside = file.is_relative_to(self.folder.resolve())
        return file if inside and file.is_file() else None


@dataclass(frozen=True)
class MadeUpArtifacts:
    """Artifacts that a script made up.

    Attributes:
        contents: Contents by path.
    """

    contents: ScriptedArtifacts

    def paths(self) -> list[str]:
        """Return the paths, sorted."""
        return sorted(self.contents)

    def find(self, path: str) -> bytes | GeneratedBytes | None:
        """Return the content at a path."""
        content = self.contents.get(path)
        return content.encode() if isinstance(content, str) else content


class _ArtifactFile(FileResponse):
    # Each chunk is read in a worker thread; larger ones spend less on the way there and back.
    chunk_size = 1024 * 1024


def as_response(path: str, content: Path | bytes | GeneratedBytes) -> Response:
    """Return an artifact as it goes over the wire: raw bytes of a known length."""
    media_type = _media_type(path)
    if isinstance(content, Path):
        return _ArtifactFile(content, media_type=media_type)
    if isinstance(content, bytes):
        return Response(content, media_type=media_type)
    length = {"content-length": str(content.size)}
    return StreamingResponse(_blocks(content.size), media_type=media_type, headers=length)


def _blocks(size: int) -> Iterator[bytes]:
    for start in range(0, size, len(_BLOCK)):
        yield _BLOCK[: size - start]


def _media_type(path: str) -> str:
    suffixes = {
        ".json": "application/json",
        ".html": "text/html",
        ".parquet": "application/x-parquet",
        ".sql": "text/plain",
        ".yml": "text/plain",
        ".csv": "text/plain",
        ".log": "text/plain",
    }
    return suffixes.get(Path(path).suffix, "application/octet-stream")
