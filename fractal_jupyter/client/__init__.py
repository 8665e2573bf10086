"""The Python API: `Fractal`, and what its methods return."""

from fractal_jupyter.client.fractal import Fractal

__all__ = ["Fractal"]
