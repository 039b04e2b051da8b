"""Schedules: what they are called, when they run what, and with which config."""

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dbt_trigger_dagster import (
    DbtCloudRunConfig,
    TriggerResponseConfig,
    build_dbt_cloud_job_assets,
    build_dbt_cloud_schedule,
)
from dbt_trigger_dagster.definitions import defs
from dbt_trigger_dagster_tests.graphs import a_project

CRON = "0 6 * * *"


def request_of(schedule: dg.ScheduleDefinition, *assets: dg.AssetsDefinition) -> dg.RunRequest:
    """What a tick asks for."""
    repository = dg.Definitions(
        assets=assets, schedules=[schedule], resources=defs.resources
    ).get_repository_def()
    context = dg.build_schedule_context(
        repository_def=repository, scheduled_execution_time=datetime.now(timezone.utc)
    )
    (request,) = schedule.evaluate_tick(context).run_requests or ()
    return request


@pytest.mark.parametrize(
    ("key_prefix", "before"),
    [(None, ""), ("nightly", "nightly__"), (["emea", "night-ly"], "emea__night_ly__")],
)
def test_names_carry_the_prefix_as_the_ops_do(key_prefix: Any, before: str) -> None:
    """So that many schedules fit into one code location."""
    assets = build_dbt_cloud_job_assets(job_id=1, key_prefix=key_prefix)
    schedule = build_dbt_cloud_schedule(assets, cron_schedule=CRON)
    assert schedule.name == f"{before}dbt_cloud_schedule"
    assert schedule.job_name == f"{before}dbt_cloud_job"
    assert assets[0].op.name == f"{before}trigger_response"


def test_the_schedule_brings_its_job_which_runs_the_graph_in_one_process() -> None:
    """Nothing but the graph, and no process for each step."""
    assets = build_dbt_cloud_job_assets(job_id=1, key_prefix="a")
    others = build_dbt_cloud_job_assets(job_id=2, key_prefix="b")
    schedule = build_dbt_cloud_schedule(assets, cron_schedule=CRON)
    definitions = dg.Definitions(
        assets=[*assets, *others], schedules=[schedule], resources=defs.resources
    )
    job = definitions.resolve_job_def("a__dbt_cloud_job")
    assert job.executor_def is dg.in_process_executor
    assert set(job.asset_layer.executable_asset_keys) == {
        key for each in assets for key in each.keys
    }


def test_one_graph_may_have_several_schedules() -> None:
    """They share its job, which a code location takes once."""
    assets = build_dbt_cloud_job_assets(job_id=1, key_prefix="a")
    weekdays = build_dbt_cloud_schedule(assets, cron_schedule="0 6 * * 1-5")
    saturdays = build_dbt_cloud_schedule(
        assets, cron_schedule="0 9 * * 6", name="saturdays", run=DbtCloudRunConfig(poll_interval=60)
    )
    definitions = dg.Definitions(assets, schedules=[weekdays, saturdays], resources=defs.resources)
    repository = definitions.get_repository_def()
    assert {each.name: each.job_name for each in repository.schedule_defs} == {
        "a__dbt_cloud_schedule": "a__dbt_cloud_job",
        "saturdays": "a__dbt_cloud_job",
    }
    assert {job.name for job in repository.get_all_jobs()} == {"a__dbt_cloud_job", "__ASSET_JOB"}


def test_it_is_stopped_unless_told_otherwise() -> None:
    """A deployment must not trigger dbt Cloud by itself."""
    assets = build_dbt_cloud_job_assets(job_id=1)
    running = dg.DefaultScheduleStatus.RUNNING
    stopped = build_dbt_cloud_schedule(assets, cron_schedule=CRON)
    started = build_dbt_cloud_schedule(assets, cron_schedule=CRON, default_status=running)
    assert stopped.default_status == dg.DefaultScheduleStatus.STOPPED
    assert started.default_status == running


def test_every_setting_arrives() -> None:
    """Name, time zone, tags, and of the ops' config what is set and nothing else."""
    assets = build_dbt_cloud_job_assets(job_id=1, key_prefix="a")
    schedule = build_dbt_cloud_schedule(
        assets,
        cron_schedule=["0 6 * * 1-5", "0 9 * * 6"],
        name="weekday_mornings",
        execution_timezone="Europe/Prague",
        trigger=TriggerResponseConfig(cause="On time"),
        run=DbtCloudRunConfig(max_wait_time=None),
        tags={"team": "data"},
    )
    assert schedule.name == "weekday_mornings"
    assert schedule.cron_schedule == ["0 6 * * 1-5", "0 9 * * 6"]
    assert schedule.execution_timezone == "Europe/Prague"
    request = request_of(schedule, *assets)
    assert request.tags["team"] == "data"
    assert request.run_config == {
        "ops": {
            "a__trigger_response": {"config": {"cause": "On time"}},
            "a__dbt_cloud_run": {"config": {"max_wait_time": None}},
        }
    }


def test_its_run_keeps_the_graphs_defaults_where_it_sets_nothing(tmp_path: Path) -> None:
    """A schedule's config lies over that of the graph, field by field."""
    with a_project(tmp_path) as project:
        assets = project.assets(
            trigger_defaults=TriggerResponseConfig(cause="Mine", git_branch="main"),
            run_defaults=DbtCloudRunConfig(poll_interval=0.05),
        )
        schedule = build_dbt_cloud_schedule(
            assets, cron_schedule=CRON, trigger=TriggerResponseConfig(cause="On time")
        )
        definitions = dg.Definitions(assets, schedules=[schedule], resources=project.resources())
        job = definitions.resolve_job_def(schedule.job_name)
        config = request_of(schedule, *assets).run_config
        assert job.execute_in_process(run_config=config, instance=project.instance).success
        (dbt_run,) = project.dbt_runs()
        assert dbt_run["trigger"]["cause"].startswith("On time [dagster")
        assert dbt_run["trigger"]["git_branch"] == "main"
        assert len(project.run_ids()) == 1


def test_a_variable_is_read_in_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name goes into the run's config, as Dagster itself writes it."""
    trigger = TriggerResponseConfig(
        git_branch=dg.EnvVar("BRANCH"),
        threads_override=dg.EnvVar.int("THREADS"),
        steps_override=["dbt deps", dg.EnvVar("STEP")],
    )
    with a_project(tmp_path) as project:
        assets = project.assets()
        schedule = build_dbt_cloud_schedule(assets, cron_schedule=CRON, trigger=trigger)
        definitions = dg.Definitions(assets, schedules=[schedule], resources=project.resources())
        job = definitions.resolve_job_def(schedule.job_name)
        config = request_of(schedule, *assets).run_config
        assert "BRANCH" in json.dumps(config)
        for name, value in {"BRANCH": "main", "THREADS": "7", "STEP": "dbt build"}.items():
            monkeypatch.setenv(name, value)
        assert job.execute_in_process(run_config=config, instance=project.instance).success
        (dbt_run,) = project.dbt_runs()
        sent = [dbt_run["trigger"][name] for name in ("git_branch", "threads_override")]
        assert [*sent, dbt_run["trigger"]["steps_override"]] == [
            "main",
            7,
            ["dbt deps", "dbt build"],
        ]


def test_the_assets_of_several_jobs_are_refused() -> None:
    """Which of them gives the names, and the config?"""
    several = [
        each for name in "ab" for each in build_dbt_cloud_job_assets(job_id=1, key_prefix=name)
    ]
    with pytest.raises(ValueError, match="the assets of 2: give what one call of"):
        build_dbt_cloud_schedule(several, cron_schedule=CRON)
    with pytest.raises(ValueError, match="the assets of 0"):
        build_dbt_cloud_schedule([], cron_schedule=CRON)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"cron_schedule": "0 99 * * *"}, "invalid cron schedule '0 99"),
        ({"cron_schedule": CRON, "execution_timezone": "Mars/Base"}, "timezone Mars/Base"),
    ],
)
def test_a_time_that_is_none_is_refused_by_dagster(settings: dict[str, str], sentence: str) -> None:
    """Its sentence names the value and the schedule."""
    assets = build_dbt_cloud_job_assets(job_id=1)
    with pytest.raises(dg.DagsterInvalidDefinitionError, match=sentence) as caught:
        build_dbt_cloud_schedule(assets, **settings)  # type: ignore[arg-type]  # they are texts
    assert "dbt_cloud_schedule" in str(caught.value)
