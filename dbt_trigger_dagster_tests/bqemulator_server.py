"""A bqemulator that many processes use: it tells its port, and serves until it is ended.

It gives a token to everybody who asks for one, as Google's server does to those it knows, and needs
no extension of DuckDB's, which it would download. Six things of it are put right, which BigQuery
does: the parameters of a script, several columns that one statement adds, columns of JSON and those
that are added later where a table is told of, the descriptions of views, and what the driver loads.
"""

import asyncio
import contextvars
import re
from typing import Any

from bqemulator import server
from bqemulator.api.routes import upload
from bqemulator.catalog import ddl_sync
from bqemulator.config import LogLevel, Settings
from bqemulator.jobs import executor
from bqemulator.scripting import interpreter
from bqemulator.storage.engine import DuckDBEngine

_parameters: contextvars.ContextVar[Any] = contextvars.ContextVar("parameters", default=None)

_make_app = server.create_app
_run_body = executor._run_query_body
_bind = interpreter.bind_parameters
_introspect = ddl_sync._introspect_schema
_sync_table = executor.sync_created_table
_sync_view = executor.sync_created_view
_ALTERED = re.compile(r"\s*ALTER TABLE `([^`.]+)[`.]+([^`.]+)[`.]+([^`.]+)`")


def _app_with_tokens(context: Any) -> Any:
    app = _make_app(context)

    @app.post("/token")
    def token() -> dict[str, Any]:
        return {"access_token": "anybody", "token_type": "Bearer", "expires_in": 3600}

    return app


async def _run_with_parameters(**arguments: Any) -> Any:
    """Statements of a script have its parameters; DuckDB adds one column at a time."""
    _parameters.set(arguments["query_params"])
    sql = arguments["bq_sql"]
    if altered := _ALTERED.match(sql):
        first, *others = sql.split(", ADD COLUMN ")
        for other in others:
            added = f"{altered[0]} ADD COLUMN {other}"
            await _run_body(**{**arguments, "bq_sql": added})
        arguments["bq_sql"] = first
    return await _run_body(**arguments)


def _bound(sql: str, _: None) -> Any:
    return _bind(sql, _parameters.get())


def _schema_with_json(project: str, dataset: str, table: str, context: Any) -> Any:
    schema = _introspect(project, dataset, table, context)
    reference = ddl_sync.quoted_table_ref(project, dataset, table)
    found = context.engine.execute(f"PRAGMA table_info({reference})").fetchall()
    kinds = {name: kind for _, name, kind, *_ in found}
    fields = (
        field.model_copy(update={"type": "JSON"}) if kinds[field.name] == "JSON" else field
        for field in schema.fields
    )
    return ddl_sync.TableSchema(fields=tuple(fields))


def _sync_altered_too(sql: str, project: str, context: Any) -> None:
    _sync_table(sql, project, context)
    if (altered := _ALTERED.match(sql)) and (meta := context.catalog.get_table(*altered.groups())):
        schema = _schema_with_json(*altered.groups(), context)
        context.catalog.update_table(meta.model_copy(update={"schema_": schema}))


def _sync_description_too(sql: str, project: str, context: Any) -> None:
    _sync_view(sql, project, context)
    target, _ = ddl_sync._detect_plain_create_view(sql)
    description = ddl_sync._extract_ddl_metadata(sql).description
    if target is not None and description:
        meta = context.catalog.get_table(*ddl_sync._split_target(target, project))
        context.catalog.update_table(meta.model_copy(update={"description": description}))


async def _serve() -> None:
    emulator = server.EmulatorServer(
        Settings(
            rest_port=0, grpc_port=0, enable_format_extensions=False, log_level=LogLevel.CRITICAL
        )
    )
    await emulator.start()
    print(emulator.rest_port, flush=True)  # noqa: T201  # for whoever started it
    await asyncio.Event().wait()


def serve() -> None:
    """Serve on a port that was free."""
    server.create_app = _app_with_tokens
    executor._run_query_body = _run_with_parameters
    upload._PERMITTED_MEDIA_CONTENT_TYPES += ("*/*",)
    interpreter.bind_parameters = _bound
    ddl_sync._introspect_schema = _schema_with_json
    executor.sync_created_table = _sync_altered_too
    executor.sync_created_view = _sync_description_too
    DuckDBEngine._load_spatial = lambda _: None
    asyncio.run(_serve())


if __name__ == "__main__":
    serve()
