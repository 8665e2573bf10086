"""Tests of `fractal_jupyter.hosts`."""
