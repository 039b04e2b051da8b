"""Partial files: those in use stay, those of the dead go, and nobody takes one for the other."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from dbt_trigger_dagster.artifact_paths import PARTIAL
from dbt_trigger_dagster.errors import StorageError
from dbt_trigger_dagster.partial_files import (
    IN_USE,
    Lock,
    partial_folder,
    remove_what_the_dead_left,
)


def test_a_folder_is_there_until_the_end(tmp_path) -> None:
    """With all that is in it then."""
    with partial_folder(tmp_path) as partial:
        (partial / "half").write_text("half of i")
        assert partial.parent == tmp_path
        assert partial.name.startswith(PARTIAL)
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_use_stays(tmp_path) -> None:
    """Another process stores artifacts of the same run."""
    with partial_folder(tmp_path) as one, partial_folder(tmp_path) as other:
        (one / "half").write_text("half of i")
        remove_what_the_dead_left(tmp_path)
        assert (one / "half").read_text() == "half of i"
        assert other.is_dir()


def test_what_the_dead_left_goes(tmp_path) -> None:
    """Killed before the lock, while writing, or before anything was written; the rest stays."""
    for name in ("early", "writing", "empty"):
        (tmp_path / f"{PARTIAL}{name}").mkdir()
    for name in ("writing", "empty"):
        (tmp_path / f"{PARTIAL}{name}" / IN_USE).touch()
    (tmp_path / f"{PARTIAL}writing" / "half").write_text("half of i")
    (tmp_path / "manifest.json").write_text("{}")
    remove_what_the_dead_left(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_what_cannot_be_removed_does_not_keep_the_rest(tmp_path) -> None:
    """Nor does it keep anybody from storing artifacts."""
    strange = [tmp_path / f"{PARTIAL}{name}" for name in ("a", "z")]
    for path in strange:
        path.write_text("a file")
    (tmp_path / f"{PARTIAL}m").mkdir()
    remove_what_the_dead_left(tmp_path)
    assert sorted(tmp_path.iterdir()) == strange


@contextlib.contextmanager
def _is_locked(file: Path) -> Iterator[None]:
    """Another process has locked it first."""
    with FileLock(file), FileLock(file, timeout=0):
        yield


@contextlib.contextmanager
def _is_gone(file: Path) -> Iterator[None]:
    """Another process has removed its folder."""
    file.parent.rmdir()
    file.touch()
    yield


@contextlib.contextmanager
def _comes_and_goes(file: Path) -> Iterator[None]:
    """Other processes make its folder again and remove it, in turn."""
    file.parent.mkdir()
    yield


@contextlib.contextmanager
def _is_removed(file: Path) -> Iterator[None]:
    """It was open already when another process removed it."""
    with FileLock(file, timeout=0):
        file.unlink()
        yield


@pytest.mark.parametrize("first", [_is_locked, _is_gone, _comes_and_goes, _is_removed])
def test_a_folder_that_is_taken_for_a_dead_ones_is_made_anew(tmp_path, first: Lock) -> None:
    """Another process came upon it in the moment before it was locked."""
    asked: list[Path] = []

    def lock(file: Path) -> contextlib.AbstractContextManager[object]:
        asked.append(file)
        return first(file) if len(asked) == 1 else FileLock(file, timeout=0)

    with partial_folder(tmp_path, lock) as partial:
        assert len(asked) == 2
        remove_what_the_dead_left(tmp_path)
        assert list(tmp_path.iterdir()) == [partial]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_which_nothing_can_be_locked_is_told(tmp_path) -> None:
    """It is no reason to try for ever, or to leave folders behind."""
    with (
        pytest.raises(StorageError, match="cannot be locked"),
        partial_folder(tmp_path, _is_removed),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
