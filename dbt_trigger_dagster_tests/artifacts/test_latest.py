"""The newest artifacts at a steady address, in whatever order runs are landed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dbt_trigger_dagster.artifacts.latest import publish_latest
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.storage.file_store import FileStore, open_file_store
from dbt_trigger_dagster_tests.payloads import run_payload

MANIFEST, CATALOG = "manifest.json", "catalog.json"


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    """A folder."""
    return open_file_store(str(tmp_path))


def land(files: FileStore, run_id: int, *names: str, **payload: Any) -> None:
    """Keep a good run's artifacts, and publish them; each says whose it is."""
    run = Run.from_payload(
        run_payload(10, id=run_id, account_id=7, job_definition_id=9, environment_id=5, **payload)
    )
    for name in names:
        files.put(f"7/9/{run_id}/{name}", [b"%d" % run_id])
    publish_latest(files, run, f"7/9/{run_id}", names)


def latest(files: FileStore, place: str = "9") -> dict[str, str]:
    """What stands at a steady address."""
    folder = f"latest/7/{place}"
    found = {}
    for file in files.list_files(folder):
        name = file.path.removeprefix(f"{folder}/")
        if not name.startswith("published/"):
            with files.open(file.path) as content:
                found[name] = content.read().decode()
    return found


def test_the_newest_run_stands_at_the_jobs_and_the_environments_address(files) -> None:
    """What it has not left is of the last one that has."""
    land(files, 1, MANIFEST, CATALOG)
    land(files, 2, MANIFEST)
    for place in ("9", "environment-5"):
        assert latest(files, place) == {MANIFEST: "2", CATALOG: "1"}
        (note,) = files.list_files(f"latest/7/{place}/published")
        assert note.path.endswith("/2.json")


@pytest.mark.parametrize(
    "more",
    [
        {"trigger": {"schema_override": "pr_42"}},
        {"trigger": {"target_name_override": "staging"}},
        {"trigger": {"git_sha": "a" * 40}},
        {"trigger": {"azure_pull_request_id": 42}},
        {"trigger": {"github_pull_request_id": 42}},
        {"trigger": {"gitlab_merge_request_id": 42}},
        {"trigger": {"non_native_pull_request_id": 42}},
        {"trigger": {"cause_category": "ci"}},
        {"job": {"job_type": "ci"}},
        {
            "trigger": {"git_branch": "feature/orders"},
            "environment": {"use_custom_branch": True, "custom_branch": "production"},
        },
    ],
    ids=lambda more: " ".join(key for part in more.values() for key in part),
)
def test_a_run_of_other_code_or_elsewhere_is_not_the_latest(files, more) -> None:
    """Who deferred to it would read from the schema of a pull request."""
    land(files, 1, MANIFEST)
    land(files, 2, MANIFEST, **more)
    for place in ("9", "environment-5"):
        assert latest(files, place) == {MANIFEST: "1"}


@pytest.mark.parametrize(
    "environment",
    [
        None,
        {"use_custom_branch": False, "custom_branch": "old"},
        {"use_custom_branch": True, "custom_branch": "main"},
    ],
)
def test_the_branch_and_the_nulls_that_every_trigger_has_are_no_override(
    files, environment
) -> None:
    """So a run that nobody has changed anything about is published."""
    trigger = {
        "cause": "Nightly",
        "cause_category": "api",
        "git_branch": "main",
        "git_sha": None,
        "schema_override": None,
        "github_pull_request_id": None,
        "threads_override": 8,
    }
    land(files, 1, MANIFEST, trigger=trigger, environment=environment)
    assert latest(files) == {MANIFEST: "1"}


def test_an_older_run_that_lands_late_changes_nothing(files) -> None:
    """One that is landed again does."""
    land(files, 2, MANIFEST)
    land(files, 1, MANIFEST)
    assert latest(files) == {MANIFEST: "2"}
    files.put("latest/7/9/manifest.json", [b"spoiled"])
    land(files, 2, MANIFEST)
    assert latest(files) == {MANIFEST: "2"}


def test_a_run_of_no_environment_has_its_jobs_address(files) -> None:
    """Dbt Cloud may leave it out."""
    run = Run.from_payload({"id": 1, "account_id": 7, "job_definition_id": 9, "status": 10})
    files.put("7/9/1/manifest.json", [b"1"])
    publish_latest(files, run, "7/9/1", [MANIFEST])
    assert latest(files) == {MANIFEST: "1"}
    assert [each.path for each in files.list_files("latest")] == [
        "latest/7/9/manifest.json",
        "latest/7/9/published/1.json",
    ]


class Between:
    """Files where something happens before the first copy."""

    def __init__(self, files: FileStore, happens: Callable[[], None]) -> None:
        self._files = files
        self._happens = [happens]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)

    def copy(self, source: str, target: str) -> None:
        """What `FileStore.copy` does, a moment later."""
        if self._happens:
            self._happens.pop()()
        self._files.copy(source, target)


def test_a_newer_run_that_comes_in_between_stays(files) -> None:
    """The older one has overwritten it, and sees so."""
    between = Between(files, lambda: land(files, 3, MANIFEST))
    land(between, 2, MANIFEST)
    assert latest(files) == {MANIFEST: "3"}


def test_what_is_no_note_is_no_run(files) -> None:
    """Such as what another program has left half written."""
    files.put("latest/7/9/published/7", [b"half of i"])
    files.put("latest/7/9/published/old.json", [b"{}"])
    land(files, 2, MANIFEST)
    assert latest(files) == {MANIFEST: "2"}


def test_of_runs_that_land_at_once_the_newest_stays(files) -> None:
    """Each in a thread of its own."""
    with ThreadPoolExecutor(12) as threads:
        landed = [threads.submit(land, files, run_id, MANIFEST) for run_id in range(1, 61)]
    for each in landed:
        each.result()  # none has failed
    for place in ("9", "environment-5"):
        assert latest(files, place) == {MANIFEST: "60"}
