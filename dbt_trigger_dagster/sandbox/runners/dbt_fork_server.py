"""A script that imports dbt once and runs commands one after another, each in a fork of itself.

It is told of a command by a line of JSON: the arguments, the folder of dbt's own log, and the file
that the output is added to. It answers with a line: the command's exit code.
"""

import contextlib
import gc
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path


def _main() -> None:
    gc.disable()  # nothing that is imported is garbage
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # which leaves no trace in the last log
    answers = os.dup(sys.stdout.fileno())
    for line in sys.stdin:
        arguments, log_folder, output = json.loads(line)
        os.environ["DBT_LOG_PATH"] = log_folder
        with Path(output).open("ab") as log:
            os.dup2(log.fileno(), sys.stdout.fileno())
            os.dup2(log.fileno(), sys.stderr.fileno())
        exit_code = _run(arguments, answers)
        with contextlib.suppress(BrokenPipeError):  # the sandbox was killed: no more lines come
            os.write(answers, b"%d\n" % exit_code)


def _run(arguments: Sequence[str], answers: int) -> int:
    from dbt.cli.main import cli  # noqa: PLC0415  # where that fails, the command's output tells

    gc.freeze()  # else each fork looks through, and so copies, all that is imported
    # An interrupt of the group is the fork's; this process waits for it, and ends only then.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    process_id = os.fork()
    if process_id == 0:
        os.close(answers)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        gc.enable()
        with Path(os.devnull).open() as nothing:
            os.dup2(nothing.fileno(), sys.stdin.fileno())
        sys.argv[1:] = arguments
        sys.exit(cli(prog_name="dbt"))
    _, status = os.waitpid(process_id, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    _main()
