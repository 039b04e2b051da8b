"""The config class of an op of ours, with the defaults that the launchpad shows."""

from collections.abc import Callable
from copy import copy
from typing import Any, TypeVar

import dagster as dg
from pydantic import create_model

Settings = TypeVar("Settings", bound=dg.Config)
Function = TypeVar("Function", bound=Callable[..., Any])


def with_defaults(config_class: type[Settings], defaults: Settings | None) -> type[Settings]:
    """A config class that starts from these settings; all else is as in the class itself.

    So the launchpad shows them, and a run's config changes them one by one.
    """
    if defaults is None:
        return config_class
    fields: dict[str, Any] = {}
    for name, field in config_class.model_fields.items():
        changed = copy(field)
        changed.default = getattr(defaults, name)
        fields[name] = (field.annotation, changed)
    return create_model(
        config_class.__name__, __base__=config_class, __doc__=config_class.__doc__, **fields
    )


def configured_by(config_class: type[dg.Config]) -> Callable[[Function], Function]:
    """Tell Dagster a step's own config class, which a checker knows by its base."""

    def decorate(function: Function) -> Function:
        function.__annotations__["config"] = config_class
        return function

    return decorate
