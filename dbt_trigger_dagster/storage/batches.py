"""Rows of one table that are made a batch at a time, so that all of them are never in memory."""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from dbt_trigger_dagster.storage.columns import ROWS_AT_ONCE, Rows, Table


@dataclass(frozen=True)
class Batches:
    """What is written as `Rows` are, from records that come from elsewhere than memory.

    Attributes:
        table: Whose rows they are.
        parts: The records by what tells them apart in their part; in the order of these, part
            after part, they are in the order of the table's primary key.
        values: What stands in the whole of some columns.
    """

    table: Table
    parts: Sequence[MutableMapping[Any, dict[str, Any]]]
    values: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def filled(self, **values: Any) -> "Batches":
        """The same rows with one value in the whole of each of some columns."""
        return replace(self, values={**self.values, **values})

    def first(self, count: int) -> Rows:
        """The first rows."""
        return self._rows(islice(self._records(), count))

    def batches(self) -> Iterator[Rows]:
        """All rows, some at a time, in the order of their keys."""
        records = self._records()
        while len(rows := self._rows(islice(records, ROWS_AT_ONCE))):
            yield rows.distinct()

    def _records(self) -> Iterator[Mapping[str, Any]]:
        return (part[key] for part in self.parts for key in sorted(part))

    def _rows(self, records: Iterator[Mapping[str, Any]]) -> Rows:
        return self.table.rows(records).filled(**self.values)
