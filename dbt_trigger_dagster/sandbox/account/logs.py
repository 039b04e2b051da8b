"""Reads the logs of steps, no more of them than the API shows."""

from pathlib import Path

MAX_BYTES = 512 * 1024
MAX_LINES = 1000


def read_tail(source: Path | str) -> str:
    """Return the last part of a log, half a megabyte at most."""
    if isinstance(source, str):
        return source
    try:
        with source.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MAX_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def read_whole(source: Path | str) -> str:
    """Return a whole log."""
    if isinstance(source, str):
        return source
    return source.read_text(errors="replace") if source.exists() else ""


def last_lines(text: str) -> str:
    """Return the last thousand lines."""
    return "".join(text.splitlines(keepends=True)[-MAX_LINES:])
