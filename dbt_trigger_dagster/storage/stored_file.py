"""A file that is kept somewhere."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class StoredFile:
    """A file of a store, as its listing tells.

    Attributes:
        path: Relative to the store's root, with slashes.
        size_bytes: Its length.
        modified_at: When it was last written, in UTC.
    """

    path: str
    size_bytes: int
    modified_at: datetime
