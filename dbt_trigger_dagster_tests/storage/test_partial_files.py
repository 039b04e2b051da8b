"""Partial files: those in use stay, those of the dead go, and nobody takes one for the other."""

import threading

import pytest

from dbt_trigger_dagster.storage.partial_files import (
    IN_USE,
    NEW_PARTIAL,
    PARTIAL,
    partial_folder,
    remove_left_over_partial_files,
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
        remove_left_over_partial_files(tmp_path)
        assert (one / "half").read_text() == "half of i"
        assert other.is_dir()


def test_what_the_dead_left_goes(tmp_path) -> None:
    """Killed before the lock, while writing, or before anything was written; the rest stays."""
    for name in ("early", "writing", "empty"):
        (tmp_path / f"{PARTIAL}{name}").mkdir()
    for name in ("writing", "empty"):
        (tmp_path / f"{PARTIAL}{name}" / IN_USE).touch()
    (tmp_path / f"{PARTIAL}writing" / "half").write_text("half of i")
    (tmp_path / f"{NEW_PARTIAL}locked").mkdir()
    (tmp_path / f"{NEW_PARTIAL}locked" / IN_USE).touch()
    (tmp_path / f"{NEW_PARTIAL}made").mkdir()
    (tmp_path / "manifest.json").write_text("{}")
    remove_left_over_partial_files(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_what_cannot_be_removed_does_not_keep_the_rest(tmp_path) -> None:
    """Nor does it keep anybody from storing artifacts."""
    strange = [tmp_path / f"{PARTIAL}{name}" for name in ("a", "z")]
    for path in strange:
        path.write_text("a file")
    (tmp_path / f"{PARTIAL}m").mkdir()
    remove_left_over_partial_files(tmp_path)
    assert sorted(tmp_path.iterdir()) == strange


def test_a_folder_is_in_use_as_soon_as_it_can_be_found(tmp_path) -> None:
    """Whoever comes upon it at the first moment leaves it alone."""
    found: list[bool] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            remove_left_over_partial_files(tmp_path)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for _ in range(300):
            with partial_folder(tmp_path) as partial:
                (partial / "half").touch()
                found.append((partial / IN_USE).exists())
    finally:
        ended.set()
        watcher.join()
    assert all(found)
    remove_left_over_partial_files(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_whatever_goes_wrong_nothing_is_left(tmp_path) -> None:
    """The error comes out as it is."""
    with pytest.raises(KeyboardInterrupt), partial_folder(tmp_path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_the_error(tmp_path) -> None:
    """It is not tried for ever."""
    with pytest.raises(FileNotFoundError), partial_folder(tmp_path / "gone"):
        pass
