"""Scripts: what a job's runs do when no dbt is to run, for tests and benchmarks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, with_config

ScriptOutcome = Literal["success", "error", "cancelled", "timeout"]
_STRICT = ConfigDict(extra="forbid")


@with_config(_STRICT)
@dataclass(frozen=True)
class GeneratedBytes:
    """An artifact of any size that takes no memory: the same block, repeated.

    Attributes:
        size: Length in bytes.
    """

    size: Annotated[int, Field(ge=0)]


ScriptedArtifacts = Mapping[str, str | bytes | GeneratedBytes]


@with_config(_STRICT)
@dataclass(frozen=True)
class ScriptStep:
    """One step of a scripted run.

    Attributes:
        name: The step's name, such as ``Invoke dbt with `dbt build` ``.
        logs: What ``logs`` and the debug logs say.
        artifacts: The artifacts that this step has, by path.
    """

    name: str
    logs: str = ""
    artifacts: ScriptedArtifacts = field(default_factory=dict)


@with_config(_STRICT)
@dataclass(frozen=True)
class Script:
    """What a scripted run does.

    Attributes:
        outcome: How the run ends.
        seconds: How long it runs; 0 ends it at once.
        artifacts: The artifacts of the last step, by path.
        steps: The run's steps; without any, those that dbt Cloud would make of the job.
        status_message: The run's ``status_message``; ``None`` says what dbt Cloud would.
        artifact_lag: For so many seconds after the end no artifact is to be had.
    """

    outcome: ScriptOutcome = "success"
    seconds: Annotated[float, Field(ge=0)] = 0
    artifacts: ScriptedArtifacts = field(default_factory=dict)
    steps: tuple[ScriptStep, ...] = ()
    status_message: str | None = None
    artifact_lag: Annotated[float, Field(ge=0)] = 0
