"""Spark in place of Databricks: it tells its port, and serves Databricks' driver until it is ended.

It speaks the driver's protocol, of which the driver's package has the server's side, too. What it
is asked, Spark parses and executes, one statement after another, but for what Spark's tables cannot
do without Delta, whose jars are not on PyPI: a MERGE, a DELETE and an UPDATE. What these say is put
together from the parts of the very statement, and the table is written anew.
"""

import functools
import re
import tempfile
import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from databricks.sql.thrift_api.TCLIService import TCLIService, ttypes
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TTransport import TMemoryBuffer

PARSE_ONLY = "-- parse only\n"
"""What comes before a statement that is not to be executed."""

TOKEN = "sesame"

_MERGE = re.compile(
    r"(?P<explain>EXPLAIN )?MERGE INTO (?P<table>.+?) AS kept "
    r"USING \((?P<rows>.+)\) AS incoming ON (?P<match>.+?) "
    r"WHEN MATCHED THEN UPDATE SET (?P<changes>.+) "
    r"WHEN NOT MATCHED THEN INSERT \((?P<names>.+)\) VALUES \((?P<values>.+)\)",
    re.DOTALL,
)
_CHANGE = re.compile(r"(`\w+`) = (incoming\.`\w+`)")
_DELETE = re.compile(r"DELETE FROM (?P<table>\S+) WHERE (?P<condition>.+)", re.DOTALL)
_UPDATE = re.compile(
    r"UPDATE (?P<table>\S+) SET (?P<name>\w+) = (?P<value>.+?)(?: WHERE (?P<condition>.+))?"
)
_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.log.level": "OFF",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.session.timeZone": "America/Los_Angeles",  # nothing of ours depends on it
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    # What is compiled anew for each small statement takes longer than the statement.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
_OK = ttypes.TStatus(statusCode=ttypes.TStatusCode.SUCCESS_STATUS)
_ID = ttypes.THandleIdentifier(guid=uuid.uuid4().bytes, secret=uuid.uuid4().bytes)

# Of a column in what is found: its type, the field that its values travel in, and for null.
_KINDS: Mapping[str, tuple[int, str, Callable[..., Any], Any]] = {
    "bigint": (ttypes.TTypeId.BIGINT_TYPE, "i64Val", ttypes.TI64Column, 0),
    "int": (ttypes.TTypeId.INT_TYPE, "i32Val", ttypes.TI32Column, 0),
    "boolean": (ttypes.TTypeId.BOOLEAN_TYPE, "boolVal", ttypes.TBoolColumn, False),
    "double": (ttypes.TTypeId.DOUBLE_TYPE, "doubleVal", ttypes.TDoubleColumn, 0.0),
    "timestamp": (ttypes.TTypeId.TIMESTAMP_TYPE, "stringVal", ttypes.TStringColumn, ""),
}
_TEXT = (ttypes.TTypeId.STRING_TYPE, "stringVal", ttypes.TStringColumn, "")


class Spark:
    """What is asked of Spark."""

    def __init__(self, folder: str) -> None:
        builder = SparkSession.builder.master("local[1]")
        for name, value in {**_SETTINGS, "spark.sql.warehouse.dir": folder}.items():
            builder = builder.config(name, value)
        self._session = builder.getOrCreate()
        self._parser = self._session._jsparkSession.sessionState().sqlParser()

    def execute(self, statement: str, parameters: Mapping[str, Any]) -> Any:
        """What a statement finds, as a DataFrame."""
        self._parser.parsePlan(statement.removeprefix(PARSE_ONLY))
        if statement.startswith(PARSE_ONLY):
            return self._frame("SELECT 1 WHERE false")
        if merge := _MERGE.fullmatch(statement):
            return self._merge(merge, parameters)
        if delete := _DELETE.fullmatch(statement):
            kept = f"SELECT * FROM {delete['table']} WHERE NOT ({delete['condition']})"  # noqa: S608  # of the statement
            return self._rewrite(delete["table"], self._frame(kept, parameters))
        if update := _UPDATE.fullmatch(statement):
            return self._update(**update.groupdict())
        return self._frame(statement, parameters)

    def _merge(self, merge: re.Match[str], parameters: Mapping[str, Any]) -> Any:
        table, match = merge["table"], merge["match"]
        incoming = self._frame(merge["rows"], parameters).localCheckpoint()
        incoming.createOrReplaceTempView("incoming")
        columns = self._session.table(table).columns
        changes = dict(_CHANGE.findall(merge["changes"]))
        values = dict(zip(merge["names"].split(", "), merge["values"].split(", "), strict=True))
        updated = ", ".join(changes.get(f"`{name}`", f"kept.`{name}`") for name in columns)
        inserted = ", ".join(values.get(f"`{name}`", "NULL") for name in columns)
        rows = (
            f"SELECT kept.* FROM {table} AS kept LEFT ANTI JOIN incoming ON {match} "  # noqa: S608  # likewise
            f"UNION ALL SELECT {updated} FROM {table} AS kept JOIN incoming ON {match} "
            f"UNION ALL SELECT {inserted} FROM incoming LEFT ANTI JOIN {table} AS kept ON {match}"
        )
        if merge["explain"]:
            return self._frame(f"EXPLAIN {rows}")
        return self._rewrite(table, self._frame(rows))

    def _update(self, table: str, name: str, value: str, condition: str | None) -> Any:
        columns = ", ".join(
            f"CASE WHEN {condition or 'true'} THEN {value} ELSE {each} END"
            if each == name
            else each
            for each in self._session.table(table).columns
        )
        return self._rewrite(table, self._frame(f"SELECT {columns} FROM {table}"))  # noqa: S608  # likewise

    def _rewrite(self, table: str, rows: Any) -> Any:
        rows.localCheckpoint().coalesce(1).write.insertInto(table, overwrite=True)
        return self._frame("SELECT 1 WHERE false")

    def _frame(self, statement: str, parameters: Mapping[str, Any] | None = None) -> Any:
        return self._session.sql(statement, args=parameters or None)


class Service:
    """What the driver calls."""

    def __init__(self, spark: Spark) -> None:
        self._spark = spark
        self._one_at_a_time = threading.Lock()

    def OpenSession(self, request: Any) -> Any:  # noqa: N802  # the protocol's name
        """A session, whose catalog and schema are of no account: all names are full."""
        return ttypes.TOpenSessionResp(
            status=_OK,
            serverProtocolVersion=ttypes.TProtocolVersion.SPARK_CLI_SERVICE_PROTOCOL_V8,
            sessionHandle=ttypes.TSessionHandle(sessionId=_ID),
            canUseMultipleCatalogs=True,
            initialNamespace=request.initialNamespace,
        )

    def CloseSession(self, request: Any) -> Any:  # noqa: N802  # likewise
        """Nothing is held."""
        del request
        return ttypes.TCloseSessionResp(status=_OK)

    def ExecuteStatement(self, request: Any) -> Any:  # noqa: N802  # likewise
        """All of what a statement finds at once, or the error."""
        parameters = {each.name: _value(each) for each in request.parameters or []}
        state = ttypes.TGetOperationStatusResp(status=_OK)
        found = ttypes.TSparkDirectResults(
            operationStatus=state, closeOperation=ttypes.TCloseOperationResp(status=_OK)
        )
        try:
            with self._one_at_a_time:
                frame = self._spark.execute(request.statement, parameters)
                types, rows = frame.dtypes, [tuple(row) for row in frame.collect()]
        except (Py4JError, PySparkException) as error:
            state.operationState = ttypes.TOperationState.ERROR_STATE
            state.displayMessage = str(error)
        else:
            state.operationState = ttypes.TOperationState.FINISHED_STATE
            found.resultSetMetadata, found.resultSet = _found(types, rows)
        return ttypes.TExecuteStatementResp(
            status=_OK,
            operationHandle=ttypes.TOperationHandle(
                operationId=_ID,
                operationType=ttypes.TOperationType.EXECUTE_STATEMENT,
                hasResultSet=True,
            ),
            directResults=found,
        )


def _value(parameter: Any) -> Any:
    """A parameter as PySpark takes it."""
    text = parameter.value.stringValue
    if parameter.type in {"TINYINT", "INT", "BIGINT"}:
        return int(text)
    return datetime.fromisoformat(text) if parameter.type == "TIMESTAMP" else text


def _found(types: list[tuple[str, str]], rows: list[tuple[Any, ...]]) -> tuple[Any, Any]:
    """What was found, and of what types, as it travels."""
    described, columns = [], []
    for number, (name, kind) in enumerate(types):
        type_id, field, column, nothing = _KINDS.get(kind, _TEXT)
        entry = ttypes.TTypeEntry(primitiveEntry=ttypes.TPrimitiveTypeEntry(type=type_id))
        described.append(
            ttypes.TColumnDesc(
                columnName=name, typeDesc=ttypes.TTypeDesc(types=[entry]), position=number + 1
            )
        )
        values = [row[number] for row in rows]
        sent = [nothing if value is None else _sent(value, kind) for value in values]
        columns.append(ttypes.TColumn(**{field: column(values=sent, nulls=_nulls(values))}))
    metadata = ttypes.TGetResultSetMetadataResp(
        status=_OK,
        schema=ttypes.TTableSchema(columns=described),
        resultFormat=ttypes.TSparkRowSetType.COLUMN_BASED_SET,
    )
    results = ttypes.TRowSet(startRowOffset=0, rows=[], columns=columns)
    return metadata, ttypes.TFetchResultsResp(status=_OK, hasMoreRows=False, results=results)


def _sent(value: Any, kind: str) -> Any:
    """A value; a time, which PySpark gives in this machine's zone without saying so, says it."""
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat()
    return value if kind in _KINDS else str(value)


def _nulls(values: list[Any]) -> bytes:
    """A bit for each value that is null, the lowest first."""
    bits = sum(1 << number for number, value in enumerate(values) if value is None)
    return bits.to_bytes(len(values) // 8 + 1, "little")


class Handler(BaseHTTPRequestHandler):
    """A request of the driver's."""

    protocol_version = "HTTP/1.1"

    def __init__(self, processor: Any, *arguments: Any) -> None:
        self._processor = processor
        super().__init__(*arguments)

    def do_POST(self) -> None:
        """Answer it, where the token is right."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.send_error(403, "Invalid access token")
            return
        answer = TMemoryBuffer()
        self._processor.process(TBinaryProtocol(TMemoryBuffer(body)), TBinaryProtocol(answer))
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer.getvalue())))
        self.end_headers()
        self.wfile.write(answer.getvalue())

    def log_message(self, *arguments: Any) -> None:
        """Nothing is told."""


def serve() -> None:
    """Serve on a port that was free."""
    with tempfile.TemporaryDirectory() as folder:
        processor = TCLIService.Processor(Service(Spark(folder)))
        handler = functools.partial(Handler, processor)
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            print(server.server_address[1], flush=True)  # noqa: T201  # for whoever started it
            server.serve_forever()


if __name__ == "__main__":
    serve()
