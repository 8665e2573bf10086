"""The magics `%fractal` and `%%fractal`: the Python API, as commands in a notebook."""

from fractal_jupyter.magics.magic import register

__all__ = ["register"]
