"""What can go wrong where something is kept."""


class StorageError(Exception):
    """A table or an artifact cannot be read or written where it should be.

    Attributes:
        is_momentary: Whether it may heal by itself, as when a database starts anew.
    """

    is_momentary = False
