"""Benchmarks on the SLURM cluster that the tests use."""
