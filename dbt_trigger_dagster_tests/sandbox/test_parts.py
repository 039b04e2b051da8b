"""The pure parts of the sandbox: durations in words, and artifacts that stay in their folder."""

from datetime import timedelta
from pathlib import Path

import pytest

from dbt_trigger_dagster.sandbox.account.artifacts import FolderArtifacts
from dbt_trigger_dagster.sandbox.account.logs import last_lines, read_tail
from dbt_trigger_dagster.sandbox.account.timestamps import as_duration, humanized


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 minutes"),
        (12, "12 seconds"),
        (110, "1 minute, 50 seconds"),
        (86400 + 36, "1 day"),
        (15 * 86400 + 5, "2 weeks, 1 day"),
        (7200, "2 hours"),
    ],
)
def test_a_duration_in_words_has_two_neighbouring_units(seconds: int, words: str) -> None:
    """As in recorded payloads."""
    assert humanized(timedelta(seconds=seconds)) == words


def test_a_duration_may_have_more_than_24_hours() -> None:
    """It does not turn into days."""
    assert as_duration(timedelta(days=1, seconds=36)) == "24:00:36"


def test_an_artifact_outside_its_folder_does_not_exist(tmp_path: Path) -> None:
    """Neither above it, nor by an absolute path, nor behind a link."""
    folder = tmp_path / "target"
    folder.mkdir()
    (folder / "a.json").write_text("{}")
    secret = tmp_path / "secret"
    secret.write_text("x")
    (folder / "link").symlink_to(secret)
    artifacts = FolderArtifacts(folder)
    assert artifacts.find("a.json") == folder / "a.json"
    assert [artifacts.find(path) for path in ("../secret", str(secret), "link", "")] == [None] * 4


def test_a_log_is_cut_to_its_last_half_megabyte_and_thousand_lines(tmp_path: Path) -> None:
    """A file that is not there yet is an empty log."""
    log = tmp_path / "dbt.log"
    assert read_tail(log) == ""
    log.write_text("line\n" * 200_000)
    assert len(read_tail(log)) == 512 * 1024
    assert last_lines(read_tail(log)) == "line\n" * 1000
