"""The newest artifacts of each job and environment under a steady address, for other tools.

Runs may be landed in any order and at the same time. Each says under ``published`` that it is
there before it copies, and looks at the end whether a newer one has come: then that one's files
are copied over its own. So what stands there in the end is of the newest run, but for files that
it has not left: a note's ``names`` tells which are its own.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.storage.file_store import FileStore

LATEST = "latest"
"""The folder below the root in which they stand."""

NAMES = ("manifest.json", "run_results.json", "catalog.json", "sources.json")
"""What is published, as far as a run has left it; a run without one leaves that of the last."""

_PUBLISHED = "published"

_DEVIATIONS = (
    "schema_override",
    "target_name_override",
    "git_sha",
    "azure_pull_request_id",
    "github_pull_request_id",
    "gitlab_merge_request_id",
    "non_native_pull_request_id",
)
"""What a trigger has whose run is built elsewhere, or of other code, than the job's own runs."""


def is_of_the_job_itself(run: Run) -> bool:
    """Whether a run is built where its job's runs are, of the code that they are built of.

    One of a pull request is not: who deferred to it would read from the schema of its own.
    """
    trigger, job = _part(run, "trigger"), _part(run, "job")
    if "ci" in {trigger.get("cause_category"), job.get("job_type")}:
        return False
    environment = _part(run, "environment")
    branch = environment.get("custom_branch") if environment.get("use_custom_branch") else None
    # dbt Cloud names a branch for every run; which is the repository's default, it does not tell.
    is_other_branch = bool(branch) and (trigger.get("git_branch") or branch) != branch
    return not is_other_branch and all(trigger.get(name) is None for name in _DEVIATIONS)


def _part(run: Run, name: str) -> Mapping[str, Any]:
    value = run.payload.get(name)
    return value if isinstance(value, Mapping) else {}


def publish_latest(files: FileStore, run: Run, folder: str, names: Sequence[str]) -> None:
    """Copy a good run's artifacts to where those of its job and of its environment stand.

    Args:
        files: Where files are kept.
        run: The run; nothing happens where it is not `is_of_the_job_itself`.
        folder: Its own folder there.
        names: Those of `NAMES` that the folder has.

    Raises:
        StorageError: They cannot be kept.
        OSError: As above.
    """
    if not is_of_the_job_itself(run):
        return
    environment_id = run.payload.get("environment_id")
    places = [str(run.job_id)]
    if isinstance(environment_id, int):
        places.append(f"environment-{environment_id}")
    for place in places:
        _publish(files, run.run_id, folder, names, f"{LATEST}/{run.account_id}/{place}")


def published_runs(files: FileStore) -> set[tuple[int, int]]:
    """The accounts and runs whose artifacts stand at steady addresses."""
    notes = (PurePosixPath(each.path) for each in files.list_files(LATEST))
    return {
        (int(account), run_id)
        for note in notes
        if note.parent.name == _PUBLISHED
        for account in note.parts[1:2]
        for run_id in _run_in(note)
    }


def _publish(files: FileStore, run_id: int, folder: str, names: Sequence[str], target: str) -> None:
    if max(_published(files, target), default=0) > run_id:
        return
    note = json.dumps({"folder": folder, "names": list(names)})
    files.put(_note(target, run_id), [note.encode()])
    _copy(files, folder, names, target)
    copied = run_id
    # Where even this run's own note has gone, a newer run has come since, and copies after it.
    while (newest := max(_published(files, target), default=copied)) != copied:
        try:
            with files.open(_note(target, newest)) as file:
                newer = json.load(file)
        except FileNotFoundError:  # a still newer one has taken it away
            continue
        _copy(files, newer["folder"], newer["names"], target)
        copied = newest
    files.delete([_note(target, each) for each in _published(files, target) if each < copied])


def _copy(files: FileStore, folder: str, names: Sequence[str], target: str) -> None:
    for name in names:
        files.copy(f"{folder}/{name}", f"{target}/{name}")


def _published(files: FileStore, target: str) -> list[int]:
    """The runs that have been here; the newest one's files are there."""
    notes = (PurePosixPath(each.path) for each in files.list_files(f"{target}/{_PUBLISHED}"))
    return [run_id for note in notes for run_id in _run_in(note)]


def _note(target: str, run_id: int) -> str:
    return f"{target}/{_PUBLISHED}/{run_id}.json"


def _run_in(note: PurePosixPath) -> list[int]:
    """The run that a note is of, if it is one."""
    return [int(note.stem)] if note.suffix == ".json" and note.stem.isdecimal() else []
