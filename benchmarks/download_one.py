"""Downloads one artifact and prints how many bytes of memory that took above idle.

``python -m benchmarks.download_one SIZE ROOT``. Idle is the memory just before, when a job has been
triggered and followed to its end; the peak is the kernel's own high-water mark of this process.
(``ru_maxrss`` would not do: a process inherits it from the one that started it.)
"""

import os
import sys
from pathlib import Path

from benchmarks.contents import artifact_path
from dbt_trigger_dagster import DbtCloudClient, TriggerRequest
from dbt_trigger_dagster.artifacts.download import download_artifacts
from dbt_trigger_dagster.artifacts.paths import OF_THE_RUN, Artifact
from dbt_trigger_dagster.storage.file_store import open_file_store

STATUS = Path("/proc/self/status")
"""Where Linux tells a process about itself."""


def memory(field: str) -> int:
    """Bytes of a field in `STATUS`: ``VmRSS`` now, ``VmHWM`` at the peak."""
    lines = STATUS.read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def main(size: int, root: str) -> None:
    """Download, and print.

    Args:
        size: How many bytes the artifact has.
        root: Where it is kept: a folder, or a URL that the environment opens.
    """
    files = open_file_store(root)
    files.check()
    with DbtCloudClient(
        account_id=int(os.environ["DBT_CLOUD_ACCOUNT_ID"]),
        token=os.environ["DBT_CLOUD_TOKEN"],
        access_url=os.environ["DBT_CLOUD_ACCESS_URL"],
    ) as client:
        job_id = int(os.environ["DBT_CLOUD_JOB_ID"])
        run = client.trigger_run(job_id, TriggerRequest(cause="benchmark"))
        while not run.is_over:
            run = client.get_run(run.run_id)
        artifact = Artifact(run.run_id, OF_THE_RUN, artifact_path(0))
        idle = memory("VmRSS")
        report = download_artifacts(client, [artifact], files, "run", max_parallel=1)
        peak = memory("VmHWM")
        if [file.size_bytes for file in files.list_files("run")] != [size]:
            raise RuntimeError(f"The artifact was not stored: {report.errors}")
    sys.stdout.write(f"{peak - idle}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
