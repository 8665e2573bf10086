"""Fractal for people who work in notebooks: run Fractal tasks on OME-Zarr images.

The public API is `Fractal` (see `fractal_jupyter.client`); everything else that this package
exports is what its methods return or raise.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

__all__ = ["Fractal", "__version__", "load_ipython_extension"]

if TYPE_CHECKING:
    from fractal_jupyter.client import Fractal


def load_ipython_extension(ipython: Any) -> None:
    """Add the `%fractal` magics; called by `%load_ext fractal_jupyter`."""
    from fractal_jupyter.magics import register

    register(ipython)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Where Jupyter Server finds the extension; called when a server starts."""
    from fractal_jupyter.server.app import FractalExtension

    return [{"module": "fractal_jupyter", "app": FractalExtension}]


def __getattr__(name: str) -> Any:
    """Import `Fractal` when it is asked for, so that submodules load without the client."""
    if name == "Fractal":
        from fractal_jupyter.models.bulk import collector_paused

        # A quarter of the time of importing is the collector's, which finds nothing there.
        with collector_paused():
            from fractal_jupyter.client import Fractal

        return Fractal
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
