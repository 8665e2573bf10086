"""Measurements: each module compares one thing with what it must reach; `run.py` runs them all."""
