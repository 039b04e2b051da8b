"""The room on the disks of this machine."""

import shutil
from pathlib import Path

ROOM = 16 * 2**20
"""Bytes that have to be free on a disk before a job is triggered."""


def shortage_of(folder: Path, room: int = ROOM) -> str:
    """How little room a folder's disk has, after the words "The disk"; empty where it has enough.

    Args:
        folder: A folder that is there.
        room: Bytes that have to be free.
    """
    disk = shutil.disk_usage(folder)
    return f"is full but for {disk.free} bytes" if disk.total and disk.free < room else ""
