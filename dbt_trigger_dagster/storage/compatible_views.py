"""Which packages' tables there can be as views."""

from collections.abc import Iterable, Mapping, Sequence

from dbt_trigger_dagster.storage.dbt_artifacts_views import DBT_ARTIFACTS, LIKE_DBT_ARTIFACTS
from dbt_trigger_dagster.storage.elementary_views import ELEMENTARY, LIKE_ELEMENTARY
from dbt_trigger_dagster.storage.view import View

COMPATIBLE_VIEWS: Mapping[str, Sequence[View]] = {
    DBT_ARTIFACTS: LIKE_DBT_ARTIFACTS,
    ELEMENTARY: LIKE_ELEMENTARY,
}
"""The views like a package's tables, by its name."""


def views_like(packages: Iterable[str]) -> list[View]:
    """The views like some packages' tables."""
    return [view for package in dict.fromkeys(packages) for view in COMPATIBLE_VIEWS[package]]
