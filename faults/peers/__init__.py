"""Each script here triggers a job once, as its client's users would, and prints the run's id.

They run in the clients' own virtual environments, with the settings of the account in
``DBT_CLOUD_…``; ``PEER_HOST`` is its host for those that speak HTTPS only. A failure is an
uncaught exception.
"""
