"""Benchmarks: `python -m benchmarks`; of Ray: `python benchmarks/fanout.py`."""
