"""Benchmarks: what this package costs, as counts and as ratios to a peer in the same run.

``python -m benchmarks`` runs all, ``python -m benchmarks NAME…`` some. No result is an absolute
time, because machines differ; what is compared takes turns, because machines are busy.
"""
