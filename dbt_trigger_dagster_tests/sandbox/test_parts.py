"""The pure parts of the sandbox: durations in words, and artifacts that stay in their folder."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dbt_trigger_dagster.sandbox.account.artifacts import FolderArtifacts
from dbt_trigger_dagster.sandbox.account.logs import (
    as_debug_logs,
    as_logs,
    read_tail,
    truncated,
    with_failure,
)
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
    notice, shown = truncated(read_tail(log)).split("\n...\n\n")
    assert notice.startswith("This log output is truncated.")
    assert shown == "ne\n" + "line\n" * 999


def test_dbts_own_log_is_shown_with_the_date_and_without_levels() -> None:
    """As recorded; lines that belong to a message above them stay as they are."""
    written = (
        "\x1b[0m06:58:58.906232 [debug] [MainThread]: Command start\n  more of it\n"
        "06:58:59.000001 [info ] [Thread-1 (worker)]: 1 of 2 START\n"
    )
    assert as_debug_logs(written, datetime(2026, 5, 28, tzinfo=timezone.utc)) == (
        "2026-05-28 06:58:58.906232 (MainThread): 06:58:58  Command start\n  more of it\n"
        "2026-05-28 06:58:59.000001 (Thread-1 (worker)): 06:58:59  1 of 2 START\n"
    )


def test_what_dbt_printed_keeps_its_colours_without_the_resets_before_each_line() -> None:
    """As recorded: the time stands first."""
    printed = "07:00:00  Running dbt...\n\x1b[0m07:00:01  1 of 1 OK [\x1b[32mSUCCESS 1\x1b[0m]\n"
    shown = "07:00:00  Running dbt...\n07:00:01  1 of 1 OK [\x1b[32mSUCCESS 1\x1b[0m]\n"
    assert as_logs(printed) == shown


def test_the_last_line_of_a_failed_step_is_dbt_clouds_own_and_stands_there_once() -> None:
    """Also where a script has it already."""
    failed = "Done. PASS=1\ndbt command failed\n"
    assert with_failure("Done. PASS=1") == with_failure(failed) == failed
