"""The runs of the corpus: what each does, and what is known of it before it is read.

What is known is written down here by hand, from what the projects say: never copied from what the
package makes of the files. `make_corpus` compares it with dbt's own structured log as well.
"""

from dataclasses import dataclass, field

from dbt_trigger_dagster_tests.corpus import projects
from dbt_trigger_dagster_tests.corpus.projects import BASE, BROKEN, FAIL_FAST, SLOW, TESTS, without


@dataclass(frozen=True)
class Command:
    """One dbt command of a run.

    Attributes:
        text: As it stands in the job.
        known: What is known of its nodes: lines of ``status unique_id``.
        executed: Whether it executes nodes.
        source: Where the facts can be had: ``run_results``, or ``log`` where no file tells.
        kill_at: Kill dbt when this stands in its log.
        signal: How: 2 as a cancellation does, 9 as a machine that goes.
        keeps_target: Whether the step's files are stored.
    """

    text: str
    known: str = ""
    executed: bool = True
    source: str = "run_results"
    kill_at: str = ""
    signal: int = 2
    freshness: str = ""


@dataclass(frozen=True)
class Scenario:
    """One run.

    Attributes:
        name: Of its file.
        project: The project's files by name.
        commands: From the step after deps on; the first that fails ends the run.
        status: dbt Cloud's code for the end: 10, 20 or 30.
    """

    name: str
    project: dict[str, str]
    commands: tuple[Command, ...]
    status: int = 10
    before: tuple[str, ...] = field(default=())


_MODELS = """
success model.orders.stg_orders
success model.orders.orders
success model.orders.big_orders
"""
_SEED = "success seed.orders.raw_orders\n"
_SNAPSHOT = "success snapshot.orders.orders_snapshot\n"
_TESTS = """
pass test.orders.unique_orders_id.*
pass test.orders.not_null_orders_id.*
pass test.orders.not_null_big_orders_id.*
"""
_UNIT_TEST = "pass unit_test.orders.orders.amounts_are_doubled\n"
_ALL = _MODELS + _SEED + _SNAPSHOT + _TESTS + _UNIT_TEST
_COMPILED = """
success model.orders.stg_orders
success model.orders.orders
success model.orders.big_orders
success seed.orders.raw_orders
success snapshot.orders.orders_snapshot
success test.orders.unique_orders_id.*
success test.orders.not_null_orders_id.*
success test.orders.not_null_big_orders_id.*
"""
_SKIPPED_AFTER_ORDERS = """
skipped model.orders.big_orders
skipped snapshot.orders.orders_snapshot
skipped test.orders.unique_orders_id.*
skipped test.orders.not_null_orders_id.*
skipped test.orders.not_null_big_orders_id.*
"""
_STAGED = "success model.orders.stg_orders\n" + _SEED
_ORDERS_FAIL = "error model.orders.orders\n"

SCENARIOS = (
    Scenario(
        "build_with_docs",
        BASE,
        (Command("dbt build", _ALL), Command("dbt docs generate", _COMPILED, executed=False)),
    ),
    Scenario("compile_only", BASE, (Command("dbt compile", _COMPILED, executed=False),)),
    Scenario(
        "docs_by_command",
        BASE,
        (
            Command("dbt seed", _SEED),
            Command("dbt run", _MODELS),
            Command("dbt docs generate", _COMPILED, executed=False),
            Command("dbt test", _TESTS + _UNIT_TEST),
        ),
    ),
    Scenario(
        "unit_tests_pass",
        BASE,
        (
            Command(
                "dbt build --select +orders.orders",
                _STAGED
                + """
        success model.orders.orders
        pass unit_test.orders.orders.amounts_are_doubled
        pass test.orders.unique_orders_id.*
        pass test.orders.not_null_orders_id.*
    """,
            ),
        ),
    ),
    Scenario(
        "unit_tests_fail",
        {**BASE, **projects.UNIT_TESTS_FAIL},
        (
            Command(
                "dbt build",
                _STAGED
                + """
            fail unit_test.orders.orders.amounts_are_doubled
            skipped model.orders.orders
        """
                + _SKIPPED_AFTER_ORDERS,
            ),
        ),
        status=20,
    ),
    Scenario(
        "unit_tests_error",
        {**BASE, **BROKEN},
        (
            Command(
                "dbt build",
                _STAGED
                + _SKIPPED_AFTER_ORDERS
                + """
            error unit_test.orders.orders.amounts_are_doubled
            skipped model.orders.orders
        """,
            ),
        ),
        status=20,
    ),
    Scenario(
        "skipped",
        {**BASE, **BROKEN},
        (
            Command(
                "dbt build --exclude-resource-type unit_test",
                _STAGED + _ORDERS_FAIL + _SKIPPED_AFTER_ORDERS,
            ),
        ),
        status=20,
    ),
    Scenario(
        "models_fail",
        {**BASE, **BROKEN},
        (
            Command("dbt seed", _SEED),
            Command(
                "dbt run",
                "success model.orders.stg_orders\n"
                + _ORDERS_FAIL
                + "skipped model.orders.big_orders\n",
            ),
        ),
        status=20,
    ),
    Scenario(
        "tests_fail",
        TESTS,
        (
            Command(
                "dbt build",
                """
            success model.orders.numbers
            fail test.orders.unique_numbers_n.*
            warn test.orders.not_null_numbers_n.*
            pass test.orders.accepted_values_numbers_letter__a__c.*
            warn test.orders.not_null_numbers_letter.*
            error test.orders.broken_test
            fail test.orders.two_rows
        """,
            ),
        ),
        status=20,
    ),
    Scenario(
        "tests_warn",
        without(TESTS, "tests/broken_test.sql", "tests/two_rows.sql"),
        (
            Command("dbt run", "success model.orders.numbers"),
            Command(
                "dbt test --exclude unique_numbers_n",
                """
            warn test.orders.not_null_numbers_n.*
            pass test.orders.accepted_values_numbers_letter__a__c.*
            warn test.orders.not_null_numbers_letter.*
        """,
            ),
        ),
    ),
    Scenario(
        "fail_fast",
        FAIL_FAST,
        (
            Command(
                "dbt build --fail-fast",
                """
            success model.orders.a_fine
            error model.orders.b_broken
            skipped model.orders.c_child
            skipped model.orders.d_other
        """,
            ),
        ),
        status=20,
    ),
    Scenario(
        "on_run_end_fails",
        projects.FAILING_END,
        (
            Command(
                "dbt seed",
                _SEED
                + """
                success operation.orders.orders-on-run-start-0
                error operation.orders.orders-on-run-end-0
            """,
            ),
        ),
        status=20,
    ),
    Scenario(
        "on_run_start_fails",
        projects.FAILING_START,
        (
            Command(
                "dbt build",
                """
            error operation.orders.orders-on-run-start-0
            skipped model.orders.stg_orders
            skipped model.orders.orders
            skipped model.orders.scaled
            skipped seed.orders.raw_orders
            success operation.orders.orders-on-run-end-0
        """
                + _SKIPPED_AFTER_ORDERS,
            ),
        ),
        status=20,
    ),
    Scenario(
        "microbatch",
        projects.MICROBATCH,
        (
            Command(
                "dbt run --event-time-start 2026-01-01 --event-time-end 2026-01-04",
                """
            success model.orders.events
            success model.orders.batches
            success model.orders.after_batches
        """,
            ),
        ),
    ),
    Scenario(
        "microbatch_partial",
        projects.MICROBATCH,
        (
            Command(
                "dbt run --event-time-start 2026-01-01 --event-time-end 2026-01-04 "
                "--vars '{broken: true}'",
                """
            success model.orders.events
            partial success model.orders.batches
            skipped model.orders.after_batches
        """,
            ),
        ),
        status=20,
    ),
    Scenario(
        "snapshot",
        BASE,
        (
            Command(
                "dbt build --select +orders.orders --exclude-resource-type test unit_test",
                _STAGED + "success model.orders.orders\n",
            ),
            Command("dbt snapshot", _SNAPSHOT),
        ),
    ),
    Scenario(
        "seeds",
        {**BASE, "seeds/bad_seed.csv": "id,amount\n1,many\n"},
        (Command("dbt seed", _SEED + "error seed.orders.bad_seed\n"), Command("dbt run")),
        status=20,
    ),
    Scenario(
        "package",
        projects.PACKAGE,
        (
            Command(
                "dbt build --select package:shared daily",
                """
            success model.shared.calendar
            pass test.shared.not_null_calendar_day.*
            success model.orders.daily
        """,
            ),
        ),
    ),
    Scenario(
        "run_operation",
        projects.FRESHNESS,
        (
            Command("dbt run-operation fill", "success macro.orders.fill"),
            Command("dbt run-operation no_such_macro", source="log"),
        ),
        status=20,
    ),
    Scenario(
        "freshness",
        projects.FRESHNESS,
        (
            Command(
                "dbt source freshness",
                freshness="""
                pass source.orders.raw.fresh
                warn source.orders.raw.stale
                error source.orders.raw.rotten
                runtime error source.orders.raw.missing
            """,
            ),
            Command("dbt build", "success model.orders.from_fresh"),
        ),
        before=("run-operation fill",),
    ),
    Scenario(
        "retried",
        {**BASE, **BROKEN},
        (Command("dbt retry", _ORDERS_FAIL + _SKIPPED_AFTER_ORDERS),),
        status=20,
        before=("build --exclude-resource-type unit_test",),
    ),
    Scenario(
        "cancelled",
        SLOW,
        (
            Command(
                "dbt build",
                """
                success model.orders.a_quick
                pass test.orders.unique_a_quick_id.*
                started model.orders.b_slow
            """,
                source="log",
                kill_at="START sql table model main.b_slow",
            ),
        ),
        status=30,
    ),
    Scenario(
        "killed",
        SLOW,
        (
            Command("dbt run --select a_quick", "success model.orders.a_quick"),
            Command(
                "dbt build",
                """
                success model.orders.a_quick
                pass test.orders.unique_a_quick_id.*
                started model.orders.b_slow
            """,
                source="log",
                kill_at="START sql table model main.b_slow",
                signal=9,
            ),
        ),
        status=20,
    ),
    Scenario(
        "no_run_results",
        {**BASE, "models/orders.sql": "select * from {{ ref('nothing') }}\n"},
        (Command("dbt build", source="log"),),
        status=20,
    ),
    Scenario(
        "listed_and_shown",
        BASE,
        (
            Command("dbt parse", executed=False),
            Command("dbt list", executed=False),
            Command("dbt seed", _SEED),
            Command(
                "dbt show --select stg_orders", "success model.orders.stg_orders", executed=False
            ),
        ),
    ),
    Scenario(
        "no_op",
        projects.SEMANTIC,
        (
            Command(
                "dbt build --exclude resource_type:test",
                _MODELS
                + _SEED
                + _SNAPSHOT
                + _UNIT_TEST
                + """
            success model.orders.days
            no-op saved_query.orders.revenue_by_day
            no-op exposure.orders.dashboard
        """,
            ),
        ),
    ),
    Scenario(
        "versions_and_contracts",
        projects.VERSIONED,
        (
            Command(
                "dbt run --select people",
                """
                success model.orders.people.v1
                error model.orders.people.v2
            """,
            ),
        ),
        status=20,
    ),
    Scenario(
        "does_not_compile",
        without(
            projects.VERSIONED, "models/people.yml", "models/people_v1.sql", "models/people_v2.sql"
        ),
        (Command("dbt run --select undefined", "error model.orders.undefined"),),
        status=20,
    ),
    Scenario(
        "clone",
        BASE,
        (
            Command(
                "dbt clone --state before --target dev",
                """
            success model.orders.stg_orders
            success model.orders.orders
            success model.orders.big_orders
            success seed.orders.raw_orders
            success snapshot.orders.orders_snapshot
        """,
            ),
        ),
        before=("build", "build --target-path before"),
    ),
)
"""All runs."""
