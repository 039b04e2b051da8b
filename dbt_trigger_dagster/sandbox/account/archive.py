"""Runs that are over, kept in the data folder, so that links to them live on after a restart.

Only dbt's: what scripts make up has no files.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dbt_trigger_dagster.dbt_cloud.models import RunStatus
from dbt_trigger_dagster.sandbox.account.artifacts import FolderArtifacts
from dbt_trigger_dagster.sandbox.account.jobs import SandboxJob
from dbt_trigger_dagster.sandbox.account.runs import FailedCommand, Run, Step, Trigger
from dbt_trigger_dagster.sandbox.account.timestamps import Clock

_FILE = "run.json"


@dataclass(frozen=True)
class _Log:
    file: Path | None = None
    text: str = ""

    @classmethod
    def of(cls, source: Path | str) -> "_Log":
        return cls(text=source) if isinstance(source, str) else cls(file=source)

    @property
    def source(self) -> Path | str:
        return self.text if self.file is None else self.file


@dataclass(frozen=True)
class _KeptStep:
    id: int
    name: str
    status: RunStatus
    started_at: datetime
    finished_at: datetime | None
    logs: _Log
    debug_logs: _Log


@dataclass(frozen=True)
class _KeptRun:
    id: int
    job_id: int
    trigger: Trigger
    status: RunStatus
    status_message: str | None
    finished_at: datetime
    retrying_run_id: int | None = None
    failed_command: FailedCommand | None = None
    commit: str | None = None
    dequeued_at: datetime | None = None
    started_at: datetime | None = None
    artifacts_saved_at: datetime | None = None
    artifacts: Mapping[int, Path] = field(default_factory=dict)
    steps: tuple[_KeptStep, ...] = ()


_KEPT = TypeAdapter(_KeptRun)


@dataclass(frozen=True)
class Archive:
    """The folder of the runs, each in a folder of its own.

    Attributes:
        folder: The folder.
    """

    folder: Path

    def keep(self, run: Run) -> None:
        """Write a run that is over, unless it has no folder."""
        folder = self.folder / str(run.id)
        if not folder.is_dir() or run.finished_at is None:
            return
        kept = _KeptRun(
            id=run.id,
            job_id=run.job.id,
            trigger=run.trigger,
            status=run.status,
            status_message=run.status_message,
            finished_at=run.finished_at,
            retrying_run_id=run.retry_of.id if run.retry_of else None,
            failed_command=run.failed_command,
            commit=run.commit,
            dequeued_at=run.dequeued_at,
            started_at=run.started_at,
            artifacts_saved_at=run.artifacts_saved_at,
            artifacts={
                index: each.folder
                for index, each in run.artifacts.items()
                if isinstance(each, FolderArtifacts)
            },
            steps=tuple(map(_kept_step, run.steps)),
        )
        partial = folder / f"{_FILE}.partial"
        with contextlib.suppress(OSError):  # a full disk costs the memory of a run, not the run
            partial.write_bytes(_KEPT.dump_json(kept))
            partial.replace(folder / _FILE)

    def runs(
        self,
        jobs: Mapping[int, SandboxJob],
        ids: Iterator[int],
        on_end: Callable[[Run], None],
        clock: Clock,
    ) -> Iterator[Run]:
        """Read the runs of jobs that there still are, oldest first."""
        found: dict[int, Run] = {}
        for kept in sorted(self._read(), key=lambda each: each.id):
            if kept.job_id not in jobs:
                continue
            run = Run(kept.id, jobs[kept.job_id], kept.trigger, ids, on_end, clock)
            run.retry_of = found.get(kept.retrying_run_id or 0)
            run.status, run.status_message = kept.status, kept.status_message
            run.steps = [
                _step(kept.id, index, each, clock) for index, each in enumerate(kept.steps, 1)
            ]
            run.artifacts = {index: FolderArtifacts(each) for index, each in kept.artifacts.items()}
            run.artifacts_saved_at, run.failed_command = (
                kept.artifacts_saved_at,
                kept.failed_command,
            )
            run.commit, run.dequeued_at = kept.commit, kept.dequeued_at
            run.started_at, run.finished_at = kept.started_at, kept.finished_at
            found[run.id] = run
            yield run

    def _read(self) -> Iterator[_KeptRun]:
        for file in self.folder.glob(f"*/{_FILE}"):
            try:
                yield _KEPT.validate_json(file.read_bytes())
            except (OSError, ValidationError):
                continue  # of another version, or cut: it is as if it had been deleted


def _kept_step(step: Step) -> _KeptStep:
    return _KeptStep(
        id=step.id,
        name=step.name,
        status=step.status,
        started_at=step.started_at,
        finished_at=step.finished_at,
        logs=_Log.of(step.logs),
        debug_logs=_Log.of(step.debug_logs),
    )


def _step(run_id: int, index: int, kept: _KeptStep, clock: Clock) -> Step:
    return Step(
        id=kept.id,
        run_id=run_id,
        index=index,
        name=kept.name,
        started_at=kept.started_at,
        logs=kept.logs.source,
        debug_logs=kept.debug_logs.source,
        status=kept.status,
        finished_at=kept.finished_at,
        clock=clock,
    )
