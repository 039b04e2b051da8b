"""The dbt projects of the corpus, as files by name: small ones, each with something wrong."""

PROJECT = """
name: orders
version: "1.0"
profile: orders
flags:
  send_anonymous_usage_stats: false
models:
  orders:
    +tags: [nightly]
    +meta: {owner: finance@example.com}
seeds:
  orders:
    +column_types: {id: bigint, amount: double}
"""

PROFILES = """
orders:
  target: dev
  outputs:
    dev: {type: duckdb, path: "{{ env_var('CORPUS_DATABASE') }}", threads: 1}
"""

SOURCES = """
sources:
  - name: raw
    schema: main
    tables:
      - name: raw_orders
"""

MODELS = """
groups:
  - name: finance
    owner: {name: Finance, email: finance@example.com}
models:
  - name: orders
    description: One row an order
    config: {group: finance, materialized: table}
    columns:
      - name: id
        description: The order's id
        data_tests: [unique, not_null]
      - name: amount
  - name: big_orders
    columns:
      - name: id
        data_tests: [not_null]
unit_tests:
  - name: amounts_are_doubled
    model: orders
    given:
      - input: ref('stg_orders')
        rows: [{id: 1, amount: 2}]
    expect:
      rows: [{id: 1, amount: 4}]
"""

BASE = {
    "dbt_project.yml": PROJECT,
    "profiles.yml": PROFILES,
    "seeds/raw_orders.csv": "id,amount,ordered_at\n1,10,2026-01-01\n2,20,2026-01-02\n"
    "3,300,2026-01-03\n",
    "models/stg_orders.sql": "select id, amount, ordered_at::timestamp as ordered_at "
    "from {{ ref('raw_orders') }}\n",
    "models/scaled.sql": "{{ config(materialized='ephemeral') }}\n"
    "select id, amount / 100 as amount from {{ ref('orders') }}\n",
    "models/orders.sql": "select id, amount * 2 as amount from {{ ref('stg_orders') }}\n",
    "models/big_orders.sql": "{{ config(materialized='incremental', unique_key='id') }}\n"
    "select id, amount from {{ ref('scaled') }} where amount > 1\n",
    "models/models.yml": MODELS,
    "snapshots/orders_snapshot.yml": """
snapshots:
  - name: orders_snapshot
    relation: ref('orders')
    config: {strategy: check, unique_key: id, check_cols: [amount]}
""",
}
"""A seed, models of four materializations, a snapshot, tests and a unit test."""

BROKEN = {
    "models/orders.sql": "select id, amount * 2 as amount, no_such_column "
    "from {{ ref('stg_orders') }}\n",
}
"""The model `orders` fails in the database."""


def without(files: dict[str, str], *names: str) -> dict[str, str]:
    """A project without some of its files."""
    return {name: content for name, content in files.items() if name not in names}


TESTS = {
    "dbt_project.yml": PROJECT,
    "profiles.yml": PROFILES,
    "models/numbers.sql": "select 1 as n, 'a' as letter union all select 1, null "
    "union all select null, 'c'\n",
    "models/numbers.yml": """
models:
  - name: numbers
    columns:
      - name: n
        data_tests:
          - unique
          - not_null: {config: {severity: warn}}
      - name: letter
        data_tests:
          - accepted_values: {arguments: {values: [a, c]}}
          - not_null: {config: {severity: error, warn_if: ">0", error_if: ">5"}}
""",
    "tests/broken_test.sql": "select * from {{ ref('numbers') }} where no_such_column\n",
    "tests/two_rows.sql": "{{ config(store_failures=true) }}\n"
    "select * from {{ ref('numbers') }} where n = 1\n",
}
"""Tests that pass, warn, fail and cannot run."""

UNIT_TESTS_FAIL = {
    "models/models.yml": MODELS.replace("rows: [{id: 1, amount: 4}]", "rows: [{id: 1, amount: 5}]")
}
"""The unit test expects another amount than the model gives."""

FRESHNESS = {
    "dbt_project.yml": PROJECT,
    "profiles.yml": PROFILES,
    "macros/fill.sql": """
{% macro fill() %}
  {% for name, age in [('fresh', 1), ('stale', 30), ('rotten', 300)] %}
    {% do run_query("create or replace table " ~ name ~
      " as select (now() at time zone 'utc')::timestamp - interval '" ~ age
      ~ " hours' as loaded_at") %}
  {% endfor %}
  {% do run_query("create or replace table unknown (loaded_at timestamp)") %}
{% endmacro %}
""",
    "models/sources.yml": """
sources:
  - name: raw
    schema: main
    loaded_at_field: loaded_at
    config:
      freshness:
        warn_after: {count: 12, period: hour}
        error_after: {count: 48, period: hour}
    tables:
      - name: fresh
      - name: stale
      - name: rotten
      - name: missing
      - name: unchecked
        config: {freshness: null}
""",
    "models/from_fresh.sql": "select * from {{ source('raw', 'fresh') }}\n",
}
"""Sources that are fresh, old enough to warn, too old, and not there at all."""

MICROBATCH = {
    "dbt_project.yml": PROJECT,
    "profiles.yml": PROFILES,
    "models/events.sql": "{{ config(materialized='table', event_time='day') }}\n"
    "select * from (values (1, timestamp '2026-01-01'), (2, timestamp '2026-01-02'), "
    "(3, timestamp '2026-01-03')) as t(id, day)\n",
    "models/events.yml": "models: [{name: events, config: {event_time: day}}]\n",
    "models/batches.sql": "{{ config(materialized='incremental', "
    "incremental_strategy='microbatch', "
    "event_time='day', batch_size='day', begin='2026-01-01', lookback=0) }}\n"
    "select id, day{% if var('broken', false) %}, case when id = 2 then cast('x' || id as int) end "
    "as n{% endif %} from {{ ref('events') }}\n",
    "models/after_batches.sql": "select * from {{ ref('batches') }}\n",
}
"""A microbatch model; with the variable `broken` its second batch fails."""

PACKAGE = {
    **BASE,
    "packages.yml": "packages: [{local: shared}]\n",
    "shared/dbt_project.yml": "name: shared\nversion: '1.0'\nprofile: orders\n",
    "shared/models/calendar.sql": "select date '2026-01-01' as day\n",
    "shared/models/calendar.yml": "models: [{name: calendar, columns: [{name: day, "
    "data_tests: [not_null]}]}]\n",
    "models/daily.sql": "select day from {{ ref('shared', 'calendar') }}\n",
}
"""The project with a package beside it."""

SLOW = {
    "dbt_project.yml": PROJECT,
    "profiles.yml": PROFILES,
    "models/a_quick.sql": "select 1 as id\n",
    "models/b_slow.sql": "{{ config(materialized='table') }}\n-- {{ ref('a_quick') }}\n"
    "select sum(a.range + b.range) as n from range(4000000000) a, range(1000) b\n",
    "models/c_after.sql": "select * from {{ ref('b_slow') }}\n",
    "models/a_quick.yml": "models: [{name: a_quick, "
    "columns: [{name: id, data_tests: [unique]}]}]\n",
}
"""A model that nobody waits for, between quick ones."""

HOOKS = """
on-run-start: ["{{ start_hook() }}"]
on-run-end: ["{{ end_hook() }}"]
"""

FAILING_END = {
    **BASE,
    "dbt_project.yml": PROJECT + HOOKS,
    "macros/hooks.sql": "{% macro start_hook() %}select 1{% endmacro %}\n"
    "{% macro end_hook() %}select no_such_column{% endmacro %}\n",
}
"""All models are fine; the on-run-end hook is not."""

FAILING_START = {
    **FAILING_END,
    "dbt_project.yml": PROJECT.replace("flags:", "flags:\n  skip_nodes_if_on_run_start_fails: true")
    + HOOKS,
    "macros/hooks.sql": "{% macro start_hook() %}select no_such_column{% endmacro %}\n"
    "{% macro end_hook() %}select 1{% endmacro %}\n",
}
"""The on-run-start hook fails, so nothing is built."""

FAIL_FAST = {
    "dbt_project.yml": PROJECT,
    "profiles.yml": PROFILES,
    "models/a_fine.sql": "select 1 as id\n",
    "models/b_broken.sql": "select no_such_column from {{ ref('a_fine') }}\n",
    "models/c_child.sql": "select * from {{ ref('b_broken') }}\n",
    "models/d_other.sql": "select 2 as id from {{ ref('c_child') }}\n",
}
"""A chain that breaks at its second model."""

SEMANTIC = {
    **BASE,
    "models/days.sql": "{{ config(materialized='table') }}\n"
    "select day::date as date_day from (values (timestamp '2026-01-01')) as t(day)\n",
    "models/semantic.yml": """
models:
  - name: days
    time_spine: {standard_granularity_column: date_day}
    columns: [{name: date_day, granularity: day}]
semantic_models:
  - name: orders
    model: ref('stg_orders')
    defaults: {agg_time_dimension: ordered_at}
    entities: [{name: id, type: primary}]
    dimensions: [{name: ordered_at, type: time, type_params: {time_granularity: day}}]
    measures: [{name: revenue, agg: sum, expr: amount}]
metrics:
  - {name: revenue, label: Revenue, type: simple, type_params: {measure: revenue}}
saved_queries:
  - name: revenue_by_day
    query_params: {metrics: [revenue], group_by: ["TimeDimension('id__ordered_at', 'day')"]}
exposures:
  - name: dashboard
    type: dashboard
    owner: {name: Finance}
    depends_on: [ref('orders')]
""",
}
"""With a metric, a saved query and an exposure, of which dbt build says NO-OP."""

VERSIONED = {
    **BASE,
    "models/people_v1.sql": "select 1 as id\n",
    "models/people_v2.sql": "select 1 as id, 2 as age\n",
    "models/people.yml": """
models:
  - name: people
    latest_version: 2
    config: {contract: {enforced: true}, materialized: table, schema: hr}
    columns: [{name: id, data_type: int}]
    versions:
      - v: 1
      - v: 2
        config: {alias: persons}
        columns: [{include: all}, {name: age, data_type: varchar}]
""",
    "models/undefined.sql": "select {{ no_such_macro() }} as id\n",
}
"""A versioned model whose second version breaks its contract, and a model that does not compile."""
