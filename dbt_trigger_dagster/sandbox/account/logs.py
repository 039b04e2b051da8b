"""The logs of steps: what dbt Cloud itself writes into them, and how much of them it shows."""

import re
from datetime import datetime
from pathlib import Path

MAX_BYTES = 512 * 1024
MAX_LINES = 1000
COMMAND_FAILED = "dbt command failed"
"""The status message of a run whose command failed, and the last line of that command's logs."""

_TRUNCATED = (
    "This log output is truncated. You can download the full log from the dbt Cloud UI.\n...\n\n"
)
_DEBUG_LINE = re.compile(
    r"^(?:\x1b\[0m)?(\d\d:\d\d:\d\d)(\.\d+) \[\w+ *\] \[([^]]*)\]: ", re.MULTILINE
)


def clone_log(run_id: int, branch: str, commit: str) -> str:
    """Return what the first step of a run logs."""
    return (
        f"Cloning into '/tmp/jobs/{run_id}/target'...\n"
        "Successfully cloned repository.\n"
        "Listing tags in repo...\n"
        f"Checking out to {branch}...\n"
        f"Checked out to {commit}.\n"
    )


def first_line(moment: datetime) -> str:
    """Return what stands above everything that dbt logs."""
    return f"{moment:%H:%M:%S}  Running dbt...\n"


def with_failure(logs: str) -> str:
    """Return the logs of a command that failed, with dbt Cloud's own last line."""
    if logs.rstrip().endswith(COMMAND_FAILED):
        return logs
    return f"{logs.rstrip()}\n{COMMAND_FAILED}\n"


def read_tail(source: Path | str) -> str:
    """Return the last part of a log, half a megabyte at most."""
    if isinstance(source, str):
        return source
    try:
        with source.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MAX_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def read_whole(source: Path | str) -> str:
    """Return a whole log."""
    if isinstance(source, str):
        return source
    return source.read_text(errors="replace") if source.exists() else ""


def as_logs(text: str) -> str:
    """Return what dbt printed without the resets of colours that it begins its lines with."""
    return text.replace("\n\x1b[0m", "\n").removeprefix("\x1b[0m")


def as_debug_logs(text: str, moment: datetime) -> str:
    """Return what dbt wrote into its log file as dbt Cloud shows it: with the date, no level."""
    return _DEBUG_LINE.sub(rf"{moment:%Y-%m-%d} \1\2 (\3): \1  ", text)


def truncated(text: str) -> str:
    """Return the last thousand lines, the first of them cut in its middle, below a notice."""
    lines = text.splitlines(keepends=True)
    tail = lines[-MAX_LINES:]
    if len(lines) > MAX_LINES:
        tail[0] = tail[0][len(tail[0]) // 2 :]
    return _TRUNCATED + "".join(tail)
