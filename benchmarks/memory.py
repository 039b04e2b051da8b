"""Memory that one artifact of 500 MB takes in the client, above idle.

A fresh interpreter downloads it (`benchmarks.download_one`) from a server in another process, into
a folder and into a bucket of a third.
"""

import tempfile
from collections.abc import Mapping

from benchmarks.download_one import STATUS
from benchmarks.interpreters import clean_environment, python, served_bucket, served_sandbox
from benchmarks.report import Result, not_measured

_SIZE = 500_000_000
_MIB = 1024 * 1024
_GOAL_MIB = 64

_WHAT = "a 500 MB artifact into a {}: peak memory of the client above idle"
_GOAL_TEXT = f"< {_GOAL_MIB} MiB"


def measure() -> list[Result]:
    """Download in fresh interpreters."""
    if not STATUS.exists():
        return [not_measured(_WHAT.format("folder"), _GOAL_TEXT, f"{STATUS} is missing")]
    with (
        served_sandbox("generated", 1, _SIZE) as server,
        served_bucket() as bucket,
        tempfile.TemporaryDirectory() as folder,
    ):
        environment = {**server.environment(), **bucket.environment()}
        return [
            _measured("folder", folder, environment),
            _measured("bucket", f"{bucket.url}/memory", environment),
        ]


def _measured(kind: str, root: str, environment: Mapping[str, str]) -> Result:
    printed = python(
        *("-m", "benchmarks.download_one", str(_SIZE), root),
        environment=clean_environment(**environment),
    )
    above_idle = int(printed) / _MIB
    measured = f"{above_idle:.1f} MiB, {above_idle * _MIB / _SIZE:.1%} of the artifact"
    return Result(_WHAT.format(kind), measured, _GOAL_TEXT, above_idle < _GOAL_MIB)
