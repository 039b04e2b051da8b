"""What is known of Dagster's own runs, asked of real ones: `make test-oldest` runs this as well."""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEventType, DagsterRunStatus
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus

from dbt_trigger_dagster.assets.dagster_run import (
    PARENT_TAG,
    Interruption,
    carried,
    carrying,
    config_of,
    events_of,
    has_begun_before,
    has_failed_by_itself,
    has_materialized,
    has_succeeded,
    is_ctrl_c,
    is_re_executed,
    is_switched_on,
    last_to_materialize,
    materialized_with,
    newest_evaluation,
    newest_metadata,
    re_executed,
    run_that_loads,
    sensors_with,
    tag,
    times_begun,
    why_interrupted,
)

pytestmark = pytest.mark.slow

LOG = logging.getLogger("step")


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance that keeps what happens in files."""
    home = tmp_path / "stored"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as made:
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


def test_whether_an_assets_step_has_succeeded_is_told_by_its_end(
    instance: dg.DagsterInstance,
) -> None:
    """Not by the materialization, which comes before; with and without a prefix."""

    @dg.asset(key=["nightly", "good"])
    def good() -> None:
        """Nothing."""

    @dg.asset
    def bad() -> Iterator[dg.Output[None]]:
        yield dg.Output(None)
        raise RuntimeError

    result = dg.materialize([good, bad], instance=instance, raise_on_error=False)
    run = result.dagster_run
    assert has_materialized(instance, run, bad.key)
    assert [has_succeeded(instance, run, each.key) for each in (good, bad)] == [True, False]


def test_a_step_tags_its_run(instance: dg.DagsterInstance) -> None:
    """Beside the tags that it has; a run is found by them."""
    result, _ = seen_in_a_step(instance, lambda context: tag(context, {"us/color": "red"}))
    (found,) = instance.get_runs(dg.RunsFilter(tags={"us/color": "red"}))
    assert found.run_id == result.run_id


def test_the_metadata_of_a_runs_materialization_are_known(instance: dg.DagsterInstance) -> None:
    """As they were given; of another asset, and of another run, there are none."""

    @dg.asset
    def shown() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"number": 7, "name": "seven"})

    result = dg.materialize([shown], instance=instance)
    found = materialized_with(instance, result.run_id, shown.key)
    assert {"number": 7, "name": "seven"}.items() <= found.items()
    assert materialized_with(instance, result.run_id, dg.AssetKey("other")) == {}
    assert materialized_with(instance, "unknown", shown.key) == {}


def test_the_run_that_has_last_materialized_an_asset_is_known(
    instance: dg.DagsterInstance,
) -> None:
    """Whatever somebody has reported since, which is of no run."""

    @dg.asset
    def shown() -> None:
        """An asset."""

    reported = dg.AssetMaterialization(shown.key)
    assert last_to_materialize(instance, shown.key) is None
    instance.report_runless_asset_event(reported)
    assert last_to_materialize(instance, shown.key) is None
    runs = [dg.materialize([shown], instance=instance).run_id for _ in range(2)]
    assert last_to_materialize(instance, shown.key) == runs[-1]
    instance.report_runless_asset_event(reported)
    assert last_to_materialize(instance, shown.key) == runs[-1]


CARRIED = ("a", "b")


@dg.sensor(job_name="watched", metadata={"test/carried": carrying(CARRIED, "a and b")})
def watching(_: dg.SensorEvaluationContext) -> None:
    """Is off, as sensors are by default."""


@dg.sensor(job_name="watched", default_status=dg.DefaultSensorStatus.RUNNING)
def unmarked(_: dg.SensorEvaluationContext) -> None:
    """Is on, and carries nothing."""


SEEN: list[Any] = []


@dg.op
def look_around(context: dg.OpExecutionContext) -> None:
    """Note the sensors of the code location."""
    found = sensors_with(SimpleNamespace(op_execution_context=context), "test/carried")
    SEEN.append(None if found is None else [(sensor.name, value) for sensor, value in found])


@dg.job(executor_def=dg.in_process_executor)
def watched() -> None:
    """A job of a code location, where it is loaded as one."""
    look_around()


@dg.repository
def location() -> list[Any]:
    """A code location."""
    return [watched, watching, unmarked]


def test_a_step_knows_the_sensors_of_its_code_location(instance: dg.DagsterInstance) -> None:
    """With what they carry; a job that is executed by itself is of one without any."""
    SEEN.clear()
    pointer = ReconstructableRepository.for_module(__name__, "location")
    assert dg.execute_job(pointer.get_reconstructable_job("watched"), instance).success
    assert dg.execute_job(dg.reconstructable(watched), instance).success
    assert SEEN == [[("watching", CARRIED)], []]


def test_a_step_of_no_code_location_knows_of_no_sensors(instance: dg.DagsterInstance) -> None:
    """Nobody can say whether there are any."""
    SEEN.clear()
    assert watched.execute_in_process(instance=instance).success
    assert SEEN == [None]


def test_a_sensor_is_on_by_its_default_where_nobody_did_anything(
    instance: dg.DagsterInstance, stored: dg.DagsterInstance
) -> None:
    """Also where the instance keeps nothing."""
    for each in (instance, stored):
        assert not is_switched_on(each, watching)
        assert is_switched_on(each, unmarked)


def test_a_sensor_is_on_by_what_people_last_did(stored: dg.DagsterInstance) -> None:
    """Whatever its default."""
    for status in (InstigatorStatus.RUNNING, InstigatorStatus.STOPPED):
        for sensor in (watching, unmarked):
            origin = origin_of(sensor)
            state = InstigatorState(origin, InstigatorType.SENSOR, status)
            if stored.get_instigator_state(origin.get_id(), state.selector_id) is None:
                stored.add_instigator_state(state)
            else:
                stored.update_instigator_state(state)
            assert is_switched_on(stored, sensor) is (status is InstigatorStatus.RUNNING)


def origin_of(sensor: dg.SensorDefinition) -> RemoteInstigatorOrigin:
    """What a sensor is called by Dagster's daemon."""
    place = RegisteredCodeLocationOrigin("here")
    return RemoteInstigatorOrigin(RemoteRepositoryOrigin(place, "location"), sensor.name)


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


def test_a_steps_own_process_gets_dagsters_signals_and_no_ctrl_c(
    tmp_path: Path, stored: dg.DagsterInstance
) -> None:
    """The multiprocess executor passes the end of a worker on as SIGINT."""
    file = tmp_path / "told"
    result = dg.execute_job(
        dg.reconstructable(in_processes),
        stored,
        run_config={"ops": {"tell_of_ctrl_c": {"config": str(file)}}},
    )
    assert result.success
    assert file.read_text() == "False"


ORDERS = dg.AssetKey("orders")
CHECK = dg.AssetCheckKey(ORDERS, "unique")


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
