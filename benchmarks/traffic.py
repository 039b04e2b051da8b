"""Requests and TCP connections for a trigger, three polls, a list and three artifacts.

Counted by the server, through the whole asset graph and through the bare client. Polls are what
the waiting costs, whoever waits; all other requests count.
"""

import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import dagster as dg

from benchmarks.report import Result
from dbt_trigger_dagster import DbtCloudClient, TriggerRequest, build_dbt_cloud_job_assets
from dbt_trigger_dagster.sandbox import RecordedRequest, Sandbox, SandboxJob, Script
from dbt_trigger_dagster_tests.harness import Place, account_of, settings_of

_POLLS = 3
_MOST_REQUESTS = 7
_ARTIFACTS = dict.fromkeys(("catalog.json", "manifest.json", "run_results.json"), b"{}")
# Polls come at once, after 1 s and after 2 s: the third one sees the end.
_SECONDS = 1.6


def measure() -> list[Result]:
    """Count both ways."""
    return [
        _result("whole asset graph", _through_the_graph(), 1 + len(_ARTIFACTS)),
        _result("bare client", _through_the_client(), 1),
    ]


def _result(way: str, requests: Sequence[RecordedRequest], most_connections: int) -> Result:
    polls = [request for request in requests if _is_poll(request)]
    others = len(requests) - len(polls)
    connections = len({request.connection for request in requests})
    return Result(
        f"trigger, polls, list, {len(_ARTIFACTS)} artifacts: {way}",
        f"requests: {others}, polls: {len(polls)}, TCP connections: {connections}",
        f"<= {_MOST_REQUESTS}, {_POLLS}, <= {most_connections}",
        others <= _MOST_REQUESTS and len(polls) == _POLLS and connections <= most_connections,
    )


def _is_poll(request: RecordedRequest) -> bool:
    return (
        request.method == "GET"
        and Path(request.path).parent.name == "runs"
        and "include_related" not in request.query
    )


def _sandbox(seconds: float) -> Sandbox:
    script = Script(seconds=seconds, artifacts=_ARTIFACTS)
    return Sandbox(jobs=[SandboxJob(name="benchmark", script=script)])


def _through_the_graph() -> list[RecordedRequest]:
    with tempfile.TemporaryDirectory() as folder, _sandbox(_SECONDS) as sandbox:
        place = Place(Path(folder))
        outcome = dg.materialize(
            build_dbt_cloud_job_assets(job_id=sandbox.jobs[0].id),
            resources=place.resources_for(account_of(sandbox)),
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        )
        if not outcome.success or len(place.files()) != len(_ARTIFACTS):
            raise RuntimeError("The graph did not store all artifacts.")
        return sandbox.requests


def _through_the_client() -> list[RecordedRequest]:
    with (
        _sandbox(0) as sandbox,
        DbtCloudClient(**settings_of(sandbox)) as client,
    ):
        run = client.trigger_run(sandbox.jobs[0].id, TriggerRequest(cause="benchmark"))
        for _ in range(_POLLS):
            client.get_run(run.run_id)
        for path in client.list_artifacts(run.run_id):
            client.download_artifact(run.run_id, path, BytesIO())
        return sandbox.requests
