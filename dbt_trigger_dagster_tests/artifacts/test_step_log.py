"""What logs say of nodes, in the shapes that dbt and Fusion write them."""

import re
from datetime import datetime, timezone
from typing import Any

import pytest

from dbt_trigger_dagster.artifacts.step_log import read_log
from dbt_trigger_dagster.dbt_cloud.text import lines

_NODES = {
    "model.shop.orders": {
        "resource_type": "model",
        "name": "orders",
        "database": "db",
        "schema": "main",
        "alias": "orders",
    },
    "seed.shop.raw": {"resource_type": "seed", "name": "raw", "schema": "main", "alias": "raw"},
    "test.shop.unique_id.1": {"resource_type": "test", "name": "unique_id"},
    "unit_test.shop.orders.adds_up": {
        "resource_type": "unit_test",
        "name": "adds_up",
        "attached_node": "model.shop.orders",
    },
    "source.shop.crm.people": {
        "resource_type": "source",
        "name": "people",
        "source_name": "crm",
    },
}


def _read(text) -> list[dict[str, Any]]:
    return list(read_log(lines(text), _NODES))


_CORE = r"""
model.shop.orders       | success | OK created sql view model main.orders .. [{32}OK{0} in 0.30s]
model.shop.orders       | success | OK created sql table model main.orders [CREATE TABLE (10.0 rows, 3 MiB processed) in 2.3s]
model.shop.orders       | success | OK created sql table model db.main.orders . [SUCCESS 1 in 1.1s]
model.shop.orders       | error   | ERROR creating sql view model main.orders [{31}ERROR{0} in 0.05s]
model.shop.orders       | skipped | SKIP relation main.orders . [{33}SKIP{0}]
model.shop.orders       | skipped | SKIP relation main.orders due to ephemeral model status 'error' [ERROR SKIP]
model.shop.orders       | partial success | PARTIAL SUCCESS (2/3) creating sql microbatch model main.orders [PARTIAL SUCCESS (2/3) in 1s]
seed.shop.raw           | success | OK loaded seed file main.raw . [INSERT 3 in 0.57s]
seed.shop.raw           | error   | ERROR loading seed file main.raw . [ERROR in 0.57s]
test.shop.unique_id.1   | pass    | PASS unique_id . [PASS in 0.07s]
test.shop.unique_id.1   | fail    | FAIL 2 unique_id . [FAIL 2 in 0.07s]
test.shop.unique_id.1   | warn    | WARN 1 unique_id . [WARN 1 in 0.07s]
test.shop.unique_id.1   | error   | ERROR unique_id . [ERROR in 0.07s]
test.shop.unique_id.1   | skipped | SKIP test unique_id . [SKIP]
unit_test.shop.orders.adds_up | pass | PASS orders::adds_up . [PASS in 0.5s]
unit_test.shop.orders.adds_up | fail | FAIL 1 orders::adds_up . [FAIL 1 in 0.5s]
unit_test.shop.orders.adds_up | skipped | SKIP unit_test adds_up . [SKIP]
source.shop.crm.people  | runtime error | ERROR freshness of crm.people . [ERROR in 0.06s]
source.shop.crm.people  | error   | ERROR STALE freshness of crm.people . [ERROR STALE in 0.06s]
source.shop.crm.people  | warn    | WARN freshness of crm.people . [WARN in 0.06s]
operation.shop.shop-on-run-end-0 | success | OK hook: shop.on-run-end.0 . [OK in 0.1s]
operation.shop.shop-on-run-start-1 | error | ERROR hook: shop.on-run-start.1 . [ERROR in 0.1s]
model.?.unknown         | success | OK created sql view model other.unknown . [OK in 0.1s]
"""  # noqa: E501  # lines of logs are as long as they are


@pytest.mark.parametrize("case", _CORE.strip().splitlines())
@pytest.mark.parametrize(
    "stamp",
    [
        "\x1b[0m06:58:58  ",
        "06:58:58.906232 [info ] [Thread-1 (]: ",
        "2026-05-28 06:58:58.906232 (Thread-1): 06:58:58  ",
        "",
    ],
)
def test_a_line_tells_of_a_node(stamp, case) -> None:
    """With colours and without, of the log and of the debug log, or with no time at all."""
    unique_id, status, line = map(str.strip, case.split("|"))
    line = re.sub(r"\{(\d+)\}", "\x1b[\\1m", line)
    (record,) = _read(f"{stamp}3 of 40 {line}")
    assert (record["unique_id"], record["status"]) == (unique_id, status)
    assert record["source"] == "log"


@pytest.mark.parametrize(
    ("line", "unique_id", "status", "seconds"),
    [
        (" Succeeded [  3.18s] model  main.orders (view)", "model.shop.orders", "success", 3.18),
        ("    Failed [  0.52s] model  main.orders (table)", "model.shop.orders", "error", 0.52),
        ("    Failed [  0.52s] test   main.unique_id", "test.shop.unique_id.1", "fail", 0.52),
        ("    Passed [  0.52s] test   main.unique_id", "test.shop.unique_id.1", "pass", 0.52),
        ("    Warned [  0.52s] test   main.unique_id", "test.shop.unique_id.1", "warn", 0.52),
        ("   Skipped [-------] model  main.orders (table)", "model.shop.orders", "skipped", None),
        ("    Reused [  0.01s] model  main.orders (table)", "model.shop.orders", "reused", 0.01),
    ],
)
def test_fusions_lines_tell_of_nodes(line, unique_id, status, seconds) -> None:
    """These are made by hand, after its documents."""
    (record,) = _read(line)
    assert (record["unique_id"], record["status"]) == (unique_id, status)
    assert record["execution_time"] == seconds


@pytest.mark.parametrize("time", ["24:00:00", "06:60:00", "75:10:00"])
def test_what_is_no_time_of_a_day_is_none(time) -> None:
    """Fusion's lines have no time of their own, but may have a duration, or anything else."""
    line = f"Failed [{time}] model main.orders (view)"
    (record,) = read_log([line], {}, started_at=datetime(2026, 5, 28, 6, tzinfo=timezone.utc))
    assert (record["status"], record["execute_completed_at"]) == ("error", None)


@pytest.mark.parametrize(
    "line",
    [
        "06:58:58  Batch 1 of 3 OK created batch 2026-01-01 of main.orders [OK in 0.1s]",
        "06:58:58  Done. PASS=1 WARN=0 ERROR=0 SKIP=0 TOTAL=1",
        "06:58:58  Found 40 models, 3 of 4 something [x]",
        "06:58:58  1 of 2 OK",
        "",
    ],
)
def test_other_lines_tell_of_none(line) -> None:
    """Batches are of a model that has a line of its own."""
    assert _read(line) == []


@pytest.mark.usefixtures("an_end_to_waiting")
@pytest.mark.parametrize("beginning", ["1 of 2 OK created sql view model a", "Failed [", ""])
@pytest.mark.parametrize("filling", [" ", " .", "[", "x ", "1 of 2 OK ", "1 of 2 OK ["])
def test_a_line_of_any_length_is_read_at_once(beginning, filling) -> None:
    """A log may have in it whatever a warehouse or a macro prints."""
    assert list(read_log([beginning + filling * 200_000 + "x"], {})) == []


def test_a_node_that_was_begun_and_not_ended_was_being_worked_on() -> None:
    """It is started, from the time of its line on, on the day of its step."""
    log = """
23:59:59  1 of 2 START sql view model main.orders [RUN]
00:00:01  1 of 2 OK created sql view model main.orders [OK in 2s]
00:00:02  2 of 2 START test unique_id [RUN]
"""
    midnight = datetime(2026, 5, 28, tzinfo=timezone.utc)
    started_at = midnight.replace(hour=23, minute=50)
    done, running = read_log(lines(log), _NODES, started_at=started_at)
    assert done["status"] == "success"
    assert done["execute_started_at"] == midnight.replace(hour=23, minute=59, second=59)
    assert done["execute_completed_at"] == datetime(2026, 5, 29, 0, 0, 1, tzinfo=timezone.utc)
    assert (running["unique_id"], running["status"]) == ("test.shop.unique_id.1", "started")
    assert running["execute_completed_at"] is None


def test_hooks_and_nodes_are_numbered_apart() -> None:
    """A number that comes again is of another node."""
    log = """
    1 of 1 START hook: shop.on-run-start.0 [RUN]
    1 of 1 OK hook: shop.on-run-start.0 [OK in 0.1s]
    1 of 1 START sql view model main.orders [RUN]
    1 of 1 OK created sql view model main.orders [OK in 0.1s]
    """
    assert [record["resource_type"] for record in _read(log)] == ["operation", "model"]


def test_the_end_of_a_log_says_why() -> None:
    """Of a model what the warehouse said, of a test what it found; not what comes behind."""
    log = """
06:58:58  1 of 2 ERROR creating sql table model main.orders [ERROR in 0.1s]
06:58:59  2 of 2 FAIL 2 unique_id [FAIL 2 in 0.1s]
06:59:00  Completed with 2 errors, 0 partial successes, and 0 warnings:
06:59:00  \x1b[31mFailure in model orders (models/orders.sql)\x1b[0m
06:59:00    Runtime Error in model orders (models/orders.sql)
  Binder Error: no such column
  LINE 1: select x
06:59:00
06:59:00    compiled code at target/compiled/shop/models/orders.sql
06:59:00
06:59:00  Failure in test unique_id (models/orders.yml)
06:59:00    Got 2 results, configured to fail if != 0
06:59:00
06:59:00  Done. PASS=0 WARN=0 ERROR=2 SKIP=0 TOTAL=2
dbt command failed
"""
    model, test = _read(log)
    assert model["message"] == (
        "Runtime Error in model orders (models/orders.sql)\n  Binder Error: no such column\n"
        "  LINE 1: select x"
    )
    assert test["message"] == "Got 2 results, configured to fail if != 0"
    assert test["failures"] == 2
