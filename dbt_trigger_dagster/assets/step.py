"""What every part of a step needs, as one value that is handed on."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import dagster as dg

from dbt_trigger_dagster.assets.config import DbtCloudRunConfig
from dbt_trigger_dagster.assets.dagster_run import tag
from dbt_trigger_dagster.assets.termination import Termination
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient


@dataclass(frozen=True)
class Step:
    """One execution of an op of ours.

    Attributes:
        client: The account's client.
        config: The wait policy and the artifact policy.
        termination: Guards what an interrupt must not lose.
        log: Where it tells what happens.
        tag: Tags its Dagster run.
        is_repeated: Whether Dagster executes the step again.
    """

    client: DbtCloudClient
    config: DbtCloudRunConfig
    termination: Termination
    log: logging.Logger
    tag: Callable[[Mapping[str, str]], None]
    is_repeated: bool

    @classmethod
    def of(
        cls,
        context: dg.AssetExecutionContext,
        client: DbtCloudClient,
        config: DbtCloudRunConfig,
        *,
        is_repeated: bool,
    ) -> "Step":
        """The step that a context is of."""
        termination = Termination(
            context.instance,
            context.run.run_id,
            cancel=config.cancel_on_termination,
            log=context.log,
        )
        return cls(client, config, termination, context.log, partial(tag, context), is_repeated)
