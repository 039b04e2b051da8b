"""What dbt Cloud's API speaks of, as values: runs, steps, jobs.

Unknown fields and unknown statuses are never an error: the whole payload travels along as
``payload``, and only what this package acts on is parsed.
"""

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from enum import IntEnum
from typing import Any

from dbt_trigger_dagster.dbt_cloud.text import lines, one_line

_FRACTION = re.compile(r"\.\d+")
_LARGEST_ID = 2**63 - 1
_YEARS = range(1970, 2200)


class RunStatus(IntEnum):
    """The status codes of dbt Cloud's runs and run steps."""

    QUEUED = 1
    STARTING = 2
    RUNNING = 3
    SUCCESS = 10
    ERROR = 20
    CANCELLED = 30

    @property
    def is_final(self) -> bool:
        """Whether a run in this status never changes again."""
        return self >= RunStatus.SUCCESS


def status_name(status: int) -> str:
    """The name that people know a status by; an unknown one is named by its number."""
    try:
        return RunStatus(status).name.capitalize()
    except ValueError:
        return f"status {status}"


def _as_status(value: Any) -> int:
    """A status; one that cannot be read is none of those that are known."""
    try:
        return int(value)
    except (OverflowError, TypeError, ValueError):
        return 0


def _as_id(value: Any) -> int:
    """An id.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, bool) or not str(value).isdecimal() or int(value) > _LARGEST_ID:
        raise ValueError(f"{value!r:.50} is not an id")
    return int(value)


def parse_timestamp(text: Any) -> datetime | None:
    """A moment from any of the formats that the API writes; None where it is none of them."""
    try:
        # Python 3.10 knows no "Z", and no fractions but of three and six digits.
        six_digits = _FRACTION.sub(lambda match: match[0][:7].ljust(7, "0"), str(text))
        moment = datetime.fromisoformat(six_digits.replace("Z", "+00:00"))
    except ValueError:
        return None
    if (
        moment.year not in _YEARS
    ):  # near the ends of time, other zones and tables have no name for it
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class RunStep:
    """One step of a run: a clone, a profile, or one dbt command."""

    index: int
    name: str
    status: int
    logs: str

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> "RunStep":
        """Parse an element of a run's ``run_steps``."""
        return cls(
            index=int(payload.get("index") or 0),
            name=one_line(str(payload.get("name") or "")),
            status=_as_status(payload.get("status")),
            logs="\n".join(
                lines(str(payload.get("logs") or payload.get("truncated_debug_logs") or ""))
            ),
        )

    @property
    def has_failed(self) -> bool:
        """Whether the step ended in error."""
        return self.status == RunStatus.ERROR


@dataclass(frozen=True)
class Run:
    """One run of a dbt Cloud job.

    Attributes:
        run_id: dbt Cloud's id of the run.
        account_id: The account it belongs to.
        job_id: The job it is a run of.
        status: A `RunStatus`, or a number that is not known yet.
        href: The run's page in dbt Cloud.
        payload: Everything that the API said of it.
    """

    run_id: int
    account_id: int
    job_id: int
    status: int
    href: str
    payload: Mapping[str, Any] = field(repr=False)

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> "Run":
        """Parse a Run of the API.

        Raises:
            KeyError, TypeError, ValueError: It lacks an id.
        """
        return cls(
            run_id=_as_id(payload["id"]),
            account_id=int(payload.get("account_id") or 0),
            job_id=int(payload.get("job_definition_id") or payload.get("job_id") or 0),
            status=_as_status(payload.get("status")),
            href=one_line(str(payload.get("href") or "")),
            payload=payload,
        )

    def with_related(self, other: "Run", names: Iterable[str]) -> "Run":
        """The same with what another answer about it tells beside it, where this one does not.

        Args:
            other: The other answer.
            names: Which parts of it, such as ``trigger`` or ``run_steps``.
        """
        found = {
            name: other.payload[name]
            for name in names
            if other.payload.get(name) and not self.payload.get(name)
        }
        return replace(self, payload={**self.payload, **found}) if found else self

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, well or not."""
        try:
            return RunStatus(self.status).is_final
        except ValueError:
            return bool(self.payload.get("is_complete"))

    @property
    def is_success(self) -> bool:
        """Whether the run has ended well."""
        if self.status in RunStatus.__members__.values():
            return self.status == RunStatus.SUCCESS
        return bool(self.payload.get("is_success"))

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody, or a time limit, has cancelled the run."""
        return self.status == RunStatus.CANCELLED

    @property
    def status_name(self) -> str:
        """The status as people know it, such as ``Running``."""
        return status_name(self.status)

    @property
    def status_message(self) -> str:
        """What dbt Cloud says about the status; often empty."""
        return one_line(str(self.payload.get("status_message") or ""))

    @property
    def timed_out(self) -> bool:
        """Whether dbt Cloud cancelled the run at a time limit.

        The API has no status for it; the message is all there is: "This run timed out after …".
        """
        return self.is_cancelled and "timed out" in self.status_message.lower()

    @property
    def cause(self) -> str:
        """Why the run was triggered, where the API was asked for ``trigger``; else empty."""
        trigger = self.payload.get("trigger")
        return str(trigger.get("cause") or "") if isinstance(trigger, Mapping) else ""

    @property
    def job_name(self) -> str | None:
        """The name of the run's job, where the API was asked for ``job``."""
        job = self.payload.get("job")
        name = job.get("name") if isinstance(job, Mapping) else None
        return name if isinstance(name, str) else None

    @property
    def created_at(self) -> datetime | None:
        """When the run was created; None where the API's words for it are not understood."""
        return parse_timestamp(self.payload.get("created_at"))

    @property
    def finished_at(self) -> datetime | None:
        """When the run ended; None while it goes on."""
        return parse_timestamp(self.payload.get("finished_at"))

    @property
    def has_failed(self) -> bool:
        """Whether the run ended in error; one that was cancelled or timed out has not."""
        return self.status == RunStatus.ERROR

    @property
    def retrying_run_id(self) -> int | None:
        """The failed run that this one continues, if it does."""
        value = self.payload.get("retrying_run_id")
        return value if type(value) is int else None

    @property
    def retry_obstacle(self) -> str | None:
        """Why dbt Cloud cannot retry the run, in its own word; None where it says no such thing."""
        if self.payload.get("can_retry") is not False:
            return None
        return one_line(str(self.payload.get("retry_not_supported_reason") or "no reason given"))

    @property
    def artifacts_saved(self) -> bool:
        """Whether dbt Cloud says that it keeps artifacts of the run."""
        return bool(self.payload.get("artifacts_saved"))

    @property
    def steps(self) -> tuple[RunStep, ...]:
        """The steps, where the API was asked for ``run_steps``; those that can be read."""
        steps = []
        payloads = self.payload.get("run_steps")
        for payload in payloads if isinstance(payloads, list) else ():
            with contextlib.suppress(AttributeError, OverflowError, TypeError, ValueError):
                steps.append(RunStep.from_payload(payload))
        return tuple(steps)


@dataclass(frozen=True)
class Job:
    """One job of a dbt Cloud account."""

    job_id: int
    name: str
    payload: Mapping[str, Any] = field(repr=False)

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> "Job":
        """Parse a Job of the API.

        Raises:
            KeyError, TypeError, ValueError: It lacks an id.
        """
        return cls(
            job_id=_as_id(payload["id"]), name=str(payload.get("name") or ""), payload=payload
        )
