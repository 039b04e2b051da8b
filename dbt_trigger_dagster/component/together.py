"""Several files of one code location, and what they may not both say.

Dagster would refuse most of it too, without the files: it sees assets and resources only.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from dbt_trigger_dagster.component.component import DbtCloudJobsComponent
    from dbt_trigger_dagster.component.yaml_document import Keys

_ALIKE = {
    "workspace": "a code location has one account: say the same in both, or only in one. Another "
    "account needs another code location.",
    "storage": "a code location has one storage: say the same in both, or only in one.",
}

_ONE_FOR_ALL = ("monitor", "retention")


def check_together(components: Sequence["DbtCloudJobsComponent"]) -> None:
    """Refuse files that do not go together.

    Raises:
        DagsterInvalidDefinitionError: Two have the same key, other accounts or storages, or both a
            monitor or a retention; the message names both places.
    """
    _check_keys(components)
    for section, sentence in _ALIKE.items():
        (first, said), *others = _that_say(components, section) or [(None, None)]
        for place, value in others:
            if value != said:
                raise _refused(place, section, f"is not that of {first}; {sentence}")
    for section in _ONE_FOR_ALL:
        said_by = [place for place, _ in _that_say(components, section)]
        if len(said_by) > 1:
            raise _refused(
                said_by[1],
                section,
                f"there is one at {said_by[0]}, which serves all jobs of the code location: leave "
                "one of them out.",
            )


def _check_keys(components: Sequence["DbtCloudJobsComponent"]) -> None:
    seen: dict[str, str | None] = {}
    for component in components:
        for position, job in enumerate(component.jobs):
            keys: Keys = ("jobs", position, *(["key"] if job.key else []))
            place, name = component.place_of(*keys), job.assets[0].op.name
            if name in seen:
                what = ".".join(map(str, keys))
                sentence = f"the job at {seen[name]} has the same key: give each a key of its own."
                raise _refused(place, what, sentence)
            seen[name] = place


def _that_say(
    components: Sequence["DbtCloudJobsComponent"], section: str
) -> list[tuple[str | None, Any]]:
    """The places that have a section, each with what it says."""
    return [
        (component.place_of(section), getattr(component, section))
        for component in components
        if getattr(component, section) is not None
    ]


def _refused(place: str | None, what: str, sentence: str) -> dg.DagsterInvalidDefinitionError:
    return dg.DagsterInvalidDefinitionError(f"{place}: {what}: {sentence}")
