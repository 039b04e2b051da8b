"""Reads the jobs of a sandbox from a YAML file, and says in one sentence what is wrong with it.

The file holds a list of jobs under the API's own names, each with a ``script`` if no dbt is to run.
"""

from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import yaml

from dbt_trigger_dagster.sandbox.account.errors import SandboxError
from dbt_trigger_dagster.sandbox.account.jobs import ENVIRONMENT_ID, PROJECT_ID, SandboxJob
from dbt_trigger_dagster.sandbox.account.scripts import (
    GeneratedBytes,
    Script,
    ScriptedArtifacts,
    ScriptOutcome,
    ScriptStep,
)

Value = TypeVar("Value")


def read_jobs_file(file: Path) -> list[SandboxJob]:
    """Read a jobs file.

    Raises:
        SandboxError: The file cannot be read, or does not describe jobs.
    """
    try:
        content = yaml.safe_load(file.read_text())
        return _jobs(content)
    except OSError as error:
        raise SandboxError(f"{file} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise SandboxError(f"{file} is not YAML: {' '.join(str(error).split())}.") from error
    except _ProblemError as error:
        raise SandboxError(f"{file}: {error}.") from error


class _ProblemError(Exception):
    """What is wrong with the file's content."""


class _Section:
    """A mapping of the file, whose keys are taken one by one until none is left."""

    def __init__(self, content: Any, where: str) -> None:
        if not isinstance(content, dict):
            raise _ProblemError(f"{where} is not a mapping")
        self._content = dict(content)
        self.where = where

    def take(self, key: str, default: Value) -> Value:
        """Take the value of a key; it must be of the default's type."""
        value = self._content.pop(key, default)
        expected = type(default)
        # True and False are integers to Python, but not to anyone who writes YAML.
        is_boolean = isinstance(value, bool) and expected is not bool
        if is_boolean or not isinstance(value, _accepted(expected)):
            raise _ProblemError(f"{key!r} of {self.where} is not {_name_of(expected)}")
        return cast("Value", value)

    def section(self, key: str) -> "_Section":
        """Take a nested mapping, empty if there is none."""
        return _Section(self._content.pop(key, {}), f"{key!r} of {self.where}")

    def take_raw(self, key: str, default: Any) -> Any:
        """Take a value of any type."""
        return self._content.pop(key, default)

    def finish(self) -> None:
        """Refuse what nobody took."""
        if self._content:
            keys = ", ".join(repr(key) for key in self._content)
            raise _ProblemError(f"{self.where} has unknown keys: {keys}")


def _accepted(kind: type) -> tuple[type, ...]:
    return (int, float) if kind is float else (kind,)


def _name_of(kind: type) -> str:
    names = {str: "text", int: "an integer", float: "a number", bool: "true or false"}
    return names.get(kind, "a list")


def _jobs(content: Any) -> list[SandboxJob]:
    if not isinstance(content, list) or not content:
        raise _ProblemError("the file is not a list of jobs")
    jobs = [_job(_Section(item, f"job {position}")) for position, item in enumerate(content, 1)]
    ids = [job.id for job in jobs if job.id]
    if len(set(ids)) < len(ids):
        raise _ProblemError("two jobs have the same id")
    return jobs


def _job(section: _Section) -> SandboxJob:
    name = section.take("name", "")
    if not name:
        raise _ProblemError(f"{section.where} has no name")
    section.where = f"job {name!r}"
    settings, execution = section.section("settings"), section.section("execution")
    job = SandboxJob(
        name=name,
        id=section.take("id", 0),
        script=_scripts(section.take_raw("script", None), f"'script' of {section.where}"),
        execute_steps=_texts(section, "execute_steps", ["dbt build"]),
        generate_docs=section.take("generate_docs", default=False),
        run_generate_sources=section.take("run_generate_sources", default=False),
        threads=settings.take("threads", 4),
        target_name=settings.take("target_name", "default"),
        timeout_seconds=execution.take("timeout_seconds", 0),
        description=section.take("description", ""),
        job_type=section.take("job_type", "other"),
        project_id=section.take("project_id", PROJECT_ID),
        environment_id=section.take("environment_id", ENVIRONMENT_ID),
    )
    for finished in (settings, execution, section):
        finished.finish()
    return job


def _texts(section: _Section, key: str, default: list[str]) -> tuple[str, ...]:
    texts = section.take(key, default)
    if not all(isinstance(text, str) for text in texts):
        raise _ProblemError(f"{key!r} of {section.where} is not a list of texts")
    return tuple(texts)


def _scripts(content: Any, where: str) -> Script | tuple[Script, ...] | None:
    if content is None:
        return None
    if content == []:
        raise _ProblemError(f"{where} is an empty list")
    if isinstance(content, list):
        return tuple(_script(_Section(item, where)) for item in content)
    return _script(_Section(content, where))


def _script(section: _Section) -> Script:
    outcome = section.take("outcome", "success")
    if outcome not in get_args(ScriptOutcome):
        raise _ProblemError(f"'outcome' of {section.where} is none of {get_args(ScriptOutcome)}")
    steps: list[Any] = section.take("steps", [])
    script = Script(
        outcome=cast("ScriptOutcome", outcome),
        seconds=section.take("seconds", 0.0),
        artifacts=_artifacts(section),
        steps=tuple(_step(_Section(step, f"a step of {section.where}")) for step in steps),
        status_message=section.take("status_message", "") or None,
        artifact_lag=section.take("artifact_lag", 0.0),
    )
    section.finish()
    return script


def _step(section: _Section) -> ScriptStep:
    step = ScriptStep(
        name=section.take("name", ""),
        logs=section.take("logs", ""),
        artifacts=_artifacts(section),
    )
    section.finish()
    return step


def _artifacts(section: _Section) -> ScriptedArtifacts:
    contents: dict[str, Any] = section.take_raw("artifacts", {})
    if not isinstance(contents, dict):
        raise _ProblemError(f"'artifacts' of {section.where} is not a mapping")
    return {
        path: _artifact(content, f"artifact {path!r} of {section.where}")
        for path, content in contents.items()
    }


def _artifact(content: Any, where: str) -> str | GeneratedBytes:
    if isinstance(content, str):
        return content
    section = _Section(content, where)
    size = section.take("size", 0)
    section.finish()
    return GeneratedBytes(size)
