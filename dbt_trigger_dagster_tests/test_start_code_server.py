"""The code server of deploy/, and the runs that Dagster would lose without it."""

import runpy
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon
from filelock import FileLock

from dbt_trigger_dagster_tests.deployments import DEPLOY, JOB

SCRIPT = DEPLOY / "start_code_server.py"


def test_lost_runs_are_reported_even_if_the_storage_is_away_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was started has failed, what was being stopped is cancelled, what is over stays."""
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    became = {"STARTED": "FAILURE", "CANCELING": "CANCELED", "SUCCESS": "SUCCESS"}
    runs = [dg.DagsterRun(JOB, status=dg.DagsterRunStatus(status)) for status in became]
    with dg.DagsterInstance.get() as instance:
        for run in runs:
            instance.run_storage.add_run(run)
    home.rename(away)
    script = runpy.run_path(str(SCRIPT))
    pauses = []
    script["report_lost_at_last"](
        [run.run_id for run in runs], sleep=lambda pause: pauses.append((pause, away.rename(home)))
    )
    assert len(pauses) == 1
    assert "DAGSTER_HOME" in capsys.readouterr().err
    with dg.DagsterInstance.get() as instance:
        found = [instance.get_run_by_id(run.run_id) for run in runs]
    assert [run.status.value for run in found if run] == list(became.values())


class UnreachableLocation:
    """What Dagster's daemon works with, where it cannot reach the code location."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        """Take the instance whose runs the daemon looks after."""
        self.instance = instance

    def create_request_context(self) -> None:
        """Fail as the real one does."""
        raise DagsterUserCodeUnreachableError("Could not reach user code server.")


def look(instance: dg.DagsterInstance) -> None:
    """Let Dagster's daemon look once for runs to resume, which it cannot."""
    context: Any = UnreachableLocation(instance)
    for _ in EventLogConsumerDaemon().run_iteration(context):
        pass


def attempts(instance: dg.DagsterInstance, run: dg.DagsterRun) -> int:
    """How often Dagster's daemon has tried to resume a run."""
    return [event.message for event in instance.all_logs(run.run_id)].count("Failed to retry run")


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """What `DagsterInstance.get` finds: it has run retries, and its daemon has looked before."""
    (tmp_path / "dagster.yaml").write_text("run_retries: {enabled: true, max_retries: 2}")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as found:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it logs by a name that is deprecated
            look(found)
        yield found


def a_started_run(instance: dg.DagsterInstance, **tags: str) -> dg.DagsterRun:
    """A run of the code location here."""
    everywhere = {"dagster/code_location": "here"}
    tags = {f"dagster/{name}": value for name, value in tags.items()}
    run = dg.DagsterRun(JOB, status=dg.DagsterRunStatus.STARTED, tags={**everywhere, **tags})
    return instance.run_storage.add_run(run)


def report_forgotten(reports: Counter[str], minutes: float = 2) -> None:
    """Look for forgotten runs as the code server here does, so many minutes from now."""
    script = runpy.run_path(str(SCRIPT))
    now = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    script["report_forgotten"]("here", reports, now)


def test_a_run_is_resumed_whose_failure_dagster_has_seen_too_early(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster stores the event before the run's status, and its daemon looks at each event once."""
    run = a_started_run(instance)
    storage, reports = type(instance.run_storage), Counter[str]()
    real = storage.handle_run_event

    def late(*arguments: Any) -> None:
        look(instance)
        real(*arguments)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(storage, "handle_run_event", late)
        instance.report_run_failed(run)
    look(instance)
    assert attempts(instance, run) == 0
    report_forgotten(reports, minutes=0.5)
    look(instance)
    assert attempts(instance, run) == 0  # Dagster may still do it
    report_forgotten(reports)
    look(instance)
    assert attempts(instance, run) == 1


def test_a_run_is_resumed_that_dagster_has_given_up(instance: dg.DagsterInstance) -> None:
    """It could not reach the code location; nobody goes on for ever."""
    run, reports = a_started_run(instance), Counter[str]()
    instance.report_run_failed(run)
    look(instance)
    look(instance)
    assert attempts(instance, run) == 1
    for _ in range(9):
        report_forgotten(reports)
        look(instance)
    assert attempts(instance, run) == 1 + 5


def test_other_failed_runs_are_not_reported_again(instance: dg.DagsterInstance) -> None:
    """Those that are resumed, are not to be, are old, or of another code location."""
    parent = a_started_run(instance)
    a_started_run(instance, parent_run_id=parent.run_id)
    last = a_started_run(instance, max_retries="0")
    elsewhere = a_started_run(instance, code_location="elsewhere")
    for run in (parent, last, elsewhere):
        instance.report_run_failed(run)
    reports: Counter[str] = Counter()
    report_forgotten(reports)
    assert not reports
    instance.report_run_failed(a_started_run(instance))
    report_forgotten(reports, minutes=60)
    assert not reports
    report_forgotten(reports)
    assert reports.total() == 1


def test_a_second_code_server_is_refused(tmp_path: Path) -> None:
    """It would report the runs of the first one as lost."""
    lock = tmp_path / "code_server.lock"
    command = [sys.executable, str(SCRIPT), "--lock-file", str(lock)]
    with FileLock(lock):
        done = subprocess.run(  # noqa: S603  # our own
            [*command, "--location-name=one", "--port=1"],
            check=False,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert f"{lock} is locked: there is a code server already" in done.stderr
