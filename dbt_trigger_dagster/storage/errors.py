"""What can go wrong where something is kept."""


class StorageError(Exception):
    """A table or an artifact cannot be read or written where it should be."""
