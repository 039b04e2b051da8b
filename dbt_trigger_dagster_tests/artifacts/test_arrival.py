"""A run's artifacts are stored as they arrive; what is not listed yet is not "none"."""

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

import pytest
import requests

from dbt_trigger_dagster.artifacts.arrival import Arrival
from dbt_trigger_dagster.artifacts.download import DownloadReport
from dbt_trigger_dagster.artifacts.listing import ARTIFACT_LAG, Wanted, lag_of
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.sandbox import Sandbox, SandboxJob, Script
from dbt_trigger_dagster.storage.files import LocalFiles
from dbt_trigger_dagster_tests.clocks import FakeClock
from dbt_trigger_dagster_tests.payloads import (
    ACCOUNT_ID,
    TOKEN,
    envelope,
    run_payload,
    step_payload,
)
from dbt_trigger_dagster_tests.servers import Received, Reply, reply, serving

NAMES = ["manifest.json", "run_results.json", "catalog.json"]
STEPS = [step_payload(3, "dbt deps"), step_payload(4, "dbt build")]
NOTHING = [reply(404), [], None]
"""How dbt Cloud says that it has no artifacts."""


def _run(status: int = 10, **changes: object) -> Run:
    return Run.from_payload(run_payload(status, **{"run_steps": STEPS, **changes}))


class _Cloud:
    """Lists one thing after the other, the last for ever; has each file but those of steps.

    Args:
        lists: What is listed; a reply is given as it is.
    """

    def __init__(self, *lists: Sequence[str] | Reply | None) -> None:
        self.asked: list[str] = []
        self._lists = list(lists)

    def respond(self, request: Received) -> Reply:
        """The answer to one request."""
        path = unquote(request.target).partition("/artifacts/")[2]
        self.asked.append(path)
        if path:
            return reply(404) if "?step=" in path else reply(200, path.encode())
        listed = self._lists.pop(0) if len(self._lists) > 1 else self._lists[0]
        if isinstance(listed, Reply):
            return listed
        return reply(200, json.dumps(envelope(listed)).encode())


def _store(
    cloud: _Cloud,
    clock: FakeClock,
    folder: Path,
    run: Run,
    *,
    saw_end: bool = True,
    nodes: bool = False,
) -> DownloadReport:
    with (
        serving(cloud.respond) as server,
        DbtCloudClient(
            account_id=ACCOUNT_ID, token=TOKEN, access_url=server.url, clock=clock
        ) as client,
    ):
        arrival = Arrival(client, Wanted(node_results=nodes), LocalFiles(folder), max_parallel=4)
        return arrival.store(run, "run", lag_of(client, run, saw_end=saw_end))


def _stored(report: DownloadReport) -> list[str]:
    assert report.errors == ()
    return [str(each.artifact) for each in report.stored]


def test_a_list_that_lacks_some_at_first_is_not_believed(clock, tmp_path) -> None:
    """One of three at first: all three are kept, each downloaded once."""
    cloud = _Cloud(NAMES[:1], NAMES)
    assert sorted(_stored(_store(cloud, clock, tmp_path, _run()))) == sorted(NAMES)
    assert sorted(cloud.asked) == sorted(["", "", "", *NAMES])
    assert clock.pauses == [1.0]


def test_two_lists_that_agree_are_believed_at_once(clock, tmp_path) -> None:
    """Nobody waits for what is there."""
    cloud = _Cloud(NAMES)
    assert len(_stored(_store(cloud, clock, tmp_path, _run()))) == 3
    assert cloud.asked.count("") == 2
    assert clock.pauses == []


def test_a_run_that_ended_before_is_asked_once(clock, tmp_path) -> None:
    """As the monitor's are, which come in hundreds."""
    cloud = _Cloud(NAMES)
    assert len(_stored(_store(cloud, clock, tmp_path, _run(), saw_end=False))) == 3
    assert cloud.asked.count("") == 1


def test_a_list_that_never_stands_still_ends_with_the_time(clock, tmp_path) -> None:
    """What was listed is kept."""
    cloud = _Cloud(*(["manifest.json", f"{number}.sql"] for number in range(100)))
    began = clock.now
    assert len(_stored(_store(cloud, clock, tmp_path, _run()))) > 5
    assert clock.now - began == ARTIFACT_LAG


@pytest.mark.parametrize("nothing_yet", NOTHING, ids=["404", "empty", "null"])
def test_a_list_that_is_late_is_waited_for(clock, tmp_path, nothing_yet) -> None:
    """Dbt Cloud stores artifacts after the run is over."""
    cloud = _Cloud(*[nothing_yet] * 4, ["manifest.json"])
    assert _stored(_store(cloud, clock, tmp_path, _run())) == ["manifest.json"]
    assert len(clock.pauses) == 4


def test_that_it_waits_is_said_once(clock, tmp_path, caplog) -> None:
    """Nothing is silent for long."""
    caplog.set_level(logging.INFO)
    _store(_Cloud([]), clock, tmp_path, _run())
    told = [text for text in caplog.messages if "waiting for artifacts" in text]
    assert len(told) == 1
    assert told[0].endswith("waiting for artifacts that may still arrive, up to 30 s.")


@pytest.mark.parametrize("nothing", NOTHING, ids=["404", "empty", "null"])
def test_a_good_run_whose_list_stays_empty_is_told(clock, tmp_path, nothing) -> None:
    """Forty seconds without a word would be green with nothing kept."""
    began = clock.now
    report = _store(_Cloud(nothing), clock, tmp_path, _run())
    assert clock.now - began == ARTIFACT_LAG
    assert report.stored == ()
    ((_, error),) = report.errors
    assert "lists no artifacts of run" in str(error)


@pytest.mark.parametrize(
    "run",
    [_run(artifacts_saved=False), _run(20), _run(30), _run(run_steps=STEPS[:1])],
    ids=["keeps none", "failed", "cancelled", "ran no dbt"],
)
def test_a_run_that_need_not_have_any_has_none(clock, tmp_path, run) -> None:
    """Nothing is missing then."""
    assert _stored(_store(_Cloud([]), clock, tmp_path, run)) == []


@pytest.mark.parametrize("nothing", NOTHING, ids=["404", "empty", "null"])
def test_a_run_that_has_no_artifacts_is_not_waited_for(clock, tmp_path, nothing) -> None:
    """It failed before dbt began; dbt Cloud says that nothing was saved."""
    run = _run(20, artifacts_saved=False, run_steps=[])
    assert _stored(_store(_Cloud(nothing), clock, tmp_path, run)) == []
    assert clock.pauses == []


def test_a_refusal_costs_nothing_that_is_stored(clock, tmp_path) -> None:
    """The second list is refused: what the first one named is told of."""
    report = _store(_Cloud(["manifest.json"], reply(403)), clock, tmp_path, _run())
    assert [each.artifact.path for each in report.stored] == ["manifest.json"]
    assert len(report.errors) == 1


def test_a_step_that_left_nothing_is_no_error(clock, tmp_path) -> None:
    """It is asked once, and not waited for."""
    cloud = _Cloud(["run_results.json"])
    run = _run(run_steps=[*STEPS, step_payload(5, "dbt docs generate")])
    assert _stored(_store(cloud, clock, tmp_path, run, nodes=True)) == ["run_results.json"]
    assert sorted(cloud.asked) == ["", "", "run_results.json", "run_results.json?step=4"]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A run whose artifacts can be had a moment after its end."""
    artifacts = {"manifest.json": "{}", "compiled/größe 1%.sql": "select 1"}
    script = Script(artifacts=artifacts, artifact_lag=0.2)
    with Sandbox(jobs=[SandboxJob(name="job", script=script)]) as made:
        yield made


def test_late_artifacts_arrive_from_the_sandbox(sandbox, tmp_path) -> None:
    """Over real HTTP and a real clock: listed, waited for, stored."""
    run_url = f"{sandbox.access_url}/api/v2/accounts/{sandbox.account_id}/"
    headers = {"Authorization": f"Token {sandbox.token}"}
    answer = requests.post(
        f"{run_url}jobs/{sandbox.jobs[0].id}/run/", json={"cause": "x"}, headers=headers, timeout=5
    )
    with DbtCloudClient(
        account_id=sandbox.account_id, token=sandbox.token, access_url=sandbox.access_url
    ) as client:
        run = Run.from_payload(json.loads(answer.content)["data"])
        while not run.is_over:
            run = client.get_run(run.run_id)
        arrival = Arrival(client, Wanted(), LocalFiles(tmp_path), max_parallel=2)
        report = arrival.store(run, "run", lag_of(client, run, saw_end=True))
    assert sorted(_stored(report)) == ["compiled/größe 1%.sql", "manifest.json"]
    assert (tmp_path / "run" / "compiled" / "größe 1%.sql").read_bytes() == b"select 1"
