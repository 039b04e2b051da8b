"""A fakesnow that many processes use: it tells its port, and serves until it is ended.

Four things of it are put right, which Snowflake does: a MERGE in a transaction, a time that is
null, an apostrophe in a comment, and the comments of views where they are shown.
"""

import socket
from typing import Any

import pyarrow as pa
import uvicorn
from fakesnow import arrow, info_schema
from fakesnow.transforms import show

_NOTHING = "SELECT 1"
_OWN_TABLE = "MERGE_CANDIDATES"
"""What a MERGE makes: to remember its columns, it would write to a second database."""

_as_struct = arrow.timestamp_to_sf_struct
_keep_comment = info_schema.insert_table_comment_sql
_keep_lengths = info_schema.insert_text_lengths_sql


def _as_struct_or_null(times: Any) -> Any:
    whole = times.combine_chunks() if isinstance(times, pa.ChunkedArray) else times
    struct = _as_struct(whole)
    return pa.StructArray.from_arrays(
        [part.fill_null(0) for part in struct.flatten()],
        fields=list(struct.type),
        mask=whole.is_null(),
    )


def _kept_comment(catalog: str, schema: str, table: str, comment: Any) -> str:
    text = str(comment or "").replace("'", "''")
    return _NOTHING if table == _OWN_TABLE else _keep_comment(catalog, schema, table, text)


def _kept_lengths(catalog: str, schema: str, table: str, lengths: Any) -> str:
    return _NOTHING if table == _OWN_TABLE else _keep_lengths(catalog, schema, table, lengths)


def _with_comments(view: str) -> str:
    """The view of what SHOW VIEWS shows."""
    found = """(
        SELECT ext.comment FROM _fs_global._fs_information_schema._fs_tables_ext AS ext
        WHERE (ext_table_catalog, ext_table_schema, ext_table_name)
            = (table_catalog, table_schema, table_name)
    ) as comment"""
    assert "'' as comment" in view
    return view.replace("'' as comment", found)


def serve() -> None:
    """Serve on a port that was free."""
    arrow.timestamp_to_sf_struct = _as_struct_or_null
    info_schema.insert_table_comment_sql = _kept_comment
    info_schema.insert_text_lengths_sql = _kept_lengths
    show.SQL_CREATE_VIEW_SHOW_VIEWS = _with_comments(show.SQL_CREATE_VIEW_SHOW_VIEWS)
    from fakesnow.server import app  # noqa: PLC0415  # it makes its views when it is imported

    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)  # noqa: T201  # for whoever started it
        config = uvicorn.Config(app, log_level="warning")
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    serve()
