"""How the stored artifacts of a run are read: opened by step and path, warned of where broken."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, Protocol

from dbt_trigger_dagster.artifacts.json_stream import BrokenFileError, OpenFile
from dbt_trigger_dagster.artifacts.paths import OF_THE_RUN
from dbt_trigger_dagster.storage.record_file import RecordFile


class RunFiles(Protocol):
    """The stored artifacts of a run."""

    def open(self, step: int, path: str) -> BinaryIO | None:
        """An artifact from its beginning; None where it is not stored.

        Args:
            step: Number of the step; `OF_THE_RUN` for what dbt Cloud lists.
            path: The artifact's path.
        """

    def uri(self, step: int, path: str) -> str | None:
        """Where an artifact is stored; None where it is not."""


@dataclass
class FileReader:
    """Reads the files of one run, and keeps what was wrong with them.

    Args:
        run_id: dbt Cloud's id of the run.
        files: The run's stored artifacts.
        dbt_steps: Numbers of the steps that run dbt, in order.
    """

    run_id: int
    files: RunFiles
    dbt_steps: Sequence[int]
    warnings: list[str] = field(default_factory=list)

    def of_step(self, step: int, path: str) -> OpenFile | None:
        """Opens what a step left; what dbt Cloud lists for the run is the last dbt step's."""
        own = self.opener(step, path)
        if own is None and step == self.dbt_steps[-1]:
            return self.opener(OF_THE_RUN, path)
        return own

    def newest(self, path: str) -> Iterator[tuple[int, OpenFile]]:
        """Opens a file as the run has it at its end, then as steps left it, the last one first."""
        for step in [OF_THE_RUN, *reversed(self.dbt_steps)]:
            if open_file := self.opener(step, path):
                yield step, open_file

    def opener(self, step: int, path: str) -> OpenFile | None:
        """Opens one file; None where it is not stored."""
        stream = self.files.open(step, path)
        if stream is None:
            return None
        stream.close()
        return partial(_open, self.files, step, path)

    def read(
        self, step: int, path: str, records: Iterator[dict[str, Any]]
    ) -> tuple[RecordFile[str], bool]:
        """A file's records by the nodes' ids, as far as it can be read, and whether it is whole."""
        found = RecordFile[str]()
        try:
            for record in records:
                found[record["unique_id"]] = record
        except BrokenFileError as error:
            self.warn(step, path, str(error))
            return found, False
        return found, True

    def warn(self, step: int, path: str, reason: str) -> None:
        """Keep a warning that names a file."""
        of_step = f" of step {step}" if step != OF_THE_RUN else ""
        self.warnings.append(
            f"{path}{of_step} of dbt Cloud run {self.run_id} cannot be read whole ({reason}): rows "
            "are made of what is known without it."
        )


def _open(files: RunFiles, step: int, path: str) -> BinaryIO:
    stream = files.open(step, path)
    if stream is None:
        raise BrokenFileError(f"{path} is not there any more")
    return stream


def without_nulls(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a record says, without what it leaves open."""
    return {name: value for name, value in record.items() if value not in (None, "")}
