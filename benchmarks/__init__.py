"""Measurements that hold the project to its targets: `python -m benchmarks`, or `python -m benchmarks.NAME` for one."""
