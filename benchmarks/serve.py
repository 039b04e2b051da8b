"""A sandbox with one scripted job: prints its settings, then its CPU time for each line it reads.

``python -m benchmarks.serve KIND COUNT SIZE``; it ends when its input does.
"""

import json
import sys
import time

from benchmarks.contents import artifact_path, distinct_content
from dbt_trigger_dagster.sandbox import GeneratedBytes, Sandbox, SandboxJob, Script


def _content(kind: str, index: int, size: int) -> bytes | GeneratedBytes:
    return distinct_content(index, size) if kind == "distinct" else GeneratedBytes(size)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(kind: str, count: int, size: int) -> None:
    """Serve until the input ends."""
    artifacts = {artifact_path(index): _content(kind, index, size) for index in range(count)}
    with Sandbox(
        jobs=[SandboxJob(name="benchmark", script=Script(artifacts=artifacts))]
    ) as sandbox:
        _say(json.dumps(sandbox.environment()))
        for _ in sys.stdin:
            _say(str(time.process_time()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
