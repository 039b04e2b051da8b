"""Runs that are named by hand: of these assets' job, and of no step that triggers as well."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dbt_trigger_dagster.sandbox import SandboxJob
from dbt_trigger_dagster_tests.graphs import (
    BROKEN,
    GOOD,
    LANDED,
    Project,
    a_project,
    failed_ops,
    failure_of,
    sent,
    triggers,
)
from dbt_trigger_dagster_tests.monitors import settle, trigger_by_hand


def two_jobs(folder: Path) -> Any:
    """A project whose account has another job beside the assets' own."""
    jobs = [SandboxJob(name="nightly", script=GOOD), SandboxJob(name="weekly", script=GOOD)]
    return a_project(folder, jobs=jobs)


def land(project: Project, *run_ids: int, **graph: Any) -> Any:
    """Land runs that are named."""
    return project.materialize(
        assets=project.assets(**graph) if graph else None,
        selection=LANDED,
        run={"run_ids": list(run_ids)},
    )


def test_a_run_of_another_job_is_refused(tmp_path: Path) -> None:
    """With both jobs named; nothing of it is kept under these assets."""
    with two_jobs(tmp_path) as project:
        run_id = trigger_by_hand(project, job=1)
        ours = trigger_by_hand(project)
        settle(project)
        result = land(project, ours, run_id)
        said = str(failure_of(result, "dbt_cloud_run").description)
        assert f"run_ids has run {run_id}, which is of the job 'weekly'" in said
        assert f"and not of {project.job_id}" in said
        assert project.run_ids() == []
        assert project.files() == {}


def test_a_run_of_another_job_is_refused_by_the_jobs_name_too(tmp_path: Path) -> None:
    """As far as dbt Cloud tells it."""
    with two_jobs(tmp_path) as project:
        run_id = trigger_by_hand(project, job=1)
        settle(project)
        config = {"ops": {"dbt_cloud_run": {"config": {"run_ids": [run_id]}}}}
        result = dg.materialize(
            project.assets(job_name="nightly"),
            resources=project.resources(),
            run_config=config,
            selection=dg.AssetSelection.assets(*LANDED),
            instance=project.instance,
            raise_on_error=False,
        )
        assert "of the job 'weekly'" in str(failure_of(result, "dbt_cloud_run").description)


def test_a_run_that_these_assets_have_triggered_is_theirs_whatever_its_job(tmp_path: Path) -> None:
    """The trigger's config may name another job, and its run can be landed by its id."""
    with two_jobs(tmp_path) as project:
        other = project.sandbox.jobs[1].id
        project.materialize(selection=["trigger_response"], trigger={"job_id": other})
        (run_id,) = project.run_ids("dbt_cloud_trigger")
        settle(project)
        assert land(project, run_id).success
        assert [row["job_definition_id"] for row in project.rows("dbt_cloud_run")] == [other]


def test_what_dbt_cloud_made_of_such_a_run_is_theirs_too(tmp_path: Path) -> None:
    """A retry has no marker of its own: the run that it retries has."""
    jobs = [SandboxJob(name="nightly", script=GOOD), SandboxJob(name="weekly", script=BROKEN)]
    with a_project(tmp_path, jobs=jobs) as project:
        other = project.sandbox.jobs[1].id
        project.materialize(selection=["trigger_response"], trigger={"job_id": other})
        settle(project)
        with project.account().build_client() as client:
            retry = client.retry_run(project.run_ids("dbt_cloud_trigger")[0]).run_id
        settle(project)
        land(project, retry)
        assert project.run_ids() == [retry]


@pytest.mark.parametrize("order", [1, -1])
def test_a_run_and_its_retry_are_landed_once(tmp_path: Path, order: int) -> None:
    """run_ids [A, B] where B retries A: a row each, and no file is fetched twice."""
    with a_project(tmp_path, BROKEN, GOOD) as project:
        first = trigger_by_hand(project)
        settle(project)
        with project.account().build_client() as client:
            second = client.retry_run(first).run_id
        settle(project)
        result = project.materialize(
            selection=LANDED,
            run={
                "run_ids": [first, second, first][::order],
                "raise_on_failed_run": False,
            },
        )
        assert result.success
        assert project.run_ids() == [first, second]
        rows = project.rows("dbt_cloud_artifact")
        assert len(rows) == len({(row["run_id"], row["path"]) for row in rows})
        fetched = [path for path in sent(project.sandbox, "GET") if path.endswith(".json")]
        assert len(fetched) == len(set(fetched))


def test_runs_are_not_named_where_the_job_is_triggered(tmp_path: Path) -> None:
    """Nobody would follow the run that is started: it is not."""
    with a_project(tmp_path, GOOD) as project:
        run_id = trigger_by_hand(project)
        before = triggers(project.sandbox)
        result = project.materialize(run={"run_ids": [run_id]})
        assert failed_ops(result) == ["trigger_response"]
        said = str(failure_of(result, "trigger_response").description)
        assert said.startswith("run_ids is set, so nobody would follow the run")
        assert triggers(project.sandbox) == before


def test_an_empty_job_name_is_refused(tmp_path: Path) -> None:
    """It would have triggered the assets' own job."""
    with a_project(tmp_path, GOOD) as project:
        result = project.materialize(selection=["trigger_response"], trigger={"job_name": ""})
        assert not result.success
        assert any("job_name is empty" in line for line in project.logs(result)) or any(
            "job_name is empty" in str(event.event_specific_data)
            for event in result.all_events
            if event.is_failure
        )
        assert triggers(project.sandbox) == 0
