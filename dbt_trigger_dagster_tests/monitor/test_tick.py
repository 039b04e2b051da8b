"""The monitor's ticks against the sandbox: every run landed, none twice, whatever happens."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dbt_trigger_dagster import DbtCloudRunConfig, DbtCloudTableIOManager
from dbt_trigger_dagster.assets.job import JOB_ID_TAG
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudAuthError
from dbt_trigger_dagster.dbt_cloud.marker import marker
from dbt_trigger_dagster.monitor.cursor import MOST_REMEMBERED
from dbt_trigger_dagster.monitor.landings import ATTEMPT_TAG, MONITOR_TAG
from dbt_trigger_dagster.sandbox import Fault, SandboxJob, Script
from dbt_trigger_dagster_tests.clocks import until
from dbt_trigger_dagster_tests.graphs import (
    ARTIFACTS,
    BROKEN,
    GOOD,
    LONG,
    a_project,
    failed_ops,
    sent,
)
from dbt_trigger_dagster_tests.monitors import (
    NAME,
    Watch,
    a_watch,
    run_ids_of,
    settle,
    trigger_by_hand,
)

LEAVE = {"wait_for_result": False}
RUNS = "*/runs/"


def leave(watch: Watch, times: int = 1, **trigger: Any) -> list[int]:
    """Trigger from Dagster, wait for nothing, and let the runs end; their numbers."""
    project = watch.project
    for _ in range(times):
        assert project.materialize(run=LEAVE, trigger=trigger or None).success
    settle(project)
    return project.run_ids("dbt_cloud_trigger")[-times:]


def landings(watch: Watch) -> list[dg.DagsterRun]:
    """The Dagster runs that landed, or were to."""
    return list(watch.project.instance.get_runs(dg.RunsFilter(tags={MONITOR_TAG: NAME})))


# What is landed


def test_a_run_that_nobody_waits_for_is_landed(tmp_path: Path) -> None:
    """Its row and its files are as if it had been waited for; then all is quiet."""
    with a_watch(tmp_path, GOOD) as watch:
        (run_id,) = leave(watch)
        assert watch.project.run_ids() == []
        (request,) = watch.tick()
        (landing,) = watch.launch([request])
        assert landing.success
        (row,) = watch.project.rows("dbt_cloud_run")
        assert (row["id"], row["status_humanized"], row["asset_key"]) == (
            run_id,
            "Success",
            "run_result",
        )
        assert {Path(file).name for file in watch.project.files()} == set(ARTIFACTS)
        assert watch.tick() == []


def test_a_request_says_what_it_is_for(tmp_path: Path) -> None:
    """The assets it materializes, the runs, and in tags whose it is."""
    with a_watch(tmp_path, GOOD, raise_on_failed_run=False) as watch:
        (run_id,) = leave(watch)
        (request,) = watch.tick()
        assert request.asset_selection == [
            dg.AssetKey("run_result"),
            dg.AssetKey("artifacts"),
            dg.AssetKey("node_results"),
        ]
        assert request.run_config == {
            "ops": {
                "dbt_cloud_run": {
                    "config": {
                        "run_ids": [run_id],
                        "wait_for_result": True,
                        "raise_on_failed_run": False,
                        "retry_failed_run": False,
                    }
                }
            }
        }
        assert request.tags == {
            MONITOR_TAG: NAME,
            ATTEMPT_TAG: "1",
            JOB_ID_TAG: str(watch.project.job_id),
        }


def test_a_run_that_was_waited_for_is_left_alone(tmp_path: Path) -> None:
    """The table holds it."""
    with a_watch(tmp_path, GOOD) as watch:
        assert watch.project.materialize().success
        assert watch.tick() == []


def test_a_failed_run_leaves_everything_and_is_not_repeated(tmp_path: Path) -> None:
    """Its landing fails, as a wait for it would have; once."""
    with a_watch(tmp_path, BROKEN) as watch:
        (run_id,) = leave(watch)
        (landing,) = watch.launch(watch.tick())
        assert failed_ops(landing) == ["dbt_cloud_run"]
        assert watch.project.run_ids() == [run_id]
        assert len(watch.project.files()) == 2
        assert watch.tick() == []


def test_a_failed_run_may_leave_its_landing_in_peace(tmp_path: Path) -> None:
    """raise_on_failed_run: false, for people who look at the table."""
    with a_watch(tmp_path, BROKEN, raise_on_failed_run=False) as watch:
        leave(watch)
        (landing,) = watch.launch(watch.tick())
        assert landing.success


def test_an_asset_that_lets_failed_runs_pass_is_landed_so(tmp_path: Path) -> None:
    """A monitor that is not told otherwise leaves it to the job's own config."""
    graph = {"run_defaults": DbtCloudRunConfig(raise_on_failed_run=False)}
    with a_watch(tmp_path, BROKEN, graphs=[graph]) as watch:
        (run_id,) = leave(watch)
        (landing,) = watch.launch(watch.tick())
        assert landing.success
        assert watch.project.run_ids() == [run_id]


def test_a_monitor_that_is_told_so_fails_the_landing_all_the_same(tmp_path: Path) -> None:
    """Its own word comes before the job's."""
    graph = {"run_defaults": DbtCloudRunConfig(raise_on_failed_run=False)}
    with a_watch(tmp_path, BROKEN, graphs=[graph], raise_on_failed_run=True) as watch:
        leave(watch)
        (landing,) = watch.launch(watch.tick())
        assert failed_ops(landing) == ["dbt_cloud_run"]


def test_a_run_whose_worker_died_before_its_row_was_written_is_landed(tmp_path: Path) -> None:
    """Dbt Cloud knows the Dagster run that wanted it; the tables know nothing."""
    with a_watch(tmp_path, GOOD) as watch:
        died = dg.DagsterRun(job_name="nightly")
        watch.project.instance.add_run(died)
        run_id = trigger_by_hand(watch.project, f"Nightly {marker(died.run_id)}")
        settle(watch.project)
        (landing,) = watch.launch(watch.tick())
        assert landing.success
        assert watch.project.run_ids() == [run_id]


def test_external_runs_are_landed_where_they_are_wanted(tmp_path: Path) -> None:
    """Those of the monitor's jobs; by default, and of other jobs, none."""
    jobs = [SandboxJob(name="nightly", script=GOOD), SandboxJob(name="other", script=GOOD)]
    for external in (False, True):
        with a_watch(tmp_path, jobs=jobs, include_external_runs=external) as watch:
            run_id = trigger_by_hand(watch.project)
            trigger_by_hand(watch.project, job=1)
            settle(watch.project)
            assert [run_ids_of(each) for each in watch.tick()] == ([[run_id]] if external else [])


def test_a_graph_whose_job_is_known_by_name_gets_its_external_runs(tmp_path: Path) -> None:
    """The list is asked for jobs then."""
    graphs = [{"job_name": "nightly"}]
    with a_watch(tmp_path, GOOD, graphs=graphs, include_external_runs=True) as watch:
        run_id = trigger_by_hand(watch.project)
        settle(watch.project)
        (landing,) = watch.launch(watch.tick())
        assert landing.success
        assert watch.project.run_ids() == [run_id]


def test_one_monitor_lands_the_runs_of_many_jobs(tmp_path: Path) -> None:
    """Each into its own assets, with a Dagster run for each job."""
    jobs = [SandboxJob(name=name, script=GOOD) for name in ("one", "two")]
    graphs = [{"job_name": name, "key_prefix": name} for name in ("one", "two")]
    with a_watch(tmp_path, jobs=jobs, graphs=graphs, include_external_runs=True) as watch:
        expected = {
            trigger_by_hand(watch.project, job=number): f"{name}/run_result"
            for number, name in enumerate(["one", "two"])
        }
        settle(watch.project)
        requests = watch.tick()
        assert [list(each.run_config["ops"]) for each in requests] == [
            ["one__dbt_cloud_run"],
            ["two__dbt_cloud_run"],
        ]
        assert all(each.success for each in watch.launch(requests))
        rows = watch.project.rows("dbt_cloud_run")
        assert {row["id"]: row["asset_key"] for row in rows} == expected


def test_a_run_of_another_job_by_config_goes_to_the_assets_that_triggered_it(
    tmp_path: Path,
) -> None:
    """The trigger's row says whose it is."""
    jobs = [SandboxJob(name="nightly", script=GOOD), SandboxJob(name="other", script=GOOD)]
    with a_watch(tmp_path, jobs=jobs) as watch:
        (run_id,) = leave(watch, job_id=watch.project.sandbox.jobs[1].id)
        (landing,) = watch.launch(watch.tick())
        assert landing.success
        assert watch.project.run_ids() == [run_id]


def test_many_runs_are_landed_in_batches(tmp_path: Path) -> None:
    """150 that ended at once: three Dagster runs, the oldest first."""
    with a_watch(tmp_path, GOOD, include_external_runs=True) as watch:
        expected = [trigger_by_hand(watch.project) for _ in range(150)]
        settle(watch.project)
        requests = watch.tick()
        assert [len(run_ids_of(each)) for each in requests] == [50, 50, 50]
        assert [run_id for each in requests for run_id in run_ids_of(each)] == expected
        assert watch.launch(requests[:1])[0].success
        assert watch.project.run_ids() == expected[:50]


def test_a_run_is_left_to_the_op_that_waits_for_it(tmp_path: Path) -> None:
    """It is due when it has settled."""
    with a_watch(tmp_path, GOOD, settle_seconds=60) as watch:
        leave(watch)
        assert watch.tick() == []
        watch.ahead = timedelta(seconds=61)
        assert len(watch.tick()) == 1


def test_a_failed_run_is_left_to_the_step_that_retries_it(tmp_path: Path) -> None:
    """Nobody is alarmed while it may still heal; that step lands it, too."""
    with a_watch(tmp_path, BROKEN, LONG, settle_seconds=60) as watch, ThreadPoolExecutor(1) as pool:
        project = watch.project
        step = pool.submit(project.materialize, run={"max_run_retries": 1})
        until(lambda: [run["status"] for run in project.dbt_runs()] == [20, 3], "it is retried")
        for minutes in (2, 10, 70):  # just over, asked for by its id, seen once more
            watch.ahead = timedelta(minutes=minutes)
            assert watch.tick() == []
        project.end_dbt_runs()
        assert step.result().success
        assert [row["status"] for row in project.rows("dbt_cloud_run")] == [20, 10]


@pytest.mark.parametrize("minutes", [10, 70], ids=["asked for by its id", "seen once more"])
def test_a_failed_run_whose_step_was_killed_is_landed(tmp_path: Path, minutes: int) -> None:
    """While dbt Cloud retried it: nothing is lost."""
    with a_watch(tmp_path, BROKEN, GOOD, settle_seconds=60) as watch:
        project = watch.project
        assert project.materialize(selection=["trigger_response"]).success
        settle(project)
        (failed,) = [run["id"] for run in project.dbt_runs()]
        step = dg.DagsterRun(
            job_name="nightly",
            status=dg.DagsterRunStatus.STARTED,
            tags={
                ".dagster/dbt_cloud_retries": "true",
                f".dagster/dbt_cloud_retried_{failed}": "true",
            },
        )
        project.instance.add_run(step)
        watch.ahead = timedelta(minutes=2)
        assert watch.tick() == []
        project.instance.report_run_failed(step, "The process was killed.")
        watch.ahead = timedelta(minutes=minutes)
        assert [run_ids_of(request) for request in watch.tick()] == [[failed]]


# Where it begins


def test_a_first_tick_leaves_old_runs_alone(tmp_path: Path) -> None:
    """Those of an account's past are nobody's business; with a start they are."""
    with a_project(tmp_path, GOOD) as project:
        trigger_by_hand(project)
        settle(project)
        arguments = {"settle_seconds": 0.0, "include_external_runs": True}
        watch = Watch(project, project.assets(), arguments)
        first = watch.look()
        assert first.cursor is not None
        begun = datetime.now(timezone.utc) - timedelta(minutes=2)
        assert begun.strftime("%Y-%m-%dT%H:%M") in first.cursor or "offset" in first.cursor
        started = Watch(project, project.assets(), {**arguments, "start": begun})
        assert len(started.tick()) == 1


def test_a_cursor_that_cannot_be_read_starts_anew_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a first tick."""
    with a_watch(tmp_path, GOOD) as watch:
        watch.cursor = "1795475766133513"
        assert watch.tick() == []
        assert "The cursor cannot be read" in caplog.text
        leave(watch)
        assert len(watch.tick()) == 1


# Ticks that overlap, repeat, break off or come late


def test_a_repeated_tick_requests_the_same(tmp_path: Path) -> None:
    """So Dagster starts one run for it, although the cursor was lost."""
    with a_watch(tmp_path, GOOD) as watch:
        leave(watch)
        first, second = watch.look(), watch.look()
        assert first.run_requests
        assert first.run_requests == second.run_requests
        watch.launch([*first.run_requests, *(second.run_requests or ())])
        assert len(landings(watch)) == 1


def test_a_run_that_is_being_landed_is_not_requested_again(tmp_path: Path) -> None:
    """Also in another company, as its landing waits in the queue."""
    with a_watch(tmp_path, GOOD) as watch:
        leave(watch)
        (request,) = watch.look().run_requests or ()
        watch.create(request)
        (other,) = leave(watch)
        assert [run_ids_of(each) for each in watch.tick()] == [[other]]


def test_a_tick_that_breaks_off_between_its_launches_is_made_up_for(tmp_path: Path) -> None:
    """The cursor is where it was: what was launched is not requested again, the rest is."""
    with a_watch(tmp_path, GOOD, include_external_runs=True, batch_size=2) as watch:
        expected = [trigger_by_hand(watch.project) for _ in range(5)]
        settle(watch.project)
        requests = watch.look().run_requests or ()
        assert len(requests) == 3
        watch.launch(requests[:1])
        watch.launch(watch.tick())
        assert watch.project.run_ids() == expected
        assert len(landings(watch)) == 3


def test_requests_that_were_never_launched_are_made_again_later(tmp_path: Path) -> None:
    """Somebody stopped the sensor in the middle of its launches: the late sweep finds the runs."""
    with a_watch(tmp_path, GOOD) as watch:
        first, last = leave(watch, times=2)
        assert [run_ids_of(each) for each in watch.tick()] == [[first, last]]
        # What finished last is listed again anyway.
        watch.launch(watch.tick())
        assert watch.project.run_ids() == [last]
        assert watch.tick() == []
        watch.ahead = timedelta(seconds=3700)
        assert [run_ids_of(each) for each in watch.tick()] == [[first]]


def test_ticks_after_a_long_pause_land_everything(tmp_path: Path) -> None:
    """Over several ticks where the budget is small."""
    with a_watch(tmp_path, GOOD, include_external_runs=True, pages=1) as watch:
        expected = [trigger_by_hand(watch.project) for _ in range(130)]
        settle(watch.project)
        watch.ahead = timedelta(days=30)
        first, second = watch.tick(), watch.tick()
        assert [run_id for each in first for run_id in run_ids_of(each)] == expected[:100]
        found = {run_id for each in second for run_id in run_ids_of(each)}
        assert set(expected[100:]) <= found


# Landings that die


def test_a_landing_that_was_killed_is_requested_again(tmp_path: Path) -> None:
    """Under another run key, whatever the cursor says."""
    with a_watch(tmp_path, GOOD) as watch:
        (run_id,) = leave(watch)
        (request,) = watch.tick()
        watch.kill(request)
        assert watch.tick() == []
        watch.ahead = timedelta(seconds=70)
        (again,) = watch.tick()
        assert run_ids_of(again) == [run_id]
        assert again.run_key != request.run_key
        assert again.tags[ATTEMPT_TAG] == "2"
        assert watch.launch([again])[0].success
        assert watch.tick() == []


def test_a_second_landing_in_the_queue_is_not_requested_again(tmp_path: Path) -> None:
    """The first one's failure is still remembered."""
    with a_watch(tmp_path, GOOD) as watch:
        leave(watch)
        watch.kill(watch.tick()[0])
        watch.ahead = timedelta(seconds=70)
        watch.create(watch.tick()[0])
        assert watch.tick() == []


def test_only_what_a_killed_landing_did_not_write_is_requested_again(tmp_path: Path) -> None:
    """The others are held."""
    with a_watch(tmp_path, GOOD, include_external_runs=True) as watch:
        first, second = (trigger_by_hand(watch.project) for _ in range(2))
        settle(watch.project)
        (request,) = watch.tick()
        watch.kill(request)
        watch.project.materialize(selection=["run_result"], run={"run_ids": [first]})
        watch.ahead = timedelta(seconds=70)
        assert [run_ids_of(each) for each in watch.tick()] == [[second]]


def test_a_landing_that_was_killed_before_its_artifacts_is_requested_again(tmp_path: Path) -> None:
    """Its rows are there; who wrote them cannot have come to its end. The next one does."""
    with a_watch(tmp_path, GOOD) as watch:
        (run_id,) = leave(watch)
        (request,) = watch.tick()
        landing = watch.execute(request)
        assert landing.success
        killed = watch.project.instance.get_run_by_id(landing.run_id)
        assert killed is not None
        watch.project.instance.report_run_failed(killed, "The process was killed.")
        watch.ahead = timedelta(seconds=70)
        (again,) = watch.tick()
        assert run_ids_of(again) == [run_id]
        assert watch.launch([again])[0].success
        assert watch.tick() == []


class Drained(DbtCloudTableIOManager):
    """Its worker is ended from outside between the run's row and those of the artifacts."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """End."""
        if context.asset_key.path[-1] == "artifacts":
            raise dg.DagsterExecutionInterruptedError
        super().handle_output(context, obj)


def test_a_landing_that_was_drained_before_its_artifacts_is_requested_again(
    tmp_path: Path,
) -> None:
    """A step failure that says nothing of its own is no end: the rows alone are there."""
    with a_watch(tmp_path, GOOD) as watch:
        (run_id,) = leave(watch)
        (request,) = watch.tick()
        drained = dg.Definitions(
            assets=watch.assets,
            sensors=[watch.sensor],
            resources={
                **watch.project.resources(),
                "dbt_cloud_tables": Drained(database=str(watch.project.database)),
            },
        ).resolve_job_def(f"{NAME}_landing")
        with contextlib.suppress(dg.DagsterExecutionInterruptedError):
            drained.execute_in_process(
                run_config=request.run_config,
                asset_selection=request.asset_selection,
                tags=request.tags,
                instance=watch.project.instance,
                raise_on_error=False,
            )
        (landing,) = landings(watch)
        if not landing.is_finished:
            watch.project.instance.report_run_failed(landing)
        assert watch.project.run_ids() == [run_id]
        assert watch.project.rows("dbt_cloud_artifact") == []
        watch.ahead = timedelta(seconds=70)
        (again,) = watch.tick()
        assert run_ids_of(again) == [run_id]
        assert watch.execute(again).success
        assert len(watch.project.rows("dbt_cloud_artifact")) == len(ARTIFACTS)
        assert watch.tick() == []


def test_a_landing_that_failed_by_itself_after_its_rows_is_not_repeated(tmp_path: Path) -> None:
    """It said which artifact is missing; asking again would say the same."""
    with a_watch(tmp_path, GOOD) as watch:
        leave(watch)
        (request,) = watch.tick()
        watch.project.sandbox.inject(Fault(path="*/manifest.json", status=400, count=None))
        assert not watch.execute(request).success
        assert watch.tick() == []


def test_a_landing_that_fails_is_tried_again_later_and_later(tmp_path: Path) -> None:
    """After 1, 5, 30 and 120 minutes; an outage of hours gives up nothing."""
    with a_watch(tmp_path, GOOD) as watch:
        leave(watch)
        for attempt, minutes in enumerate((0, 1, 5, 30, 120), start=1):
            watch.ahead = timedelta(minutes=minutes, seconds=-10)
            assert minutes == 0 or watch.tick() == []
            watch.ahead = timedelta(minutes=minutes, seconds=10)
            (request,) = watch.tick()
            assert request.tags[ATTEMPT_TAG] == str(attempt)
            watch.kill(request)


def test_a_run_that_nobody_can_land_is_left_to_people_who_see_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A log line and an observation of the asset name it, once, and every tick until it is held."""
    with a_watch(tmp_path, GOOD) as watch:
        (run_id,) = leave(watch)
        for _ in range(5):
            watch.ahead += timedelta(hours=3)
            (request,) = watch.tick()
            watch.kill(request)
        given_up = watch.look()
        watch.cursor = given_up.cursor
        assert not given_up.run_requests
        assert f"none did: {run_id}." in caplog.text
        assert f"Given up: {run_id}." in str(given_up.skip_reason)
        observed = watch.project.instance.fetch_observations(dg.AssetKey("run_result"), limit=5)
        (event,) = observed.records
        assert event.asset_observation is not None
        assert event.asset_observation.metadata["not_landed"].value == str(run_id)
        caplog.clear()
        assert f"Given up: {run_id}." in str(watch.look().skip_reason)
        watch.ahead += timedelta(seconds=3700)
        assert watch.tick() == []
        assert "none did" not in caplog.text
        assert watch.project.materialize(selection=["run_result"], run={"run_ids": [run_id]})
        watch.ahead += timedelta(seconds=3700)
        assert "Given up" not in str(watch.look().skip_reason)


def test_people_are_told_once_however_many_runs_nobody_can_land(tmp_path: Path) -> None:
    """The cursor does not name them all."""
    with a_watch(tmp_path, GOOD, include_external_runs=True) as watch:
        instance = watch.project.instance
        for _ in range(MOST_REMEMBERED + 5):
            op = {"config": {"run_ids": [trigger_by_hand(watch.project)]}}
            landing = dg.DagsterRun(
                job_name=f"{NAME}_landing",
                status=dg.DagsterRunStatus.FAILURE,
                run_config={"ops": {"dbt_cloud_run": op}},
                tags={MONITOR_TAG: NAME, ATTEMPT_TAG: "5"},
            )
            instance.add_run(landing)
        settle(watch.project)
        told = []
        for _ in range(3):
            assert watch.tick() == []
            told.append(len(instance.fetch_observations(dg.AssetKey("run_result"), 10).records))
        assert told == [1, 1, 1]


def test_a_batch_that_failed_is_halved_and_then_landed_one_by_one(tmp_path: Path) -> None:
    """One run that cannot be landed costs only itself."""
    with a_watch(tmp_path, GOOD, include_external_runs=True) as watch:
        for _ in range(4):
            trigger_by_hand(watch.project)
        settle(watch.project)
        sizes = []
        for _ in range(3):
            watch.ahead += timedelta(minutes=10)
            requests = watch.tick()
            sizes.append([len(run_ids_of(each)) for each in requests])
            for request in requests:
                watch.kill(request)
        assert sizes == [[4], [2, 2], [1, 1, 1, 1]]


def test_a_run_whose_row_is_not_final_is_landed(tmp_path: Path) -> None:
    """An older answer of dbt Cloud's may have been the last that its row was made of."""
    with a_watch(tmp_path, GOOD) as watch:
        assert watch.project.materialize().success
        (run_id,) = watch.project.run_ids()
        watch.project.change("UPDATE dbt_cloud_run SET status = 3")
        (request,) = watch.tick()
        assert run_ids_of(request) == [run_id]
        assert watch.launch([request])[0].success
        assert [row["status"] for row in watch.project.rows("dbt_cloud_run")] == [10]
        assert watch.tick() == []


def test_a_run_that_a_person_has_ended_is_landed_quietly(tmp_path: Path) -> None:
    """Its Dagster run was terminated, so its end is no news: a success that says cancelled."""
    with a_watch(tmp_path, Script(seconds=600)) as watch:
        ended = dg.DagsterRun(job_name="nightly", status=dg.DagsterRunStatus.CANCELED)
        watch.project.instance.add_run(ended)
        run_id = trigger_by_hand(watch.project, f"Mine {marker(ended.run_id)}")
        with watch.project.account().build_client() as client:
            client.cancel_run(run_id)
        settle(watch.project)
        (request,) = watch.tick()
        assert run_ids_of(request) == [run_id]
        assert watch.launch([request])[0].success
        (row,) = watch.project.rows("dbt_cloud_run")
        assert row["status_humanized"] == "Cancelled"


def test_where_nothing_happens_the_tables_are_not_asked(tmp_path: Path) -> None:
    """What finished last is listed again and again; a look at it may wake a warehouse."""
    with a_watch(tmp_path, GOOD) as watch:
        assert watch.project.materialize().success
        assert watch.tick() == []
        watch.project.spoil()
        assert "none to land" in str(watch.look().skip_reason)


def test_what_finished_last_is_looked_at_once_more_and_not_for_ever(tmp_path: Path) -> None:
    """The late sweep lists it each time, too."""
    with a_watch(tmp_path, GOOD) as watch:
        assert watch.project.materialize().success
        assert watch.tick() == []
        watch.ahead = timedelta(minutes=70)
        assert watch.tick() == []
        watch.project.spoil()
        watch.ahead = timedelta(minutes=80)
        assert "none to land" in str(watch.look().skip_reason)


def test_a_landing_that_failed_long_ago_is_not_looked_at_for_ever(tmp_path: Path) -> None:
    """A look at the tables may wake a warehouse each time."""
    with a_watch(tmp_path, BROKEN) as watch:
        leave(watch)
        assert not watch.launch(watch.tick())[0].success
        assert watch.tick() == []
        watch.ahead = timedelta(minutes=25)
        assert watch.tick() == []
        watch.project.spoil()
        assert "none to land" in str(watch.look().skip_reason)


def test_a_landing_whose_process_is_gone_unnoticed_is_requested_again(tmp_path: Path) -> None:
    """Dagster believes that it runs, where nobody monitors runs; after hours nobody does."""
    with a_watch(tmp_path, GOOD, lookback=0) as watch:
        leave(watch)
        (request,) = watch.tick()
        run = watch.create(request)
        watch.project.instance.handle_new_event(_event(run, dg.DagsterEventType.RUN_START))
        assert watch.tick() == []
        watch.ahead = timedelta(hours=7)
        (again,) = watch.tick()
        assert again.tags[ATTEMPT_TAG] == "2"


def test_a_landing_may_wait_in_the_queue_for_a_day(tmp_path: Path) -> None:
    """It has not begun, so nothing has died; a queue that does not move blocks nobody."""
    with a_watch(tmp_path, GOOD, lookback=0) as watch:
        leave(watch)
        watch.create(watch.tick()[0])
        watch.ahead = timedelta(hours=7)
        assert watch.tick() == []
        watch.ahead = timedelta(hours=25)
        (again,) = watch.tick()
        assert again.tags[ATTEMPT_TAG] == "2"


def test_a_landing_that_failed_while_nobody_looked_is_seen(tmp_path: Path) -> None:
    """A clock that is slow says that it did before one that was seen; an outage lasts for long."""
    with a_watch(tmp_path, GOOD, include_external_runs=True, lookback=0, batch_size=1) as watch:
        wanted = [trigger_by_hand(watch.project) for _ in range(2)]
        settle(watch.project)
        first, second = (watch.create(request) for request in watch.tick())
        watch.project.instance.report_run_failed(first)
        assert watch.tick() == []
        before = timedelta(minutes=-5)
        watch.project.instance.handle_new_event(
            _event(second, dg.DagsterEventType.RUN_FAILURE, before)
        )
        watch.ahead = timedelta(minutes=25)
        again = [(*run_ids_of(request), request.tags[ATTEMPT_TAG]) for request in watch.tick()]
        assert sorted(again) == [(run_id, "2") for run_id in wanted]


def _event(
    run: dg.DagsterRun, kind: dg.DagsterEventType, ahead: timedelta = timedelta(0)
) -> dg.EventLogEntry:
    return dg.EventLogEntry(
        error_info=None,
        user_message="",
        level=20,
        run_id=run.run_id,
        timestamp=(datetime.now(timezone.utc) + ahead).timestamp(),
        job_name=run.job_name,
        dagster_event=dg.DagsterEvent(kind.value, run.job_name),
    )


# An API that is down, and tables that are


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_api_that_is_down_skips_the_tick_and_says_so(tmp_path: Path, status: int) -> None:
    """The cursor stays, and the next tick finds what ended meanwhile."""
    with a_watch(tmp_path, GOOD) as watch:
        (run_id,) = leave(watch)
        before = watch.cursor
        watch.project.sandbox.inject(Fault("status", path=RUNS, status=status, count=None))
        down = watch.look()
        assert down.cursor == before
        assert not down.run_requests
        assert down.skip_reason is not None
        said = str(down.skip_reason.skip_message)
        assert said.startswith("dbt Cloud cannot be asked; the next tick tries again. ")
        assert str(status) in said
        watch.project.sandbox.clear_faults()
        assert [run_ids_of(each) for each in watch.tick()] == [[run_id]]


def test_a_token_that_is_refused_fails_the_tick(tmp_path: Path) -> None:
    """The next tick would be refused too: somebody has to see it."""
    with a_watch(tmp_path, GOOD) as watch:
        watch.project.sandbox.inject(Fault("status", path=RUNS, status=401, count=None))
        with pytest.raises(DbtCloudAuthError):
            watch.look()


def test_an_api_that_is_down_at_the_first_tick_leaves_no_cursor(tmp_path: Path) -> None:
    """The first tick is the first that is answered."""
    with a_project(tmp_path, GOOD) as project:
        watch = Watch(project, project.assets(), {"settle_seconds": 0.0})
        project.sandbox.inject(Fault("reset", path=RUNS, count=None))
        down = watch.look()
        assert (down.cursor, down.run_requests) == (None, [])


def test_what_came_before_an_outage_is_landed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first page; the second comes with the next tick."""
    with a_watch(tmp_path, GOOD, include_external_runs=True) as watch:
        expected = [trigger_by_hand(watch.project) for _ in range(110)]
        settle(watch.project)
        watch.project.sandbox.inject(Fault("status", path=RUNS, status=503, skip=1, count=None))
        requests = watch.tick()
        assert [run_id for each in requests for run_id in run_ids_of(each)] == expected[:100]
        assert "What was seen before is landed." in caplog.text


def test_tables_that_cannot_be_read_skip_the_tick(tmp_path: Path) -> None:
    """The cursor stays here too."""
    with a_watch(tmp_path, GOOD) as watch:
        leave(watch)
        before = watch.cursor
        watch.project.spoil()
        result = watch.look()
        assert (result.cursor, result.run_requests) == (before, [])
        assert "is not a DuckDB database" in str(result.skip_reason)


def test_a_tick_asks_for_one_page_however_many_runs_are_in_flight(tmp_path: Path) -> None:
    """Requests depend on what has finished."""
    jobs = [SandboxJob(name=f"job {number}", script=Script(seconds=600)) for number in range(20)]
    with a_watch(tmp_path, jobs=jobs) as watch:
        for number in range(20):
            trigger_by_hand(watch.project, job=number)
        before = len(sent(watch.project.sandbox, "GET"))
        assert watch.tick() == []
        assert len(sent(watch.project.sandbox, "GET")) - before == 1
