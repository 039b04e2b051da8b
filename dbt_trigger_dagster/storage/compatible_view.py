"""Views that look like other packages' tables: what they are put together from.

dbt_artifacts and elementary fill tables by hooks inside dbt. A view of the same name and with the
same columns says of our tables what theirs would say, so that what was built on them goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from dbt_trigger_dagster.storage.columns import Column
from dbt_trigger_dagster.storage.kinds import Kind
from dbt_trigger_dagster.storage.view import View

_TYPES: Mapping[Kind, str] = {
    Kind.INTEGER: "BIGINT",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.TEXT: "VARCHAR",
    Kind.TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
    Kind.NUMBER: "DOUBLE PRECISION",
}
_TABLES = {
    "result": "dbt_cloud_node_result",
    "step": "dbt_cloud_run_step",
    "run": "dbt_cloud_run",
    "node": "dbt_cloud_node",
    "freshness": "dbt_cloud_source_freshness",
}
_WORKED_OUT = {"which", "full_refresh", "started_at"}  # what `STEP` adds


@dataclass(frozen=True)
class Mapped:
    """A column of another package's table.

    Attributes:
        kind: What it holds there; of times, which elementary keeps as text, a time.
        name: Its name.
        sql: What it is in our tables, by the names that `results` and the like give them; empty
            where they do not know.
        meaning: The same for people, where it is more than a column of ours.
    """

    kind: Kind
    name: str
    sql: str = ""
    meaning: str = ""

    def in_select(self) -> str:
        """The column as a SELECT names it."""
        return f"CAST({self.sql or 'NULL'} AS {_TYPES[self.kind]}) AS {self.name}"

    def documented(self) -> Column:
        """The column as the documents tell it."""
        table, _, column = self.sql.partition(".")
        told = "" if self.sql else "Not known: null"
        if table in _TABLES and column.isidentifier() and column not in _WORKED_OUT:
            told = f"`{_TABLES[table]}.{column}`"
        return Column(self.name, self.kind, "; ".join(filter(None, [told, self.meaning])))


text, moment = partial(Mapped, Kind.TEXT), partial(Mapped, Kind.TIMESTAMP)
flag, count, number = (
    partial(Mapped, Kind.BOOLEAN),
    partial(Mapped, Kind.INTEGER),
    partial(Mapped, Kind.NUMBER),
)


def compatible_view(
    package: str, name: str, description: str, columns: Sequence[Mapped], rest: str
) -> View:
    """A view like another package's table, in a schema that is called after the package.

    Args:
        package: The package.
        name: The table's name there.
        description: What a row is.
        columns: All columns of the table, in order.
        rest: The SELECT behind its columns.
    """
    return View(
        name=name,
        description=description,
        select=f"SELECT {', '.join(column.in_select() for column in columns)}\n{rest}",
        columns=tuple(column.documented() for column in columns),
        package=package,
    )


STEP = """(
    SELECT *
    FROM (
        SELECT account_id, run_id, step, job_id, dbt_version, args, finished_at, loaded_at,
            COALESCE(invocation_started_at, started_at) AS started_at,
            COALESCE(invocation_id, CAST(run_id AS VARCHAR) || '.'
                || CAST(step AS VARCHAR)) AS invocation_id,
            COALESCE((args ->> 'full_refresh'), 'false') = 'true' AS full_refresh,
            COALESCE((args ->> 'which'), CASE SPLIT_PART(command, ' ', 2)
                WHEN 'source' THEN 'freshness' ELSE SPLIT_PART(command, ' ', 2) END) AS which
        FROM {dbt_cloud_run_step}
    ) AS every
    WHERE which IN ('build', 'run', 'test', 'seed', 'snapshot', 'retry', 'freshness')
)"""
"""The steps that those packages know of, for their commands run hooks.

Each has an id of its own where dbt has left none.
"""


def _of_its_step(table: str) -> str:
    return f"""JOIN {STEP} AS step
    ON step.account_id = {table}.account_id AND step.run_id = {table}.run_id
    AND step.step = {table}.step"""


def results(of: str = "{dbt_cloud_node_result}") -> str:
    """Nodes' results with their steps, and with the project's nodes.

    Args:
        of: Where they are, where that is not the table itself.
    """
    return f"""{of} AS result
{_of_its_step("result")}
LEFT JOIN {{dbt_cloud_node}} AS node
    ON node.account_id = result.account_id AND node.job_id = result.job_id
    AND node.unique_id = result.unique_id"""


FRESHNESS = f"""{{dbt_cloud_source_freshness}} AS freshness
{_of_its_step("freshness")}"""
"""How fresh sources were, with the steps that looked."""

RUN_OF_STEP = f"""{STEP} AS step
LEFT JOIN {{dbt_cloud_run}} AS run
    ON run.account_id = step.account_id AND run.id = step.run_id"""
"""Steps with their runs."""


def _if_number(sql: str) -> str:
    """A text where it is a whole number, else null: one odd value must not break a view."""
    return (
        f"CASE WHEN TRIM({sql}, '0123456789') = '' AND LENGTH({sql}) BETWEEN 1 AND 9 THEN {sql} END"
    )


_THREADS = (
    "(step.args ->> 'threads')",
    "(run.trigger ->> 'threads_override')",
    "((run.job -> 'settings') ->> 'threads')",
)
THREADS = f"COALESCE({', '.join(map(_if_number, _THREADS))})"
TARGET = (
    "COALESCE((step.args ->> 'target'), (run.trigger ->> 'target_name_override'), "
    "((run.job -> 'settings') ->> 'target_name'))"
)
OF_WHICH = "Of the step's `args`, else of the run's `trigger`, else of its `job`"
STARTED = "When dbt began; before dbt 1.10, when its step did"
NO_INVOCATION = "run and step, with a dot between, where dbt left none"
PROFILE = "Of the step's `args`; where the command does not name it, not known: null"
SCHEMA = "Of the run's `trigger`; where it does not set it, not known: null"
