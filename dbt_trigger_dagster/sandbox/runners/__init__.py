"""What runs a job in the sandbox: real dbt Core, or a script in its place."""
