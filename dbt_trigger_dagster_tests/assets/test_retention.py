"""The job that deletes old artifacts: a dry run first, a summary, and a failure that names all."""

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dbt_trigger_dagster import (
    DbtCloudArtifactStore,
    DbtCloudTableIOManager,
    build_dbt_cloud_retention,
)
from dbt_trigger_dagster.dbt_cloud.errors import SettingError
from dbt_trigger_dagster_tests.artifacts.test_retention import keep, marked, runs_with_files
from dbt_trigger_dagster_tests.graphs import failure_of

NAME = "dbt_cloud_retention"
OP = f"{NAME}_delete"
DAY = timedelta(days=1)


@pytest.fixture
def resources(tmp_path: Path) -> dict[str, Any]:
    """Tables and a folder with an old run, one in between and a new one."""
    tables = DbtCloudTableIOManager(database=str(tmp_path / "rows.duckdb"))
    artifacts = DbtCloudArtifactStore(root=str(tmp_path / "kept"))
    now = datetime.now(timezone.utc)
    for run_id, days in ((1, 100), (2, 20), (3, 0)):
        keep(tables.store(), artifacts.files(), run_id, when=now - days * DAY)
    return {"dbt_cloud_tables": tables, "dbt_cloud_artifacts": artifacts}


def run(resources: dict[str, Any], config: dict[str, Any] | None = None, **settings: Any) -> Any:
    """Run the job; a failed step does not raise."""
    schedule = build_dbt_cloud_retention(**{"keep_last_runs": 1, **settings})
    location = dg.Definitions(schedules=[schedule], resources=resources)
    dg.Definitions.validate_loadable(location)
    return location.resolve_job_def(NAME).execute_in_process(
        run_config={"ops": {OP: {"config": config}}} if config else None, raise_on_error=False
    )


def summary(result: Any) -> dict[str, Any]:
    """What Dagster shows of the one output."""
    (event,) = [each for each in result.all_events if each.is_successful_output]
    return {
        name: value.value
        for name, value in event.step_output_data.metadata.items()
        if name != "jobs"
    }


def test_it_is_a_dry_run_unless_its_config_says_otherwise(resources) -> None:
    """Whoever starts it first sees what would go; with dry_run: false it goes."""
    told = {"runs": 1, "files": 2, "size_bytes": 4, "runs_kept": 2}
    assert summary(run(resources)) == {**told, "dry_run": True}
    files = resources["dbt_cloud_artifacts"].files()
    assert runs_with_files(files) == {1, 2, 3}
    assert summary(run(resources, {"dry_run": False})) == {**told, "dry_run": False}
    assert runs_with_files(files) == {2, 3}
    when = marked(resources["dbt_cloud_tables"].store())
    assert (None in when[1], when[2], when[3]) == (False, {None}, {None})


def test_the_builders_settings_are_what_it_starts_from(resources) -> None:
    """A run's config changes them one by one."""
    settings = {"older_than_days": 10, "dry_run": False}
    assert summary(run(resources, {"older_than_days": 50}, **settings))["runs"] == 1
    assert summary(run(resources, **settings))["runs"] == 1
    assert runs_with_files(resources["dbt_cloud_artifacts"].files()) == {3}


def test_a_setting_that_is_no_number_is_told_by_what_is_wrong_with_it() -> None:
    """And not by how large it has to be."""
    with pytest.raises(SettingError, match="dry_run is maybe: Input should be a valid boolean"):
        build_dbt_cloud_retention(dry_run="maybe")  # type: ignore[arg-type]


def test_the_schedule_is_off_and_runs_the_job_with_its_settings() -> None:
    """A deployment must not delete anything by itself."""
    schedule = build_dbt_cloud_retention()
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    assert (schedule.name, schedule.job_name) == (f"{NAME}_schedule", NAME)


def test_what_cannot_be_deleted_fails_the_run_after_the_rest_is_gone(resources, tmp_path) -> None:
    """And the failure says which, and why."""
    tables, artifacts = resources["dbt_cloud_tables"], resources["dbt_cloud_artifacts"]
    keep(tables.store(), artifacts.files(), 0, when=datetime(2020, 1, 1, tzinfo=timezone.utc))
    (tmp_path / "kept/7/9/1").rename(tmp_path / "moved")
    (tmp_path / "kept/7/9/1").symlink_to(tmp_path / "moved")
    failure = failure_of(run(resources, {"dry_run": False}), OP)
    said = "The artifacts of 1 runs cannot be deleted: Nothing is deleted in "
    assert said in str(failure.description)
    assert failure.metadata["runs"].value == 1
    assert set(artifacts.files().list_folders("7/9")) == {"1", "2", "3"}
