"""Answers that drip, that never end and that never come, on every endpoint.

First through the client alone: what is asked for ends by its deadline. Then with all of it real,
Dagster in a process of its own: SIGTERM while it waits for such an answer ends it in time.
"""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import dagster as dg

from dbt_trigger_dagster import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.api import ANSWER_TIMEOUTS, LISTING_TIMEOUTS, PAGE_SIZE
from dbt_trigger_dagster.dbt_cloud.clock import Deadline
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudError
from dbt_trigger_dagster.dbt_cloud.parameters import RunFilter, TriggerRequest
from dbt_trigger_dagster.sandbox import Sandbox, SandboxJob
from dbt_trigger_dagster_tests.harness import Place, environment
from dbt_trigger_dagster_tests.processes import fork_server
from dbt_trigger_dagster_tests.servers import (
    Answer,
    Drip,
    Flood,
    Received,
    Silence,
    reply,
    serving,
)
from faults.graph import execute
from faults.kills import copied, empty_home, given_up
from faults.kinds import ENDPOINTS, Endpoint, armed
from faults.pool import in_parallel
from faults.relay import Original, relaying
from faults.report import Report

ENDS_WITHIN = 20.0
"""Seconds from a SIGTERM until the process has ended."""

_GRACE = 10.0  # for a machine that does other things too
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n"
_BODY = b'{"status": {"code": 200}, "data": [' + b" " * 100_000
_HANDSHAKE = b"\x16\x03\x03\x40\x00" + bytes(0x4000)
_PAUSE = 0.02
_AT_ONCE = 8
_TIMEOUT = 0.5
_REQUESTED = 120.0

WAYS: Mapping[str, Answer] = {
    "head drips": Drip(_HEAD + _BODY, _PAUSE, head_too=True),
    "body drips": Drip(_HEAD + _BODY, _PAUSE),
    "body has no end": Flood(_HEAD, _BODY),
    "no answer": Silence(),
}
"""What comes in the place of an answer."""

_ENCRYPTION = "encryption drips"
_PAGES = "pages have no end"

CALLS: Mapping[str, Callable[[DbtCloudClient], object]] = {
    "trigger": lambda client: client.trigger_run(1, TriggerRequest(cause="A drip")),
    "search": lambda client: list(client.list_runs(RunFilter(job_definition_id=1))),
    "get run": lambda client: client.get_run(1),
    "get job": lambda client: client.get_job(1),
    "list jobs": lambda client: list(client.list_jobs()),
    "cancel": lambda client: client.cancel_run(1),
    "retry": lambda client: client.retry_run(1),
    "get step": lambda client: client.get_step(1),
    "list artifacts": lambda client: client.list_artifacts(1),
    "download": lambda client: client.stream_artifact(1, "manifest.json", _swallow),
}
"""The endpoints, as the client asks them."""

_LISTS = ("search", "list jobs")


@dataclass(frozen=True)
class Ended:
    """How long something took.

    Attributes:
        what: What was asked.
        way: What came in the place of an answer.
        seconds: Until it ended.
        within: Until when it had to.
        was_answered: Whether it was taken for an answer.
    """

    what: str
    way: str
    seconds: float
    within: float
    was_answered: bool = False

    @property
    def is_good(self) -> bool:
        """Whether it ended in time, and not as an answer."""
        return self.seconds <= self.within and not self.was_answered


def _swallow(chunks: Any) -> None:
    for _ in chunks:
        pass


def by_the_client(what: str, way: str, timeout: float) -> Ended:
    """Ask once; a file, which may take any time, is given as long as an answer in JSON."""
    answer_time = ANSWER_TIMEOUTS * timeout
    pages = iter(range(1_000_000))

    def respond(_: Received) -> Answer:
        return _page(next(pages)) if way == _PAGES else WAYS[way]

    unasked = Drip(_HANDSHAKE, _PAUSE, head_too=True) if way == _ENCRYPTION else None
    with serving(respond, unasked=unasked) as server:
        url = server.url.replace("http:", "https:") if unasked else server.url
        client = DbtCloudClient(
            account_id=1,
            token="secret",  # noqa: S106  # it opens nothing
            access_url=url,
            request_timeout=timeout,
            request_max_retries=0,
        )
        begun = time.monotonic()
        with client:
            if what == "download":
                client = client.with_options(deadline=Deadline.after(answer_time, client.clock))
            was_answered = _is_answered(lambda: CALLS[what](client))
        seconds = time.monotonic() - begun
    limit = LISTING_TIMEOUTS * timeout if way == _PAGES else answer_time
    return Ended(what, way, seconds, limit + _GRACE, was_answered)


def _page(number: int) -> Answer:
    """A full page, unlike the one before, of a list that says nothing of its length."""
    first = 1 + number * PAGE_SIZE
    ids = ", ".join(f'{{"id": {first + each}}}' for each in range(PAGE_SIZE))
    return reply(200, f'{{"data": [{ids}]}}'.encode())


def _is_answered(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except DbtCloudError:
        return False
    return True


def all_by_the_client(calls: Sequence[str], *, timeout: float) -> list[Ended]:
    """Ask each endpoint in each way; many at once."""
    cases = [*product(calls, [*WAYS, _ENCRYPTION])]
    cases += [(each, _PAGES) for each in _LISTS if each in calls]
    with ThreadPoolExecutor(_AT_ONCE) as executor:
        return list(executor.map(lambda case: by_the_client(case[0], case[1], timeout), cases))


@dataclass(frozen=True)
class Case:
    """An endpoint of the graph whose answers are bad, each time."""

    endpoint: Endpoint
    way: str
    empty_home: Path


def by_sigterm(case: Case) -> Ended:
    """Run the graph in a process, and send SIGTERM when it waits for the answer."""
    endpoint = case.endpoint
    asked: list[Received] = []

    def spoil(received: Received, _: Original) -> Answer | None:
        if not endpoint.is_asked_by(received.method, received.target.partition("?")[0]):
            return None
        asked.append(received)
        return WAYS[case.way]

    scripts = tuple(filter(None, [endpoint.script, endpoint.next_script]))
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as name,
        Sandbox([SandboxJob(name="nightly", script=scripts)]) as sandbox,
        relaying(sandbox, spoil) as server,
        copied(case.empty_home, Path(name, "home")) as instance,
    ):
        variables = Place(Path(name)).variables(sandbox)
        settings = {**variables, "DAGSTER_HOME": instance.root_directory}
        failed = None
        if endpoint.next_script:
            _process(settings, None, {}).join(_REQUESTED)
            failed = given_up(instance)
        for fault in armed(endpoint, None, "first", 0):
            sandbox.inject(fault)
        worker = _process({**settings, "DBT_CLOUD_ACCESS_URL": server.url}, failed, endpoint.wait)
        return _terminated(case, worker, asked)


def _process(settings: Mapping[str, str], resumes: str | None, wait: Mapping[str, Any]) -> Any:
    process = fork_server().Process(target=_work, args=(settings, resumes, dict(wait)))
    process.start()
    return process


def _work(settings: Mapping[str, str], resumes: str | None, wait: Mapping[str, Any]) -> None:
    with environment(settings), dg.DagsterInstance.get() as instance:
        execute(instance, wait=wait, resumes=resumes)


def _terminated(case: Case, worker: Any, asked: Sequence[Received]) -> Ended:
    deadline = time.monotonic() + _REQUESTED
    while worker.is_alive() and not asked and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    was_waiting = bool(asked) and worker.is_alive()
    begun = time.monotonic()
    if was_waiting:
        os.kill(worker.pid, signal.SIGTERM)
    worker.join(_REQUESTED)
    seconds = time.monotonic() - begun
    worker.kill()
    return Ended(case.endpoint.name, case.way, seconds, ENDS_WITHIN, was_answered=not was_waiting)


def measure(*, fast: bool) -> Report:
    """All endpoints in all ways: by the client, and with Dagster, by SIGTERM.

    With ``fast``, SIGTERM comes in one of the ways at each endpoint.
    """
    with empty_home() as home:
        cases = [
            Case(endpoint, way, home)
            for (number, endpoint), (other, way) in product(enumerate(ENDPOINTS), enumerate(WAYS))
            if not fast or number % len(WAYS) == other
        ]
        terminated = in_parallel("drips", by_sigterm, cases, for_each_core=4)
    ended = all_by_the_client(list(CALLS), timeout=_TIMEOUT)
    kinds = {"deadline": ended, "SIGTERM": terminated}
    bad = sum(not each.is_good for found in kinds.values() for each in found)
    longest = {kind: max(each.seconds for each in found) for kind, found in kinds.items()}
    return Report(
        title="Answers that drip or never end",
        headings=("endpoint", "answer", "ended by", "seconds", "at most", "verdict"),
        rows=[
            (
                each.what,
                each.way,
                kind,
                f"{each.seconds:.1f}",
                f"{each.within:.0f}",
                "ok" if each.is_good else "not",
            )
            for kind, found in kinds.items()
            for each in found
        ],
        summary=(
            f"{len(ended)} ended by their deadline, {len(terminated)} by SIGTERM, {bad} not so.",
            *(f"Longest by a {kind}: {seconds:.1f} s." for kind, seconds in longest.items()),
        ),
        is_good=not bad,
    )
