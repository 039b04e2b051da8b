"""What the sandbox remembers: an account's jobs, runs, artifacts and faults.

Knows nothing of HTTP, and not how a job is run.
"""
