"""Which artifacts there are, which are wanted, and until when more may come."""

import threading
import time
from datetime import datetime, timezone

import pytest

from dbt_trigger_dagster.artifacts.listing import (
    ARTIFACT_LAG,
    ARTIFACT_LAG_OF_FAILED,
    WELL_KNOWN,
    Wanted,
    lag_of,
    list_artifacts,
)
from dbt_trigger_dagster.artifacts.paths import OF_THE_RUN, Artifact
from dbt_trigger_dagster.artifacts.telemetry import telemetry_file
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.clock import SystemClock
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudResponseError
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.parallel import in_parallel
from dbt_trigger_dagster_tests.interrupts import interrupt_what_waits
from dbt_trigger_dagster_tests.payloads import (
    ACCOUNT_ID,
    RUN_ID,
    RUN_URL,
    TOKEN,
    envelope,
    run_payload,
    step_payload,
)
from dbt_trigger_dagster_tests.servers import Received, Silence, serving

LIST_URL = f"{RUN_URL}artifacts/"
SUCCESS = Run.from_payload(run_payload(10))
STEPS = [
    {"index": 1, "name": "Clone git repository", "status": 10},
    step_payload(3, "dbt deps"),
    step_payload(4, "dbt seed"),
    step_payload(5, "dbt build"),
]


def _artifact(path: str, step: int = OF_THE_RUN) -> Artifact:
    return Artifact(RUN_ID, step, path)


def _find(client: DbtCloudClient, run: Run = SUCCESS, **wanted: object) -> list[Artifact]:
    return Wanted(**wanted).among(run, list_artifacts(client, run))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "said", "seconds"),
    [
        (10, {}, ARTIFACT_LAG),
        (20, {"artifacts_saved": True}, ARTIFACT_LAG),
        (20, {"artifacts_saved": False, "run_steps": STEPS}, ARTIFACT_LAG_OF_FAILED),
        (20, {"artifacts_saved": False, "run_steps": []}, 0),
        (10, {"finished_at": "2026-01-01 00:00:00.5+00:00"}, 0),
        (10, {"finished_at": None}, ARTIFACT_LAG),
    ],
)
def test_artifacts_are_waited_for_while_they_may_arrive(client, status, said, seconds) -> None:
    """Not those of a run that ended long ago, nor of one that never reached dbt."""
    just_now = datetime.now(timezone.utc).isoformat()
    run = run_payload(status, **{"finished_at": just_now, **said})
    assert lag_of(client, Run.from_payload(run)).deadline.remaining() == seconds


def test_a_run_has_the_artifacts_that_dbt_cloud_lists(client, api) -> None:
    """Each path once, in its order."""
    api.get(LIST_URL, json=envelope(["b.json", "a/c.sql", "b.json"]))
    assert _find(client) == [_artifact("b.json"), _artifact("a/c.sql")]


def test_only_wanted_artifacts_are_found(client, api) -> None:
    """Big projects have thousands of compiled files."""
    api.get(LIST_URL, json=envelope(["manifest.json", "catalog.json", "compiled/a.sql"]))
    found = _find(client, include=["*.json"], exclude=["catalog.*"])
    assert [artifact.path for artifact in found] == ["manifest.json"]


def test_all_steps_add_what_each_dbt_command_may_have_left(client, api) -> None:
    """Not of the clone and not of deps; the patterns apply to them as well."""
    api.get(LIST_URL, json=envelope(["manifest.json"]))
    run = Run.from_payload(run_payload(10, run_steps=STEPS))
    assert _find(client, run, steps="all") == [_artifact("manifest.json")] + [
        _artifact(path, step) for step in (4, 5) for path in (*WELL_KNOWN, telemetry_file(step))
    ]
    found = _find(client, run, steps="all", include=["run_results.json"])
    assert found == [_artifact("run_results.json", 4), _artifact("run_results.json", 5)]


def test_a_person_who_interrupts_lists_need_not_wait() -> None:
    """Several runs are asked for at once, and none of them answers."""
    begun = threading.Semaphore(0)
    pressed: list[float] = []

    def respond(_: Received) -> Silence:
        begun.release()
        return Silence()

    def interrupt() -> None:
        for _ in range(3):
            begun.acquire(timeout=10)
        interrupt_what_waits()
        pressed.append(time.monotonic())

    with (
        serving(respond) as server,
        DbtCloudClient(
            account_id=ACCOUNT_ID, token=TOKEN, access_url=server.url, clock=SystemClock()
        ) as client,
    ):
        person = threading.Thread(target=interrupt)
        person.start()
        with pytest.raises(KeyboardInterrupt):
            in_parallel(
                lambda run: _find(client, run),
                [SUCCESS] * 3,
                max_parallel=3,
                cancellation=client.cancellation,
            )
        ended = time.monotonic()
        person.join()
    assert ended - pressed[0] < 5


@pytest.mark.parametrize("status", [401, 403, 400])
def test_a_list_that_is_refused_is_an_error(client, api, status) -> None:
    """Not "no artifacts"."""
    api.get(LIST_URL, status=status)
    with pytest.raises(DbtCloudResponseError):
        _find(client)


def test_a_step_without_a_number_has_no_artifacts_of_its_own(client, api) -> None:
    """Asked for without a number, they would be those of the run once more."""
    api.get(LIST_URL, json=envelope(["manifest.json"]))
    step = step_payload(4, "dbt build")
    steps = [{**step, "index": None}, step, step]
    run = Run.from_payload(run_payload(10, run_steps=steps))
    found = _find(client, run, steps="all")
    assert found == [_artifact("manifest.json")] + [
        _artifact(path, 4) for path in (*WELL_KNOWN, telemetry_file(4))
    ]


def _run_of(*commands: str) -> Run:
    """A run whose steps from the third on are these commands."""
    steps = [step_payload(number, command) for number, command in enumerate(commands, start=3)]
    return Run.from_payload(run_payload(10, run_steps=steps))


@pytest.mark.parametrize(
    ("commands", "listed", "expected"),
    [
        (["dbt deps", "dbt build", "dbt docs generate"], True, [(4, "run_results.json")]),
        (["dbt deps", "dbt build"], True, []),
        (["dbt deps", "dbt build"], False, [(4, "run_results.json")]),
        (
            ["dbt deps", "dbt source freshness", "dbt run", "dbt test"],
            True,
            [(4, "sources.json"), (5, "run_results.json")],
        ),
        (["dbt list", "dbt parse", "dbt run"], True, []),
        (["dbt novelty", "dbt run"], True, [(3, "run_results.json")]),
    ],
)
def test_what_tells_of_nodes_is_asked_of_each_dbt_step(commands, listed, expected) -> None:
    """One file a step; what dbt Cloud lists is the last step's, and is not asked for twice."""
    paths = ["manifest.json", "run_results.json"] if listed else ["manifest.json"]
    found = Wanted(node_results=True).among(_run_of(*commands), paths)
    assert [(each.step, each.path) for each in found if each.step] == expected
    assert [each.path for each in found if not each.step] == paths
    assert all(not each.step for each in Wanted().among(_run_of(*commands), paths))


def test_patterns_leave_out_what_tells_of_nodes_too() -> None:
    """Who excludes a file wants none of it."""
    wanted = Wanted(exclude=["run_results.json"], node_results=True)
    assert wanted.among(_run_of("dbt seed", "dbt run"), ["manifest.json"]) == [
        _artifact("manifest.json")
    ]


def test_a_run_that_was_seen_to_end_ended_now_whatever_its_time_says(client) -> None:
    """Our clock is not dbt Cloud's."""
    run = Run.from_payload(run_payload(10, finished_at="2026-01-01 00:00:00.5+00:00"))
    assert lag_of(client, run, saw_end=True).deadline.remaining() == ARTIFACT_LAG
