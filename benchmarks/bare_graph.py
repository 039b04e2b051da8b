"""The least that Dagster does for three assets: a chain of empty ones in one process."""

import dagster as dg


@dg.asset
def first() -> None:
    """Nothing."""


@dg.asset(deps=[first])
def second() -> None:
    """Nothing, after the first."""


@dg.asset(deps=[second])
def third() -> None:
    """Nothing, after the second."""


defs = dg.Definitions(assets=[first, second, third], executor=dg.in_process_executor)
