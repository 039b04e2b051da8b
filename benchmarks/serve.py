"""A sandbox with scripted jobs: prints its settings, then does what each line it reads says.

``python -m benchmarks.serve KIND COUNT SIZE JOBS SECONDS``; it ends when its input does. A line is
a command and its numbers; each is answered by one line of JSON.
"""

import json
import sys
import time
from collections import deque
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from benchmarks.contents import artifact_path, distinct_content
from dbt_trigger_dagster.sandbox import (
    Fault,
    GeneratedBytes,
    Sandbox,
    SandboxJob,
    Script,
    SeededRun,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_AGE = timedelta(hours=1)  # of the youngest old run: nothing of it arrives any more
_APART = timedelta(milliseconds=100)


class _Commands:
    """What can be asked of the server, by the names of the methods."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._in_flight: deque[int] = deque()

    def cpu(self) -> float:
        """Processor time used so far."""
        return time.process_time()

    def requests(self) -> int:
        """How many requests came so far."""
        return len(self._sandbox.requests)

    def old(self, count: int) -> list[int]:
        """Put runs into the account that ended long ago, one after the other, of all jobs."""
        newest = datetime.now(timezone.utc) - _AGE
        ends = (newest - _APART * (count - index) for index in range(count))
        return self._sandbox.seed(
            SeededRun(self._job(index), end) for index, end in enumerate(ends)
        )

    def open(self, count: int) -> int:
        """Put runs into the account that are in flight, of all jobs."""
        self._in_flight += self._sandbox.seed(SeededRun(self._job(index)) for index in range(count))
        return len(self._in_flight)

    def finish(self, count: int) -> int:
        """End those of them that have been in flight longest."""
        self._sandbox.finish([self._in_flight.popleft() for _ in range(count)])
        return len(self._in_flight)

    def delay(self, milliseconds: int) -> None:
        """Let each answer come so much later, as over a network; 0: no more."""
        self._sandbox.clear_faults()
        if milliseconds:
            self._sandbox.inject(Fault("hang", seconds=milliseconds / 1000, count=None))

    def _job(self, index: int) -> int:
        jobs = self._sandbox.jobs
        return jobs[index % len(jobs)].id


def _content(kind: str, index: int, size: int) -> bytes | GeneratedBytes:
    return distinct_content(index, size) if kind == "distinct" else GeneratedBytes(size)


def _say(answer: object) -> None:
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


def main(kind: str, count: int, size: int, jobs: int, seconds: int) -> None:
    """Serve until the input ends."""
    artifacts = {artifact_path(index): _content(kind, index, size) for index in range(count)}
    script = Script(seconds=seconds, artifacts=artifacts)
    names = ["benchmark", *(f"benchmark {number}" for number in range(1, jobs))]
    with Sandbox(jobs=[SandboxJob(name=name, script=script) for name in names]) as sandbox:
        commands = _Commands(sandbox)
        _say({**sandbox.environment(), "JOB_IDS": [job.id for job in sandbox.jobs]})
        for line in sys.stdin:
            name, *numbers = line.split()
            command: Callable[..., object] = getattr(commands, name)
            _say(command(*map(int, numbers)))


if __name__ == "__main__":
    _, *arguments = sys.argv
    main(arguments[0], *map(int, arguments[1:]))
