"""Made-up but real data to try the package on, and pictures of what became of them.

Needs the extra `demo`: `pip install "fractal-jupyter[demo]"`.
"""
