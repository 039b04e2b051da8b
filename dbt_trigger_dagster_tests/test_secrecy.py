"""The token is in nothing that a command leaves behind or shows while it runs."""

import html
import json
import sqlite3
import subprocess
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import dagster as dg
import duckdb
import pytest

from dbt_trigger_dagster.sandbox import Fault, Script
from dbt_trigger_dagster_tests.graphs import (
    BROKEN,
    GOOD,
    Project,
    a_project,
    code_location_job,
    dagster,
    end_of,
)
from dbt_trigger_dagster_tests.harness import environment
from dbt_trigger_dagster_tests.payloads import (
    JOB_ID,
    envelope,
    run_payload,
    step_payload,
    trigger_payload,
)
from dbt_trigger_dagster_tests.secrecy import TOKEN, holds_the_token, places_with_the_token
from dbt_trigger_dagster_tests.servers import Received, Reply, free_port, reply, serving

CODE_LOCATION = ("-m", "dbt_trigger_dagster.definitions")
MATERIALIZE = ("asset", "materialize", "--select", "*", *CODE_LOCATION)
EXECUTE = ("job", "execute", *CODE_LOCATION, "-j", "dbt_cloud_job")


def command_lines() -> bytes:
    """Those of all processes on the machine."""
    return subprocess.run(["ps", "-axww", "-o", "args="], check=True, capture_output=True).stdout  # noqa: S607  # wherever it is


def run_and_look(
    project: Project, look: Callable[[], bytes], *command: str
) -> tuple[int, str, list[bytes]]:
    """Run a command; its exit code, its output, and what was seen meanwhile."""
    seen: list[bytes] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            seen.append(look())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        code, output = end_of(dagster(project, *command))
    finally:
        over.set()
        watcher.join()
    return code, output, seen


def test_the_search_finds_a_token_wherever_it_hides(tmp_path: Path) -> None:
    """If it found none there, it would find none anywhere."""
    (tmp_path / "log").write_text(f"Authorization: Token {TOKEN}")
    (tmp_path / "json").write_text(json.dumps({"metadata": json.dumps({"token": TOKEN})}))
    (tmp_path / "wide").write_bytes(TOKEN.encode("utf-16-le"))
    (tmp_path / "url").write_text(f"https://x/?token={quote(TOKEN)}")
    (tmp_path / "clean").write_text("nothing")
    with sqlite3.connect(tmp_path / "snapshots.db") as connection:
        connection.execute("CREATE TABLE t (body BLOB)")
        connection.execute("INSERT INTO t VALUES (?)", (zlib.compress(TOKEN.encode()),))
    connection.close()
    with duckdb.connect(tmp_path / "rows.duckdb") as rows:
        rows.execute("CREATE TABLE t AS SELECT ? AS x", [TOKEN])
    expected = ["json", "log", "rows.duckdb", "snapshots.db", "url", "wide"]
    assert sorted(places_with_the_token(tmp_path)) == expected


def echo(received: Received) -> Reply:
    """A refusal that repeats what it got, as some proxies' error pages do."""
    header = received.headers["authorization"]
    said = {"code": 401, "is_success": False, "user_message": f"Invalid: {header}"}
    return reply(401, json.dumps({"status": said, "data": {"headers": header}}).encode())


def page(received: Received) -> Reply:
    """The same as a page, with the header at the place where a message is cut."""
    header = html.escape(received.headers["authorization"])
    return reply(200, f"<html>{'x' * 170}{header} {header}</html>".encode())


@pytest.mark.parametrize(
    ("script", "command"),
    [(GOOD, MATERIALIZE), (BROKEN, EXECUTE)],
    ids=["good", "failing dbt"],
)
def test_a_run_leaves_rows_and_files_and_no_token(
    tmp_path: Path, script: Script, command: tuple[str, ...]
) -> None:
    """In no log, event, table, file or process list; and the right token has been sent."""
    with a_project(tmp_path, script, token=TOKEN) as project:
        code, output, seen = run_and_look(project, command_lines, *command)
        (dbt_run,) = project.dbt_runs()
        assert (code == 0) == (script is GOOD), output
        assert dbt_run["href"] in output
        assert ("Database Error in model orders" in output) == (script is BROKEN)
        assert project.run_ids() == project.run_ids("dbt_cloud_trigger") == [dbt_run["id"]]
        assert len(project.files()) == len(project.rows("dbt_cloud_artifact")) == 2
    assert any(b"dbt_trigger_dagster.definitions" in lines for lines in seen)
    assert not any(map(holds_the_token, seen))
    assert not holds_the_token(output.encode())
    assert places_with_the_token(tmp_path) == []


@pytest.mark.parametrize(
    "trouble", ["refused", "echoed", "echoed in a page", "unreachable", "failing trigger"]
)
def test_a_run_that_cannot_begin_leaves_no_token(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], trouble: str
) -> None:
    """Whatever is answered, the token itself included."""
    with (
        a_project(tmp_path, GOOD, token=TOKEN) as project,
        serving(page if trouble == "echoed in a page" else echo) as server,
        dg.DagsterInstance.local_temp(str(project.home)) as instance,
    ):
        variables = {
            "refused": {"DBT_CLOUD_TOKEN": f"{TOKEN}x"},
            "echoed": {"DBT_CLOUD_ACCESS_URL": server.url},
            "echoed in a page": {"DBT_CLOUD_ACCESS_URL": server.url},
            "unreachable": {"DBT_CLOUD_ACCESS_URL": f"http://127.0.0.1:{free_port()}"},
            "failing trigger": {},
        }[trouble]
        if trouble == "failing trigger":
            project.sandbox.inject(Fault(method="POST", path="*/run/", status=400))
        with environment({**project.environment(), **variables}):
            result = code_location_job().execute_in_process(instance=instance, raise_on_error=False)
    output = "".join(capfd.readouterr())
    told = {
        "refused": "answered 401",
        "echoed": "answered 401: Invalid: Token (the token) headers: Token (the token)",
        "echoed in a page": "Token (the to",
        "unreachable": "refused",
        "failing trigger": "answered 400",
    }
    assert not result.success
    assert told[trouble] in output
    assert not holds_the_token(output.encode())
    assert places_with_the_token(tmp_path) == []


def parrot(received: Received) -> Reply:
    """A dbt Cloud that repeats the token wherever it says something, in either letter case."""
    header = received.headers["authorization"]
    said = f"{header} {header.swapcase()}"
    path = urlsplit(received.target).path
    data: Any = run_payload(
        20,
        status_message=said,
        href=f"https://example.com/{said}",
        git_branch=said,
        dbt_version=said,
        trigger=trigger_payload(cause=said),
        job={"id": JOB_ID, "name": said},
        run_steps=[step_payload(4, "dbt build", 20, logs=said, truncated_debug_logs=said)],
        **{said: said},
    )
    if path.endswith("/artifacts/"):
        data = ["manifest.json", f"{said}.json"]
    body = json.dumps({} if path.endswith(".json") else envelope(data)).encode()
    return reply(200, body, headers={"X-Echo": said, "Content-Type": f"text/{said}"})


def test_a_dbt_cloud_that_repeats_the_token_brings_it_nowhere(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Status message, link, branch, cause, log, name of a job, a field and a file, header."""
    with (
        a_project(tmp_path, GOOD, token=TOKEN) as project,
        serving(parrot) as server,
        dg.DagsterInstance.local_temp(str(project.home)) as instance,
        environment({**project.environment(), "DBT_CLOUD_ACCESS_URL": server.url}),
    ):
        result = code_location_job().execute_in_process(instance=instance, raise_on_error=False)
        (row,) = project.rows("dbt_cloud_run")
        files = project.rows("dbt_cloud_artifact")
    output = "".join(capfd.readouterr())
    assert not result.success
    assert "(the token)" in output
    assert "(the token)" in row["status_message"]
    paths = {file["path"] for file in files}
    assert {"manifest.json", "Token (the token) tOKEN (the token).json"} <= paths
    for shown in (output, repr(row), repr(files)):
        assert TOKEN[:14].lower() not in shown.lower()
    assert places_with_the_token(tmp_path) == []
