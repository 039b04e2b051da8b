"""What a code location says of itself: its file of jobs, its dg project, or the environment alone.

So the verbs of the command line ask the account and use the tables that its runs do.
"""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from pydantic import Field

from dbt_trigger_dagster.component.account import Workspace
from dbt_trigger_dagster.component.component import DbtCloudJobsComponent
from dbt_trigger_dagster.component.job import JobSettings
from dbt_trigger_dagster.component.monitor import MonitorSettings
from dbt_trigger_dagster.component.storage import Storage
from dbt_trigger_dagster.component.together import check_together
from dbt_trigger_dagster.component.yaml_sections import read_section
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient

WORKSPACE = Workspace()
STORAGE = Storage()
_VARIABLE = "DBT_TRIGGER_JOBS"
_PROJECTS = {"pyproject.toml": "[tool.dg.project]", "dg.toml": "[project]"}
"""What the files of a dg project have, and those of a workspace of projects have not."""


class JobsFile(DbtCloudJobsComponent):
    """A file of jobs; what it does not say of account and storage, the environment does."""

    workspace: Workspace = WORKSPACE
    storage: Storage = Field(default={}, validate_default=True)  # paths begin beside the file
    monitor: MonitorSettings = MonitorSettings()


def read_jobs_file() -> JobsFile | None:
    """The file that ``DBT_TRIGGER_JOBS`` names, if it names one.

    Raises:
        ValueError: It cannot be read, or what it says cannot be used.
    """
    file = os.environ.get(_VARIABLE)
    return read_section(JobsFile, Path(file)) if file else None


def home_of_dagster() -> Path | None:
    """The folder that ``DAGSTER_HOME`` names, if it is set.

    Raises:
        ValueError: Dagster refuses it.
    """
    named = os.environ.get("DAGSTER_HOME")
    if not named:
        return None
    home = Path(named).expanduser()  # as Dagster does
    if not (home.is_absolute() and home.is_dir()):
        raise ValueError(
            f"DAGSTER_HOME must be the absolute path of a folder that is there; {named!r} is not: "
            f"mkdir -p {shlex.quote(str(home.absolute()))}"
        )
    return home


@dataclass(frozen=True)
class CodeLocation:
    """What a code location says of itself.

    Attributes:
        source: Where it says so.
        workspace: The account.
        storage: Where tables and artifacts are.
        jobs: Its jobs; none where a variable names one, or where Python does.
    """

    source: str = "the environment"
    workspace: Workspace = WORKSPACE
    storage: Storage = STORAGE
    jobs: Sequence[JobSettings] = ()

    @classmethod
    def around(cls, folder: Path) -> "CodeLocation":
        """That of `DBT_TRIGGER_JOBS`, else of the dg project around a folder, else of variables.

        Raises:
            ValueError: A file cannot be used, or the project cannot be loaded.
        """
        given = read_jobs_file()
        if given is not None:
            file = Path(os.environ[_VARIABLE]).absolute()
            return cls(str(file), given.workspace, given.storage, given.jobs)
        project = _project_around(folder.absolute())
        return cls() if project is None else cls._of_project(project)

    @classmethod
    def _of_project(cls, project: Path) -> "CodeLocation":
        try:
            tree = dg.ComponentTree.for_project(project)
            components = tree.get_all_components(DbtCloudJobsComponent)
            check_together(components)
        except Exception as error:
            raise ValueError(
                f"The dg project {project} cannot be loaded.\n{_first_cause(error)}"
            ) from error
        workspaces = [each.workspace for each in components if each.workspace is not None]
        storages = [each.storage for each in components if each.storage is not None]
        by_file = f"the dg project {project}"
        by_variables = f"the environment (no file of {project} names jobs)"
        return cls(
            source=by_file if components else by_variables,
            workspace=next(iter(workspaces), WORKSPACE),
            storage=next(iter(storages), STORAGE),
            jobs=[job for each in components for job in each.jobs],
        )

    def job_of(self, client: DbtCloudClient, job_id: int | None, key: str) -> JobSettings | None:
        """The job that is meant; None where this names no jobs.

        Args:
            client: Looks up the ids of jobs that are named otherwise.
            job_id: Its id, if that is given.
            key: Its key, likewise; else empty.

        Raises:
            ValueError: It is none of these jobs, or does not say which, or id and key do not agree.
            DbtCloudError: A name cannot be looked up.
        """
        if not self.jobs:
            return None
        if job_id is None and not key and len(self.jobs) > 1:
            raise ValueError(
                f"Which job? Give --key or --job-id. The keys of {self.source} are: {self._keys}."
            )
        named = [job for job in self.jobs if not key or (job.key or "") == key]
        for job in sorted(named, key=lambda job: job.job_id is None):  # first what needs no look-up
            if job_id is None or job.resolve(client) == job_id:
                return job
        meant = f"the key {key}" if key else f"the id {job_id}"
        if key and named:
            meant += f" and the id {job_id}"
        raise ValueError(f"No job of {self.source} has {meant}. The keys are: {self._keys}.")

    @property
    def _keys(self) -> str:
        return ", ".join(job.key or "none" for job in self.jobs)


def _project_around(folder: Path) -> Path | None:
    """The folder of the dg project that a folder is in."""
    return next(filter(_is_project, (folder, *folder.parents)), None)


def _is_project(folder: Path) -> bool:
    return any(
        (folder / name).is_file() and mark in (folder / name).read_text(encoding="utf-8")
        for name, mark in _PROJECTS.items()
    )


def _first_cause(error: BaseException) -> BaseException:
    """What went wrong: Dagster's own error around it draws a tree."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
