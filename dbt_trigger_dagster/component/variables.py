"""Environment variables that a file names: secrets are named, never written."""

import os
import re

from dbt_trigger_dagster.component.yaml_sections import ProblemError, Section

_TOKEN = re.compile(r"dbt[cu]_.*|[0-9A-Fa-f]{32,}", re.DOTALL)


def check_variables(section: Section, *names: str) -> None:
    """Refuse what cannot be the name of an environment variable, above all a token.

    Args:
        section: What has the fields.
        names: The fields; None is fine.

    Raises:
        ProblemError: It cannot. The value is not told: it may be a token.
    """
    for name in names:
        variable = getattr(section, name)
        if variable is not None and _TOKEN.fullmatch(variable):
            raise ProblemError("this looks like a token: give the name of a variable.", name)
        if variable is not None and not variable.isidentifier():
            raise ProblemError("this is not the name of an environment variable.", name)


def value_of(variable: str) -> str:
    """What a variable holds now, without the line's end of a mounted secret; empty if not set."""
    return os.environ.get(variable, "").strip()
