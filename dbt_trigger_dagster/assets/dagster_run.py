"""What Dagster does not show in its public names, in one place."""

from typing import Any

import dagster as dg
from dagster._core.definitions.metadata.metadata_value import ObjectMetadataValue


def carrying(value: object, text: str) -> dg.MetadataValue[Any]:
    """Definition metadata that shows a text, and carries an object within the process.

    What is serialized, for the UI and for the daemon, is the text alone.
    """
    return ObjectMetadataValue(text, instance=value)


def carried(metadata: object) -> object:
    """The object that definition metadata carries; None where it carries none."""
    return metadata.instance if isinstance(metadata, ObjectMetadataValue) else None
