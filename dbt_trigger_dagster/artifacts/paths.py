"""Artifacts by their paths: which are safe to store, which are wanted, and which clash."""

import contextlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from fsspec.utils import glob_translate

from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.partial_files import is_partial

OF_THE_RUN = 0
"""The step number of what dbt Cloud lists for the run as a whole."""

STEPS = "steps"
"""The folder for artifacts of single steps, in a run's folder."""


MOST_PARTS = 100
"""Most folders and names in a path; dbt's own have a dozen."""

_LONGEST_NAME = 255
_EXCERPT = 60
_LONGEST_TOLD = 300
_FORBIDDEN = re.compile(r"[\\\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class Artifact:
    """One artifact of a run, or of one step of it.

    Attributes:
        run_id: dbt Cloud's id of the run.
        step: Number of the step, from 1; `OF_THE_RUN` for what dbt Cloud lists.
        path: The path in dbt Cloud.
    """

    run_id: int
    step: int
    path: str

    def __str__(self) -> str:
        return self.path if self.step == OF_THE_RUN else f"{self.path} of step {self.step}"

    @property
    def place(self) -> PurePosixPath:
        """Where it is stored, in the folder of its run.

        Raises:
            StorageError: The path is not safe to store.
        """
        relative = safe_path(self.path)
        return (
            relative if self.step == OF_THE_RUN else PurePosixPath(STEPS, str(self.step), relative)
        )


def safe_path(path: str) -> PurePosixPath:
    """An artifact's path as a relative path that cannot leave the folder it is joined to.

    Nor can it meet what we put there ourselves: files of steps, and partial ones.

    Raises:
        StorageError: It begins where we put those, is absolute, has ``..`` or empty parts, a
            backslash, a control character or half of a surrogate pair, or a part that no file
            system takes as a name.
    """
    parts = path.split("/")
    told = repr(path) if len(path) <= _LONGEST_TOLD else f"{path[:_EXCERPT]!r}…"
    if len(parts) > MOST_PARTS:
        raise StorageError(
            f"The artifact path {told} is not safe to store: it has {len(parts)} "
            f"parts, and {MOST_PARTS} are the most."
        )
    first = _folded(parts[0])  # where case does not count, "Steps" is our folder as well
    if (
        _FORBIDDEN.search(path)
        or first == STEPS
        or is_partial(first)
        or any(
            part in {"", ".", ".."} or len(part.encode("utf-8", "replace")) > _LONGEST_NAME
            for part in parts
        )
    ):
        raise StorageError(f"The artifact path {told} is not safe to store.")
    return PurePosixPath(*parts)


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


def _folded(name: str) -> str:
    """What names have in common that some file system may take for one."""
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).upper().casefold())


def find_clashes(
    artifacts: Iterable[Artifact], same_name: Callable[[str, str], bool]
) -> dict[Artifact, StorageError]:
    """The artifacts of a run that cannot be files beside those before them, and why not.

    Either a file system takes two names for one, or one would have to be a file and a folder.

    Args:
        artifacts: In the order in which they claim their places.
        same_name: Whether two names, which differ, are one where the files will be. It is asked
            only about names that some file system may take for one.
    """
    claims = _Claims(same_name)
    clashes = {}
    for artifact in dict.fromkeys(artifacts):
        with contextlib.suppress(StorageError):  # what is not safe is told when it is stored
            other = claims.claim(artifact, artifact.place)
            if other is not None:
                clashes[artifact] = _clash(artifact, other)
    return clashes


def _clash(artifact: Artifact, other: Artifact) -> StorageError:
    why = "a file cannot be a folder as well. Leave"
    if artifact.path.count("/") == other.path.count("/"):
        why = "this file system takes their names for one. Keep artifacts on another, or leave"
    return StorageError(
        f"{artifact} cannot be stored beside {other}: {why} one of them out with exclude_artifacts."
    )


class _Claims:
    """Who has which place, as far as the file system tells places apart."""

    def __init__(self, same_name: Callable[[str, str], bool]) -> None:
        self._same_name = same_name
        self._names: dict[str, str] = {}
        self._alike: defaultdict[str, list[str]] = defaultdict(list)
        self._files: dict[tuple[str, ...], Artifact] = {}
        self._folders: dict[tuple[str, ...], Artifact] = {}

    def claim(self, artifact: Artifact, path: PurePosixPath) -> Artifact | None:
        """Give an artifact its place; or the one that has it, or stands in its way."""
        place = tuple(map(self._name, path.parts))
        above = [place[:length] for length in range(1, len(place))]
        taken = [self._folders.get(place), *map(self._files.get, [place, *above])]
        for other in filter(None, taken):
            return other
        self._files[place] = artifact
        for folder in above:
            self._folders.setdefault(folder, artifact)
        return None

    def _name(self, name: str) -> str:
        """The first name that was seen of those that are one with this."""
        if name not in self._names:
            alike = self._alike[_folded(name)]
            known = (other for other in alike if self._same_name(other, name))
            self._names[name] = next(known, name)
            if self._names[name] == name:
                alike.append(name)
        return self._names[name]
