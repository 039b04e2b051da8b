"""Answers that repeat the token, and where it is found afterwards: in nothing.

Real is all but dbt Cloud: Dagster with its storage and its log, the tables, the files, HTTP. The
token has whatever a shell, a URL, JSON or HTML would write in its own way.
"""

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg

from dbt_trigger_dagster.sandbox import Sandbox, SandboxJob
from dbt_trigger_dagster_tests.harness import Place, environment
from dbt_trigger_dagster_tests.secrecy import TOKEN, holds_the_token, places_with_the_token
from dbt_trigger_dagster_tests.servers import Answer, Received, Reply, reply
from faults.graph import execute
from faults.kills import empty_home
from faults.kinds import DOWNLOAD, FAILS, GET_RUN, LIST_ARTIFACTS, TRIGGER, Endpoint
from faults.pool import in_parallel
from faults.relay import Original, relaying
from faults.report import Report

_OUTPUT = "output"
_WAIT = {"max_wait_time": 5, "poll_interval": 0.5}


def _refusal(status: int, said: str) -> Reply:
    body = {"status": {"code": status, "is_success": False, "user_message": said}, "data": None}
    return reply(status, json.dumps(body).encode())


def _changed(**fields: Any) -> Callable[[Original], Answer]:
    """The data of an envelope with other fields."""

    def change(original: Original) -> Answer:
        envelope = json.loads(original.body)
        envelope["data"].update(fields)
        return original.with_body(json.dumps(envelope).encode())

    return change


def _with_step(**fields: Any) -> Callable[[Original], Answer]:
    step = {"index": 4, "status": 20, "name": "Invoke dbt with `dbt build`", "logs": "", **fields}
    return _changed(run_steps=[step])


def _listed(original: Original) -> Answer:
    envelope = json.loads(original.body)
    envelope["data"].append(f"{TOKEN.replace('/', '_')}/{quote(TOKEN, safe='')}.json")
    return original.with_body(json.dumps(envelope).encode())


def _with_header(name: str, value: str) -> Callable[[Original], Answer]:
    return lambda original: reply(
        original.status, original.body, headers={**original.headers, name: value}
    )


_NO_JSON = reply(200, b'{"data": "' + TOKEN.encode())

ECHOES: Mapping[str, tuple[Endpoint, Callable[[Original], Answer]]] = {
    "status message": (GET_RUN, _changed(status_message=f"Failed: {TOKEN}")),
    "status message, other letter case": (GET_RUN, _changed(status_message=TOKEN.swapcase())),
    "log of a step": (GET_RUN, _with_step(logs=f"06:58:58 token {TOKEN}")),
    "name of a step": (GET_RUN, _with_step(name=f"`dbt build --vars {TOKEN}`")),
    "link": (GET_RUN, _changed(href=f"https://example.com/?token={quote(TOKEN)}")),
    "name of a field": (GET_RUN, _changed(**{TOKEN: 1})),
    "name of the job": (GET_RUN, _changed(job={"id": 1, "name": TOKEN})),
    "cause": (TRIGGER, _changed(trigger={"cause": TOKEN})),
    "refusal": (TRIGGER, lambda _: _refusal(401, f"Invalid token {TOKEN}")),
    "page of a proxy": (GET_RUN, lambda _: reply(502, f"<html>{TOKEN}</html>".encode())),
    "body that breaks off": (LIST_ARTIFACTS, lambda _: _NO_JSON),
    "redirect": (
        LIST_ARTIFACTS,
        lambda _: reply(302, headers={"Location": f"https://example.com/{quote(TOKEN)}"}),
    ),
    "status line": (
        GET_RUN,
        lambda _: Reply(f"HTTP/1.1 nonsense {TOKEN}\r\n\r\n".encode(), closes=True),
    ),
    "header": (DOWNLOAD, _with_header("ETag", TOKEN)),
    "name of an encoding": (DOWNLOAD, _with_header("Content-Encoding", TOKEN)),
    "name of an artifact": (LIST_ARTIFACTS, _listed),
}
"""Where the token is repeated, and in the answer to what."""


@dataclass(frozen=True)
class Case:
    """An answer that repeats the token, each time.

    Attributes:
        echo: Which of `ECHOES`.
        empty_home: The Dagster home that it starts from.
    """

    echo: str
    empty_home: Path


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        echoed: How often the token was repeated.
        leaks: The files that hold it.
    """

    echoed: int
    leaks: tuple[str, ...]


def run_case(case: Case) -> Outcome:
    """Run the graph in a folder of its own, and look for the token in all that is left."""
    endpoint, change = ECHOES[case.echo]
    echoed: list[Received] = []

    def spoil(received: Received, original: Original) -> Answer | None:
        if not endpoint.is_asked_by(received.method, received.target.partition("?")[0]):
            return None
        echoed.append(received)
        return change(original)

    job = SandboxJob(name="nightly", script=FAILS)
    with tempfile.TemporaryDirectory(prefix="faults-") as name, Sandbox(jobs=[job]) as sandbox:
        folder = Path(name)
        home = folder / "home"
        shutil.copytree(case.empty_home, home)
        with relaying(sandbox, spoil) as server:
            settings = {
                **Place(folder).variables(sandbox),
                "DBT_CLOUD_ACCESS_URL": server.url,
                "DBT_CLOUD_TOKEN": TOKEN,
                "DAGSTER_HOME": str(home),
            }
            with environment(settings), _printed_into(folder / _OUTPUT):
                _run()
        return Outcome(len(echoed), tuple(places_with_the_token(folder)))


def _run() -> None:
    with dg.DagsterInstance.get() as instance:
        execute(instance, wait=_WAIT, log_level="DEBUG")


@contextmanager
def _printed_into(file: Path) -> Iterator[None]:
    """What this process prints, from whatever language, goes into a file."""
    logging.shutdown()
    before = [os.dup(number) for number in (1, 2)]
    with file.open("wb") as printed:
        for number in (1, 2):
            os.dup2(printed.fileno(), number)
        try:
            yield
        finally:
            for number, kept in zip((1, 2), before, strict=True):
                os.dup2(kept, number)
                os.close(kept)


def measure(*, fast: bool) -> Report:
    """All of them; with ``fast`` four."""
    if not holds_the_token(f"what {TOKEN} looks like".encode()):
        raise AssertionError("a leak would not be found")
    with empty_home() as home:
        cases = [Case(echo, home) for echo in list(ECHOES)[:: 4 if fast else 1]]
        outcomes = in_parallel("echoes", run_case, cases, for_each_core=2)
    rows = [
        (case.echo, str(outcome.echoed), ", ".join(outcome.leaks) or "nowhere")
        for case, outcome in zip(cases, outcomes, strict=True)
    ]
    leaks = sum(bool(outcome.leaks) for outcome in outcomes)
    silent = sum(not outcome.echoed for outcome in outcomes)
    return Report(
        title="Answers that repeat the token",
        headings=("where", "times", "found afterwards"),
        rows=rows,
        summary=(f"{len(rows)} echoes, {leaks} of them found afterwards, {silent} never made.",),
        is_good=not leaks and not silent,
    )
