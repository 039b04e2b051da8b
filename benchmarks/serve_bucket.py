"""A bucket that speaks S3's protocol: ``python -m benchmarks.serve_bucket``.

Prints its URL and the options that open it; then, for each line of its input, the processor time
that it has used. It serves until its input ends.
"""

import json
import sys
import time
from typing import Any

from dbt_trigger_dagster_tests.buckets import an_s3_server


def main() -> None:
    """Serve."""
    with an_s3_server() as bucket:
        _say({"url": bucket.url, "options": bucket.options})
        for _ in sys.stdin:
            _say(time.process_time())


def _say(what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
