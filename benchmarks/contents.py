"""Artifacts whose bytes both ends can make, so that what arrived can be compared."""

import hashlib


def distinct_content(index: int, size: int) -> bytes:
    """Bytes that look random and are the same wherever they are made."""
    return hashlib.shake_128(str(index).encode()).digest(size)


def artifact_path(index: int) -> str:
    """The path of an artifact."""
    return f"compiled/{index:04}.bin"
