"""Files on their way into a bucket, beside boto3's own way for many files.

Both put the same 200 MiB, which are in memory, eight files at a time, into moto's server in a
process of its own. That is Python, so it may be the limit: it is told how busy it was, and what
processor time each took.
"""

import io
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from s3transfer.manager import TransferConfig, TransferManager

from benchmarks.contents import artifact_path, distinct_content
from benchmarks.interpreters import ServedBucket, served_bucket
from benchmarks.report import Result
from benchmarks.rounds import Spread, alternate, ratios, seconds_of
from dbt_trigger_dagster.storage.file_store import FileStore, open_file_store

_COUNT = 200
_MIB = 1024 * 1024
_PARALLEL = 8
_ROUNDS = 7
_GOAL = 1.3

_WHAT = f"{_COUNT} files of 1 MiB into a bucket: throughput / boto3's"


def measure() -> list[Result]:
    """Upload both ways, in turns."""
    contents = [distinct_content(index, _MIB) for index in range(_COUNT)]
    with served_bucket() as bucket:
        ours, boto3s = _Ours(bucket, contents), _Boto3s(bucket, contents)
        alternate(1, ours.seconds, boto3s.seconds)  # fills caches
        mine, theirs, busy = _race(bucket, ours, boto3s)
    throughput = ratios(theirs, mine)
    return [
        Result(_WHAT, throughput.show(), f">= {_GOAL}", throughput.median >= _GOAL),
        Result("  the server meanwhile", f"{busy:.0%} of a core"),
        Result("  the client's processor time / boto3's", f"{ours.cpu / boto3s.cpu:.2f}"),
    ]


def _race(
    bucket: ServedBucket, ours: "_Uploads", boto3s: "_Uploads"
) -> tuple[Spread, Spread, float]:
    """Seconds of both, and the share of a core that the server uses."""
    ours.cpu = boto3s.cpu = 0.0
    before = bucket.cpu_seconds()
    mine, theirs = alternate(_ROUNDS, ours.seconds, boto3s.seconds)
    used = bucket.cpu_seconds() - before
    return mine, theirs, used / sum(mine.values + theirs.values)


class _Uploads(ABC):
    """One way to upload the same files.

    Attributes:
        cpu: Processor time that it has taken.
    """

    def __init__(self, bucket: ServedBucket, contents: Sequence[bytes]) -> None:
        self.cpu = 0.0
        self._bucket = bucket
        self._contents = contents

    def seconds(self) -> float:
        """How long it takes; what is there then is counted and removed."""
        root = f"{self._bucket.url}/{type(self).__name__}"
        files = open_file_store(root, self._bucket.options)
        before = time.process_time()
        seconds = seconds_of(lambda: self._upload(files))
        self.cpu += time.process_time() - before
        stored = list(files.list_files("run"))
        if [each.size_bytes for each in stored] != [_MIB] * _COUNT:
            raise RuntimeError(f"{root} has {len(stored)} files.")
        files.delete([each.path for each in stored])
        return seconds

    @abstractmethod
    def _upload(self, files: FileStore) -> None:
        """Put all into the folder ``run``."""


class _Ours(_Uploads):
    def _upload(self, files: FileStore) -> None:
        def put(index: int) -> None:
            writer.put(artifact_path(index), [self._contents[index]])

        with files.writing("run") as writer, ThreadPoolExecutor(_PARALLEL) as pool:
            list(pool.map(put, range(_COUNT)))


class _Boto3s(_Uploads):
    def _upload(self, files: FileStore) -> None:
        name, prefix = self._bucket.url.removeprefix("s3://"), files.uri("run").split("/", 3)[3]
        options = TransferConfig(max_request_concurrency=_PARALLEL)
        with TransferManager(self._client, options) as manager:
            uploads = [
                manager.upload(io.BytesIO(content), name, f"{prefix}/{artifact_path(index)}")
                for index, content in enumerate(self._contents)
            ]
            for upload in uploads:
                upload.result()

    @cached_property
    def _client(self) -> Any:
        options = self._bucket.options
        return boto3.client(
            "s3",
            endpoint_url=options["endpoint"],
            region_name=options["region"],
            aws_access_key_id=options["access_key_id"],
            aws_secret_access_key=options["secret_access_key"],
            config=Config(max_pool_connections=_PARALLEL),
        )
