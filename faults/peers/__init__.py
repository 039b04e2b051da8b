"""Each script here triggers a job once, as its client's users would, and prints the run's id.

They run in the clients' own virtual environments, with the settings of the account in
``DBT_CLOUD_…`` and the host alone in ``PEER_HOST``; a failure is an uncaught exception.
"""
