"""What the cause of a run ends in, so that the run is found again: a marker with a key in it."""

import dataclasses
import re

from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.parameters import MAX_CAUSE_LENGTH, TriggerRequest

MARKER = re.compile(r"\[dagster ([^\]\s]+)\]\Z")
"""What the cause of a run ends in that was triggered from Dagster; its group is the key."""


def marker(key: str) -> str:
    """What the cause of a run ends in, so that the run is found again."""
    return f"[dagster {key}]"


def marker_key(run: Run) -> str | None:
    """The key in the marker that a run's cause ends in, where the API was asked for ``trigger``."""
    match = MARKER.search(run.cause)
    return match[1] if match else None


def without_marker(cause: str) -> str:
    """A cause as its author wrote it, so far as there was room for it."""
    return MARKER.sub("", cause).rstrip()


def marked(request: TriggerRequest, key: str) -> TriggerRequest:
    """A request whose cause ends in the marker; the cause makes room for it."""
    room = MAX_CAUSE_LENGTH - len(marker(key)) - 1
    cause = f"{request.cause[:room].rstrip()} {marker(key)}"
    return dataclasses.replace(request, cause=cause)
