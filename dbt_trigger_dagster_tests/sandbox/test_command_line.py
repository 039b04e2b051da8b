"""The sandbox on the command line: what it prints, runs and refuses, and its jobs file."""

import contextlib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dbt_trigger_dagster.sandbox import GeneratedBytes, SandboxError, Script, ScriptStep
from dbt_trigger_dagster.sandbox.command_line import DEFAULT_PORT, main
from dbt_trigger_dagster.sandbox.jobs_file import read_jobs_file

JOBS_FILE = """
- name: first
  script: {outcome: error}
- name: second
  id: 77
  description: Everything that can be said
  execute_steps: [dbt seed, dbt run]
  generate_docs: true
  run_generate_sources: true
  settings: {threads: 2, target_name: prod}
  execution: {timeout_seconds: 60}
  script:
    - outcome: error
      seconds: 1
      status_message: Gone
      artifact_lag: 0.5
      artifacts: {a.json: "{}", b.bin: {size: 9}}
      steps: [{name: One, logs: text, artifacts: {c.txt: c}}]
    - {}
"""

COMMAND = """
import os, sys
print(os.environ["DBT_CLOUD_JOB_ID"])
print(os.environ["DBT_CLOUD_ACCESS_URL"])
sys.exit(7)
"""


@pytest.fixture
def jobs_file(tmp_path: Path) -> Path:
    """A file with two scripted jobs."""
    file = tmp_path / "jobs.yml"
    file.write_text(JOBS_FILE)
    return file


def test_a_jobs_file_says_everything_about_a_job(jobs_file: Path) -> None:
    """Each key arrives in the job, those of scripts among them."""
    first, second = read_jobs_file(jobs_file)
    assert (first.id, first.script) == (0, Script(outcome="error"))
    assert (second.id, second.threads, second.target_name) == (77, 2, "prod")
    assert second.timeout_seconds == 60
    assert second.execute_steps == ("dbt seed", "dbt run")
    assert second.generate_docs
    assert second.run_generate_sources
    script = Script(
        outcome="error",
        seconds=1,
        status_message="Gone",
        artifact_lag=0.5,
        artifacts={"a.json": "{}", "b.bin": GeneratedBytes(9)},
        steps=(ScriptStep("One", "text", {"c.txt": "c"}),),
    )
    assert second.script == (script, Script())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("name: x", "the file: input should be a valid array"),
        ("[]", "the file: list should have at least 1 item"),
        ("[5]", "job 1: input should be an object"),
        ("- id: 5", "job 1, 'name': field required"),
        ("- {name: ''}", "job 1, 'name': string should have at least 1 character"),
        ("- {name: x, nmae: y}", "job 'x', 'nmae': is unknown"),
        ("- {name: x, threads: 2}", "job 'x', 'threads': is unknown"),
        ("- {name: x, id: true}", "job 'x', 'id': input should be a valid integer"),
        ("- {name: x, generate_docs: 1}", "job 'x', 'generate_docs': input should be a valid bool"),
        ("- {name: x, settings: 5}", "job 'x', 'settings': is no mapping"),
        ("- {name: x, settings: {theads: 2}}", "job 'x', 'settings.theads': is unknown"),
        ("- {name: x, settings: {threads: many}}", "job 'x', 'settings.threads': input should"),
        ("- {name: x, execute_steps: [1]}", "'execute_steps', item 1: input should be a valid str"),
        ("- {name: x, script: {outcome: fine}}", "job 'x', 'script', 'outcome': input should be '"),
        ("- {name: x, script: [{seconds: -1}]}", "job 'x', 'script', item 1, 'seconds': input"),
        (
            "- {name: x, script: {steps: [5]}}",
            "job 'x', 'script', 'steps', item 1: input should be",
        ),
        ("- {name: x, script: []}", "job 'x', 'script': tuple should have at least 1 item"),
        ("- {name: x, script: {artifacts: {a: 5}}}", "job 'x', 'script', 'artifacts', 'a': input"),
        ("[{name: x, id: 5}, {name: y, id: 5}]", "two jobs have the same id"),
        ("{", "is not YAML"),
    ],
)
def test_a_bad_jobs_file_is_refused_in_one_sentence(tmp_path: Path, content, problem) -> None:
    """It names the file, the job and what is wrong with it."""
    file = tmp_path / "bad.yml"
    file.write_text(content)
    with pytest.raises(SandboxError) as refused:
        read_jobs_file(file)
    assert problem in str(refused.value)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_cannot_start_says_why_and_exits_with_2(tmp_path, capsys) -> None:
    """A missing file, a missing project and an unknown job, each in one line."""
    for arguments in (
        ["--jobs", str(tmp_path / "none.yml")],
        ["--project-dir", str(tmp_path / "none")],
        ["--job", "none", "--port", "0", "--data-dir", str(tmp_path)],
    ):
        assert main(arguments) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_busy_port_says_so_and_exits_with_2(jobs_file: Path, capsys) -> None:
    """The message names the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert main(["--jobs", str(jobs_file), "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"Cannot listen on 127.0.0.1:{port}: Address already in use." in said
    assert "name another --port" in said


@pytest.mark.parametrize("port", ["65536", "-1", "80a"])
def test_what_is_no_port_is_refused_with_the_usage(port: str, capsys) -> None:
    """Before anything is started."""
    with pytest.raises(SystemExit) as ended:
        main([f"--port={port}"])
    assert ended.value.code == 2
    assert f"argument --port: '{port}' is no port" in capsys.readouterr().err


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> "subprocess.CompletedProcess[str]":
    """A command that has run against the sandbox, while the sandbox's usual port was taken."""
    folder = tmp_path_factory.mktemp("sandbox")
    (folder / "jobs.yml").write_text(JOBS_FILE)
    sandbox = ["-m", "dbt_trigger_dagster.sandbox", "--jobs", "jobs.yml", "--job", "second"]
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # taken already, which is as good
            stack.enter_context(socket.create_server(("127.0.0.1", DEFAULT_PORT)))
        return subprocess.run(  # noqa: S603  # the sandbox itself
            [sys.executable, *sandbox, "--", sys.executable, "-c", COMMAND],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def test_a_command_runs_against_the_sandbox_and_its_exit_code_is_passed_on(
    finished: "subprocess.CompletedProcess[str]",
) -> None:
    """The command finds the job in its environment, and its output is all there is on stdout."""
    job_id, _ = finished.stdout.splitlines()
    assert (finished.returncode, job_id) == (7, "77")
    assert "job      77  second" in finished.stderr


def test_a_command_gets_a_free_port_where_the_usual_one_is_taken(
    finished: "subprocess.CompletedProcess[str]",
) -> None:
    """So that two of them can run at once; links stay alive over a restart where it is free."""
    _, url = finished.stdout.splitlines()
    assert url.startswith("http://127.0.0.1:")
    assert url != f"http://127.0.0.1:{DEFAULT_PORT}"
