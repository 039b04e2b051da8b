"""What is known of Dagster's own runs, asked of real ones: `make test-oldest` runs this as well."""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEventType, DagsterRunStatus

from dbt_trigger_dagster.assets.dagster_run import (
    PARENT_TAG,
    Interruption,
    carried,
    carrying,
    config_of,
    events_of,
    has_begun_before,
    has_failed_by_itself,
    is_ctrl_c,
    is_re_executed,
    re_executed,
    run_that_loads,
    tag,
    times_begun,
    why_interrupted,
)

pytestmark = pytest.mark.slow

LOG = logging.getLogger("step")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance of its own."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def seen_in_a_step(
    instance: dg.DagsterInstance, look: Callable[[dg.AssetExecutionContext], Any]
) -> tuple[dg.ExecuteInProcessResult, Any]:
    """What a step sees, with the run that it is a step of."""
    seen = []

    @dg.asset
    def looking(context: dg.AssetExecutionContext) -> None:
        seen.append(look(context))

    result = dg.materialize([looking], instance=instance)
    return result, seen[0]


class Policy(dg.Config):
    """The config of another op."""

    wait: int = 1
    place: str = "here"


@dg.asset
def other(config: Policy) -> None:
    """Is configured."""


def test_another_steps_config_is_what_that_step_gets(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the job sets counts, and the environment's values; an op that is not there has none."""
    monkeypatch.setenv("PLACE_OF_A_TEST", "there")
    seen = []

    @dg.asset
    def looking(context: dg.AssetExecutionContext) -> None:
        seen.append((config_of(context, "other"), config_of(context, "unknown")))

    config = {"ops": {"other": {"config": {"wait": 7, "place": {"env": "PLACE_OF_A_TEST"}}}}}
    job = dg.Definitions(
        assets=[looking, other], jobs=[dg.define_asset_job("both", config=config)]
    ).resolve_job_def("both")
    assert job.execute_in_process(instance=instance).success
    assert seen == [({"wait": 7, "place": "there"}, {})]


def test_a_step_that_dagster_retries_has_begun_before(instance: dg.DagsterInstance) -> None:
    """Its number of retries says so: Dagster logs no second start."""
    seen = []

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
    def looking(context: dg.AssetExecutionContext) -> None:
        seen.append((times_begun(context), has_begun_before(context)))
        if len(seen) == 1:
            raise RuntimeError("try again")

    assert dg.materialize([looking], instance=instance).success
    assert seen == [(1, False), (1, True)]


def test_a_step_that_another_worker_begins_has_begun_before(instance: dg.DagsterInstance) -> None:
    """As where the process of a run was killed and the run is started anew."""

    def look(context: dg.AssetExecutionContext) -> tuple[int, bool]:
        instance.report_dagster_event(
            dg.DagsterEvent(
                event_type_value=DagsterEventType.STEP_START.value,
                job_name=context.run.job_name,
                step_key="looking",
            ),
            context.run.run_id,
        )
        return times_begun(context), has_begun_before(context)

    _, seen = seen_in_a_step(instance, look)
    assert seen == (2, True)


@dg.op
def fails() -> None:
    """Fail in whatever run."""
    raise dg.Failure("This is what it does.")


@dg.job(executor_def=dg.in_process_executor)
def failing() -> None:
    """A job that can be executed again."""
    fails()


def test_the_chain_of_runs_that_execute_one_again(instance: dg.DagsterInstance) -> None:
    """From the last back to the first; a run whose successor is there knows that."""
    first = dg.execute_job(dg.reconstructable(failing), instance)
    second = dg.execute_job(
        dg.reconstructable(failing),
        instance,
        reexecution_options=dg.ReexecutionOptions.from_failure(first.run_id, instance),
    )
    third = dg.execute_job(
        dg.reconstructable(failing),
        instance,
        reexecution_options=dg.ReexecutionOptions(second.run_id),
    )
    chain = [instance.get_run_by_id(each.run_id) for each in (third, second, first)]
    assert list(re_executed(instance, chain[0])) == chain
    assert [is_re_executed(instance, run) for run in chain] == [False, True, True]


def test_a_run_that_is_tagged_as_another_ones_parent_is_executed_again(
    instance: dg.DagsterInstance,
) -> None:
    """As the UI and Dagster's own retries tag it, whatever other runs there are."""
    first = instance.add_run(dg.DagsterRun(job_name="nightly"))
    instance.add_run(dg.DagsterRun(job_name="another", tags={PARENT_TAG: first.run_id}))
    assert is_re_executed(instance, first)


def test_a_chain_ends_where_a_run_has_been_deleted(instance: dg.DagsterInstance) -> None:
    """Nobody can tell what came before it."""
    run = dg.DagsterRun(job_name="job", parent_run_id="gone", root_run_id="gone")
    assert list(re_executed(instance, run)) == [run]


def test_events_come_in_their_order_and_of_their_kinds(instance: dg.DagsterInstance) -> None:
    """Whatever else the run has had."""

    def look(context: dg.AssetExecutionContext) -> None:
        for name in ("one", "two"):
            context.log_event(dg.AssetObservation(dg.AssetKey(name)))

    result, _ = seen_in_a_step(instance, look)
    kinds = (DagsterEventType.ASSET_OBSERVATION, DagsterEventType.ASSET_MATERIALIZATION)
    events = events_of(instance, result.run_id, *kinds)
    assert [event.asset_key and event.asset_key.to_user_string() for event in events] == [
        "one",
        "two",
        "looking",
    ]
    assert events_of(instance, "unknown", *kinds) == []


@pytest.mark.parametrize(
    ("error", "by_itself"),
    [(dg.Failure("I cannot."), True), (RuntimeError("killed"), False)],
    ids=["a failure", "another error"],
)
def test_a_failure_that_a_step_raises_is_its_own(
    instance: dg.DagsterInstance, error: Exception, *, by_itself: bool
) -> None:
    """All else came over it."""

    @dg.asset
    def failing_asset() -> None:
        raise error

    result = dg.materialize([failing_asset], instance=instance, raise_on_error=False)
    (failure,) = events_of(instance, result.run_id, DagsterEventType.STEP_FAILURE)
    assert has_failed_by_itself(failure) is by_itself


def test_a_step_tags_its_run(instance: dg.DagsterInstance) -> None:
    """Beside the tags that it has; a run is found by them."""
    result, _ = seen_in_a_step(instance, lambda context: tag(context, {"us/color": "red"}))
    (found,) = instance.get_runs(dg.RunsFilter(tags={"us/color": "red"}))
    assert found.run_id == result.run_id


class Shelf(dg.IOManager):
    """Notes who loads."""

    def __init__(self) -> None:
        self.loaded_by: list[str] = []

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Keep nothing."""

    def load_input(self, context: dg.InputContext) -> None:
        """Note the run."""
        run = run_that_loads(context)
        self.loaded_by.append(run.run_id if run is not None else "nobody")


def test_the_run_that_loads_an_input_is_known(instance: dg.DagsterInstance) -> None:
    """A context that a test has built is of no run."""
    shelf = Shelf()

    @dg.asset
    def first() -> None:
        pass

    @dg.asset
    def second(first: object) -> None:
        pass

    result = dg.materialize([first, second], instance=instance, resources={"io_manager": shelf})
    shelf.load_input(dg.build_input_context())
    assert shelf.loaded_by == [result.run_id, "nobody"]


def test_definition_metadata_carries_an_object_and_shows_a_text() -> None:
    """The object comes back as it is; what the UI and the daemon get is the text alone."""
    value = object()

    @dg.asset(metadata={"job": carrying(value, "nightly")})
    def described() -> None:
        pass

    (metadata,) = described.metadata_by_key.values()
    assert carried(metadata["job"]) is value
    assert carried("nightly") is None
    spec = dg.Definitions(assets=[described]).resolve_asset_graph().get(described.key)
    shown = spec.metadata["job"]
    assert dg.deserialize_value(dg.serialize_value(shown)).value == "nightly"
    assert carried(dg.deserialize_value(dg.serialize_value(shown))) is None


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (DagsterRunStatus.CANCELING, Interruption.TERMINATED),
        (DagsterRunStatus.CANCELED, Interruption.TERMINATED),
        (DagsterRunStatus.STARTED, Interruption.DRAINED),
        (DagsterRunStatus.FAILURE, Interruption.DRAINED),
    ],
)
def test_the_reason_of_an_interruption_is_stored_with_the_run(
    instance: dg.DagsterInstance, status: DagsterRunStatus, why: Interruption
) -> None:
    """A person's wish is; without one it is the end of a worker."""
    run = instance.add_run(dg.DagsterRun(job_name="nightly", status=status))
    assert why_interrupted(instance, run.run_id, ctrl_c=False, log=LOG) is why
    assert why_interrupted(instance, run.run_id, ctrl_c=True, log=LOG) is Interruption.CTRL_C


def test_terminate_is_the_reason_before_its_signal_comes(instance: dg.DagsterInstance) -> None:
    """Dagster's own way to terminate a run."""
    run = instance.add_run(dg.DagsterRun(job_name="nightly", status=DagsterRunStatus.STARTED))
    instance.report_run_canceling(run)
    assert why_interrupted(instance, run.run_id, ctrl_c=False, log=LOG) is Interruption.TERMINATED


def test_where_nobody_can_say_why_it_is_nobodys_wish(caplog: pytest.LogCaptureFixture) -> None:
    """A database that is down, and a run that is not stored any more."""
    gone: Any = None
    assert why_interrupted(gone, "run", ctrl_c=False, log=LOG) is Interruption.DRAINED
    assert "Dagster cannot say" in caplog.text


def test_only_a_wish_is_a_wish() -> None:
    """The end of a worker says nothing of what people want."""
    wishes = {why for why in Interruption if why.is_a_wish}
    assert wishes == {Interruption.TERMINATED, Interruption.CTRL_C}


def test_ctrl_c_is_told_from_other_signals_in_a_process_of_its_own() -> None:
    """SIGINT alone, where nobody passes it on."""
    assert is_ctrl_c(signal.SIGINT)
    assert not is_ctrl_c(signal.SIGTERM)


@dg.op(config_schema=str)
def tell_of_ctrl_c(context: dg.OpExecutionContext) -> None:
    """Write down what this process takes for Ctrl-C."""
    os.dup2(
        os.open(os.devnull, os.O_RDONLY), 0
    )  # no terminal can have sent it, wherever the tests run
    Path(context.op_config).write_text(str(is_ctrl_c(signal.SIGINT)))


@dg.job
def in_processes() -> None:
    """Each step in a process of its own, as it is by default."""
    tell_of_ctrl_c()


def test_a_steps_own_process_gets_dagsters_signals_and_no_ctrl_c(tmp_path: Path) -> None:
    """The multiprocess executor passes the end of a worker on as SIGINT."""
    file = tmp_path / "told"
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as stored:
        result = dg.execute_job(
            dg.reconstructable(in_processes),
            stored,
            run_config={"ops": {"tell_of_ctrl_c": {"config": str(file)}}},
        )
    assert result.success
    assert file.read_text() == "False"
