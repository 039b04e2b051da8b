"""Real servers on loopback that speak the protocols of S3 and of Azure's blobs."""

import base64
import contextlib
import email.utils
import hmac
import itertools
import logging
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

KEY = "key"
SECRET = "sesame-of-the-bucket"

_AZURITE = "azurite-blob"
_ACCOUNT = "team"
_NUMBERS = itertools.count()  # moto's servers of one process share what they keep


@dataclass
class Bucket:
    """A bucket or container.

    Attributes:
        url: Its URL, without a prefix.
        options: What opens it.
        unfinished_uploads: How many uploads in parts have begun and not ended.
        files: All files by their path, read without any of our code.
        authorizations: The Authorization headers that came.
    """

    url: str
    options: dict[str, Any]
    unfinished_uploads: Callable[[], int] = lambda: 0
    files: Callable[[], dict[str, bytes]] = dict
    authorizations: list[str] = field(default_factory=list)

    def new_root(self) -> str:
        """A prefix that nobody has used."""
        return f"{self.url}/root-{next(_NUMBERS)}"


@contextlib.contextmanager
def an_s3_server() -> Iterator[Bucket]:
    """Moto's server, which knows no signatures but all else that is asked here."""
    # They take a second to import, which only a process that starts a server spends.
    import boto3  # noqa: PLC0415
    from moto.moto_server import werkzeug_app as moto  # noqa: PLC0415
    from werkzeug.serving import make_server  # noqa: PLC0415

    options = {
        "access_key_id": KEY,
        "secret_access_key": SECRET,
        "region": "us-east-1",
        "allow_http": "true",
    }
    authorizations: list[str] = []
    backend = moto.DomainDispatcherApplication(moto.create_backend_app)

    def application(environ: Any, start_response: Any) -> Any:
        authorizations.append(environ.get("HTTP_AUTHORIZATION", ""))
        return backend(environ, start_response)

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    options["endpoint"] = f"http://127.0.0.1:{server.port}"
    s3 = boto3.client(
        "s3",
        endpoint_url=options["endpoint"],
        region_name=options["region"],
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )

    def unfinished_uploads() -> int:
        return len(s3.list_multipart_uploads(Bucket="bucket").get("Uploads", []))

    def files() -> dict[str, bytes]:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket="bucket")
        keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
        return {key: s3.get_object(Bucket="bucket", Key=key)["Body"].read() for key in keys}

    try:
        s3.create_bucket(Bucket="bucket")
        yield Bucket("s3://bucket", options, unfinished_uploads, files, authorizations)
    finally:
        s3.close()
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def an_azurite() -> Iterator[Bucket]:
    """Azurite, where npm has installed it; the test is skipped elsewhere."""
    program = shutil.which(_AZURITE) or shutil.which(_AZURITE, path="node_modules/.bin")
    if program is None:
        pytest.skip(f"{_AZURITE} is missing (npm install --no-save azurite)")
    key = base64.b64encode(SECRET.encode()).decode()
    with tempfile.TemporaryDirectory() as folder:
        orders = ["--blobPort", "0", "--location", folder, "--disableTelemetry"]
        server = subprocess.Popen(  # noqa: S603  # what npm installed
            [program, *orders, "--skipApiVersionCheck"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "AZURITE_ACCOUNTS": f"{_ACCOUNT}:{key}"},
        )
        try:
            assert server.stdout is not None
            listening = next(line for line in server.stdout if "listens on" in line)
            endpoint = listening.split()[-1].rstrip("/") + f"/{_ACCOUNT}"
            options = {
                "account_name": _ACCOUNT,
                "account_key": key,
                "endpoint": endpoint,
                "allow_http": "true",
            }
            _make_container(endpoint, key)
            yield Bucket("az://container", options)
        finally:
            server.terminate()
            server.communicate()


def _make_container(endpoint: str, key: str) -> None:
    """What obstore cannot do: one request, signed as Azure wants it."""
    date = email.utils.formatdate(usegmt=True)
    headers = {"x-ms-date": date, "x-ms-version": "2021-08-06"}
    no_headers = "\n" * 12  # of those that Azure signs by their values alone
    own = "".join(f"{name}:{value}\n" for name, value in headers.items())
    signed = f"PUT{no_headers}{own}/{_ACCOUNT}/{_ACCOUNT}/container\nrestype:container"
    digest = hmac.digest(base64.b64decode(key), signed.encode(), "sha256")
    headers["Authorization"] = f"SharedKey {_ACCOUNT}:{base64.b64encode(digest).decode()}"
    answer = requests.put(f"{endpoint}/container?restype=container", headers=headers, timeout=30)
    answer.raise_for_status()
