"""Stored artifacts of a run that tests make up, in memory."""

import io
import json
from collections.abc import Mapping
from typing import Any, BinaryIO

from dbt_trigger_dagster.dbt_cloud.models import Run


class MemoryFiles:
    """Artifacts by step and path; text and bytes are as they are, all else is JSON."""

    def __init__(self, contents: Mapping[tuple[int, str], Any]) -> None:
        self._contents = {place: as_bytes(content) for place, content in contents.items()}

    def open(self, step: int, path: str) -> BinaryIO | None:
        """One of them."""
        content = self._contents.get((step, path))
        return None if content is None else io.BytesIO(content)

    def uri(self, step: int, path: str) -> str | None:
        """Where it would be."""
        return f"/files/{step}/{path}" if (step, path) in self._contents else None


def as_bytes(content: Any) -> bytes:
    """A file's content."""
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content)).encode()


def run_of(*commands: str, status: int = 10, logs: str = "") -> Run:
    """A run of one dbt command a step, from step 4 on; the last one has the status and the log."""
    steps = [
        {
            "index": 4 + number,
            "name": f"Invoke dbt with `{command}`",
            "status": status if number == len(commands) - 1 else 10,
            "logs": logs if number == len(commands) - 1 else "",
            "started_at": "2026-05-28 06:58:00+00:00",
        }
        for number, command in enumerate(commands)
    ]
    return Run.from_payload(
        {"id": 7, "account_id": 1, "job_definition_id": 3, "status": status, "run_steps": steps}
    )


def results_of(which: str, *results: Mapping[str, Any], invocation_id: str = "") -> dict[str, Any]:
    """A run_results.json of one command."""
    return {
        "metadata": {"invocation_id": invocation_id or f"invocation of {which}"},
        "results": list(results),
        "args": {"which": which},
    }


def result(unique_id: str, status: str = "success", **more: Any) -> dict[str, Any]:
    """One element of a run_results.json."""
    return {"unique_id": unique_id, "status": status, "timing": [], **more}
