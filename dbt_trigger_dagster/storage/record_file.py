"""Records by their keys, in a temporary file: however many there are, memory is for their keys."""

import os
import pickle  # our own records, written a moment ago
import tempfile
import weakref
from collections.abc import Hashable, Iterator, MutableMapping
from typing import Any, TypeVar

_IN_MEMORY = 1 << 20
"""Bytes from which on there is a file at all."""

_Key = TypeVar("_Key", bound=Hashable)


class RecordFile(MutableMapping[_Key, dict[str, Any]]):
    """A mapping whose values are not kept in memory.

    What is taken out of it is a copy: a record that is changed has to be put in again.

    Raises:
        OSError: The temporary folder has no room for more.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  # see below
        self._places: dict[_Key, int] = {}
        weakref.finalize(self, self._file.close)

    def __getitem__(self, key: _Key) -> dict[str, Any]:
        self._file.seek(self._places[key])
        record: dict[str, Any] = pickle.load(self._file)  # noqa: S301  # see above
        return record

    def __setitem__(self, key: _Key, record: dict[str, Any]) -> None:
        self._file.seek(0, os.SEEK_END)
        self._places[key] = self._file.tell()
        pickle.dump(record, self._file, pickle.HIGHEST_PROTOCOL)

    def __delitem__(self, key: _Key) -> None:
        del self._places[key]

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[_Key]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
