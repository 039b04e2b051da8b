"""What a dbt command's run_results.json says: v4 to v6, and Fusion's.

Whether results were executed or only compiled follows from the command that wrote the file, which
is named in the file itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dbt_trigger_dagster.artifacts.json_stream import (
    OpenFile,
    read_objects,
    results_in,
)
from dbt_trigger_dagster.storage.kinds import JsonText

RUN_RESULTS = "run_results.json"

_EXECUTE = frozenset(
    ["build", "run", "test", "seed", "snapshot", "clone", "run-operation", "source", "retry"]
)
_DO_NOT = frozenset(["compile", "docs", "list", "parse", "show", "deps", "debug", "clean", "init"])
_LEAVE_NONE = frozenset(["list", "parse", "deps", "debug", "clean", "init"])
_OTHER_NAMES = {"freshness": "source", "generate": "docs", "serve": "docs", "ls": "list"}
_ADAPTER = {
    "rows_affected": ("rows_affected",),
    "bytes_processed": ("bytes_processed",),
    "bytes_billed": ("bytes_billed",),
    "slot_ms": ("slot_ms",),
    "query_id": ("query_id", "job_id"),
    "adapter_code": ("code",),
}
"""Columns, and what adapters call them."""


@dataclass(frozen=True)
class Invocation:
    """The dbt command that wrote a file.

    Attributes:
        invocation_id: dbt's own id of it.
        command: Its name, such as ``build``; empty where the file does not say.
        dbt_version: The version of dbt, likewise.
        started_at: When it began, as newer versions say.
        args: Its arguments and flags.
    """

    invocation_id: str = ""
    command: str = ""
    dbt_version: str = ""
    started_at: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, metadata: Mapping[str, Any], **others: Any) -> "Invocation":
        """What a file's metadata tell, the same in all of dbt's files, and the other fields."""
        return cls(
            invocation_id=str(metadata.get("invocation_id") or ""),
            dbt_version=str(metadata.get("dbt_version") or ""),
            started_at=str(metadata.get("invocation_started_at") or ""),
            **others,
        )


def read_invocation(open_file: OpenFile) -> Invocation:
    """Which command wrote a run_results.json, as far as the file tells."""
    metadata, args = read_objects(open_file, "metadata", "args")
    which = str(args.get("which") or "")
    return Invocation.of(metadata, command=canonical_command(which) or which, args=args)


def canonical_command(word: str) -> str:
    """A dbt command by one name, where it has several; empty for what is no command."""
    name = word.replace("_", "-").lower()
    name = _OTHER_NAMES.get(name, name)
    return name if name in _EXECUTE or name in _DO_NOT else ""


def executes(command: str) -> bool | None:
    """Whether a dbt command executes nodes; None of one that is not known.

    ``retry`` does what the command did that it repeats, which is one that executes.
    """
    if command in _EXECUTE:
        return True
    return False if command in _DO_NOT else None


def leaves_results(command: str) -> bool:
    """Whether a dbt command leaves a file that tells of nodes or sources; one not known may."""
    return command not in _LEAVE_NONE


def read_results(open_file: OpenFile) -> Iterator[dict[str, Any]]:
    """The results as records of `NODE_RESULT`'s columns, one for each node of the file.

    Raises:
        BrokenFileError: The file is broken; raised after everything that can be read.
    """
    return (_record(*result) for result in results_in(open_file))


def _record(unique_id: str, result: dict[str, Any]) -> dict[str, Any]:
    adapter = result.get("adapter_response")
    adapter = adapter if isinstance(adapter, Mapping) else {}
    return {
        **named_by(unique_id),
        "status": result.get("status"),
        "message": result.get("message"),
        "failures": result.get("failures"),
        "relation_name": result.get("relation_name"),
        "thread_id": result.get("thread_id"),
        "execution_time": result.get("execution_time"),
        "batch_results": result.get("batch_results"),
        "adapter_response": dict(adapter) or None,
        "source": "run_results",
        # The code stands in the stored file, and would be most of the table.
        "raw": JsonText.of(
            {name: value for name, value in result.items() if name != "compiled_code"}
        ),
        **timing_of(result.get("timing")),
        **{
            column: next((adapter[name] for name in names if adapter.get(name) is not None), None)
            for column, names in _ADAPTER.items()
        },
    }


def timing_of(timing: Any) -> dict[str, Any]:
    """When a node was compiled and executed; skipped ones have no timing."""
    found = {}
    for phase in timing if isinstance(timing, list) else ():
        if isinstance(phase, Mapping) and phase.get("name") in ("compile", "execute"):
            found[f"{phase['name']}_started_at"] = phase.get("started_at")
            found[f"{phase['name']}_completed_at"] = phase.get("completed_at")
    return found


def named_by(unique_id: str) -> dict[str, Any]:
    """What a node's id alone says of it; a manifest says it better.

    Ids are ``model.package.name``, ``model.package.name.v2``, ``test.package.name.hash``,
    ``source.package.source.table`` and ``unit_test.package.model.name``.
    """
    kind, _, rest = unique_id.partition(".")
    package, _, name = rest.partition(".")
    parts = name.split(".")
    return {
        "unique_id": unique_id,
        "resource_type": kind,
        "package_name": package or None,
        "name": (parts[-1] if kind in {"source", "unit_test"} else parts[0]) or None,
    }
