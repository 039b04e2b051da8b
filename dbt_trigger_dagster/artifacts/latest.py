"""The newest artifacts of each job and environment under a steady address, for other tools.

Runs may be landed in any order and at the same time. Each says under ``published`` that it is
there before it copies, and looks at the end whether a newer one has come: then that one's files
are copied over its own. So what stands there in the end is of the newest run.
"""

import json
from collections.abc import Sequence

from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.storage.file_store import FileStore

NAMES = ("manifest.json", "run_results.json", "catalog.json", "sources.json")
"""What is published, as far as a run has left it; a run without one leaves that of the last."""


def publish_latest(files: FileStore, run: Run, folder: str, names: Sequence[str]) -> None:
    """Copy a good run's artifacts to where those of its job and of its environment stand.

    Args:
        files: Where files are kept.
        run: The run.
        folder: Its own folder there.
        names: Those of `NAMES` that the folder has.

    Raises:
        StorageError: They cannot be kept.
        OSError: As above.
    """
    environment_id = run.payload.get("environment_id")
    places = [str(run.job_id)]
    if isinstance(environment_id, int):
        places.append(f"environment-{environment_id}")
    for place in places:
        _publish(files, run.run_id, folder, names, f"latest/{run.account_id}/{place}")


def _publish(files: FileStore, run_id: int, folder: str, names: Sequence[str], target: str) -> None:
    if max(_published(files, target), default=0) > run_id:
        return
    note = json.dumps({"folder": folder, "names": list(names)})
    files.put(_note(target, run_id), [note.encode()])
    _copy(files, folder, names, target)
    copied = run_id
    while (newest := max(_published(files, target))) != copied:
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
    stems = (each.path.rpartition("/")[2] for each in files.list_files(f"{target}/published"))
    return [int(stem.removesuffix(".json")) for stem in stems if stem[:1].isdigit()]


def _note(target: str, run_id: int) -> str:
    return f"{target}/published/{run_id}.json"
