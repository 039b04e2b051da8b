"""What Dagster has stored of events, asked of a real instance: `make test-oldest` runs this too."""

from collections.abc import Iterator

import dagster as dg
import pytest

from dbt_trigger_dagster.assets.dagster_events import newest_evaluation, newest_metadata

pytestmark = pytest.mark.slow

ORDERS = dg.AssetKey("orders")
CHECK = dg.AssetCheckKey(ORDERS, "unique")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance of its own."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def report(instance: dg.DagsterInstance, number: int) -> None:
    """A materialization and a failed evaluation that have a number."""
    instance.report_runless_asset_event(dg.AssetMaterialization(ORDERS, metadata={"n": number}))
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=ORDERS, check_name="unique", passed=False, metadata={"n": number}
        )
    )


def test_the_newest_events_count(instance: dg.DagsterInstance) -> None:
    """Of assets and checks at once, however many are asked for."""
    for number in (1, 2):
        report(instance, number)
    keys = [*(dg.AssetKey(f"other_{each}") for each in range(1200)), ORDERS, CHECK]
    found = newest_metadata(instance, keys)
    assert {key: metadata["n"].value for key, metadata in found.items()} == {ORDERS: 2, CHECK: 2}
    evaluation = newest_evaluation(instance, CHECK)
    assert evaluation is not None
    assert (evaluation.passed, evaluation.metadata["n"].value) == (False, 2)


def test_what_was_never_reported_has_none(instance: dg.DagsterInstance) -> None:
    """Neither an asset nor a check, nor nothing at all."""
    assert newest_metadata(instance, [ORDERS, CHECK]) == {}
    assert newest_metadata(instance, []) == {}
    assert newest_evaluation(instance, CHECK) is None


def test_an_evaluation_that_is_only_planned_is_none(instance: dg.DagsterInstance) -> None:
    """As while somebody executes the check: the one before it counts."""
    report(instance, 1)

    @dg.multi_asset_check(specs=[dg.AssetCheckSpec("unique", asset=ORDERS)], can_subset=True)
    def looking(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        seen.append(
            (newest_evaluation(context.instance, CHECK), newest_metadata(instance, [CHECK]))
        )
        yield from ()

    seen: list[tuple[dg.AssetCheckEvaluation | None, object]] = []
    selection = dg.AssetSelection.checks(looking)
    assert dg.materialize([looking], instance=instance, selection=selection).success
    ((evaluation, _),) = seen
    assert evaluation is not None
    assert evaluation.metadata["n"].value == 1
