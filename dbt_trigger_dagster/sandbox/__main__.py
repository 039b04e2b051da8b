"""Starts the sandbox: ``python -m dbt_trigger_dagster.sandbox``."""

import sys

from dbt_trigger_dagster.sandbox.command_line import main

if __name__ == "__main__":
    sys.exit(main())
