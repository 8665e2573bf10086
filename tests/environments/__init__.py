"""Tests of `fractal_jupyter.environments`."""
