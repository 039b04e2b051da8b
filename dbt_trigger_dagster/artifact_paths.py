"""Paths of artifacts: which are safe to store, and which are wanted."""

import re
from collections.abc import Sequence
from pathlib import Path

from fsspec.utils import glob_translate

from dbt_trigger_dagster.errors import StorageError

STEPS = "steps"
"""The folder for artifacts of single steps, in a run's folder."""

PARTIAL = ".partial-"
"""What the names of folders begin with that hold files which are not complete."""

_LONGEST_NAME = 255
_FORBIDDEN = re.compile(r"[\\\x00-\x1f\x7f\ud800-\udfff]")


def safe_path(path: str) -> Path:
    """An artifact's path as a relative path that cannot leave the folder it is joined to.

    Nor can it meet what we put there ourselves: files of steps, and partial ones.

    Raises:
        StorageError: It begins where we put those, is absolute, has ``..`` or empty parts, a
            backslash, a control character or half of a surrogate pair, or a part that no file
            system takes as a name.
    """
    parts = path.split("/")
    if (
        _FORBIDDEN.search(path)
        or parts[0] == STEPS
        or parts[0].startswith(PARTIAL)
        or any(
            part in {"", ".", ".."} or len(part.encode("utf-8", "replace")) > _LONGEST_NAME
            for part in parts
        )
    ):
        raise StorageError(f"The artifact path {path!r} is not safe to store.")
    return Path(*parts)


def matches(path: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a path is wanted: some pattern includes it and none excludes it.

    ``*`` stays within one part of the path, ``**`` spans parts.
    """
    return _any_matches(include, path) and not _any_matches(exclude, path)


def check_patterns(patterns: Sequence[str]) -> None:
    """Make sure that patterns can be matched, before a run is waited for.

    Raises:
        ValueError: One cannot.
    """
    for pattern in patterns:
        try:
            glob_translate(pattern)
        except ValueError as error:
            raise ValueError(
                f"The artifact pattern {pattern!r} cannot be used: {error}."
            ) from error


def _any_matches(patterns: Sequence[str], path: str) -> bool:
    return any(re.match(glob_translate(pattern), path) for pattern in patterns)
