"""The magic itself: from a line to a verb, and from errors to calm messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fractal_jupyter.errors import FractalError, InvalidArguments
from fractal_jupyter.magics.parsers import HelpShown, overview, parser_of
from fractal_jupyter.magics.verbs import RUN, Session
from fractal_jupyter.magics.words import parse_body, split

if TYPE_CHECKING:
    from fractal_jupyter.client.fractal import Fractal

NAME = "fractal"
_WITH_BODY = ("submit", "plan", "update")


class FractalMagic:
    """Runs `%fractal` and `%%fractal` in one IPython shell.

    Args:
        ipython: The shell.
    """

    def __init__(self, ipython: Any) -> None:
        self._ipython = ipython
        self._own: Fractal | None = None

    @property
    def variables(self) -> Mapping[str, Any]:
        """The variables of the notebook."""
        namespace: Mapping[str, Any] = self._ipython.user_ns
        return namespace

    @property
    def fractal(self) -> Fractal:
        """The `Fractal` that the notebook calls `fractal`, or else one for magics alone."""
        from fractal_jupyter.client.fractal import Fractal

        held = self.variables.get(NAME)
        if isinstance(held, Fractal):
            return held
        if self._own is None:
            self._own = Fractal()
        return self._own

    def run(self, line: str, cell: str | None = None) -> Any:
        """Run one line; returns what the method of the Python API returns.

        Raises:
            UsageError: With the message of what went wrong; IPython shows it without a traceback,
                and a notebook that is run as a whole stops there.
        """
        from IPython.core.error import UsageError

        try:
            return self._run(line, cell)
        except HelpShown:
            return None
        except FractalError as error:
            raise UsageError(str(error)) from error

    def _run(self, line: str, cell: str | None) -> Any:
        words = split(line)
        if words and words[-1].open:
            raise InvalidArguments(f"A quotation mark ({words[-1].open}) is not closed.")
        if not words or words[0] in ("-h", "--help"):
            print(overview())  # noqa: T201
            return None
        verb, rest = str(words[0]), words[1:]
        parser = parser_of(verb)
        # Intermixed: options may stand between the arguments of a task.
        options = parser.parse_intermixed_args(rest)
        if cell is not None and verb not in _WITH_BODY:
            raise InvalidArguments(
                f"%%fractal {verb} takes no further lines; write %fractal {verb} in a cell of "
                "its own, or before other lines."
            )
        body = parse_body(cell) if cell is not None else {}
        return RUN[verb](Session(self.fractal, self.variables, body), options)


def register(ipython: Any) -> None:
    """Add the magics and their completion to an IPython shell."""
    from IPython.core.magic import no_var_expand

    from fractal_jupyter.magics.completion import add_completion

    magic = FractalMagic(ipython)

    # Variables are put in by the magic: IPython would break JSON, and turn objects into text.
    @no_var_expand
    def fractal(line: str, cell: str | None = None) -> Any:
        return magic.run(line, cell)

    fractal.__doc__ = overview()
    ipython.register_magic_function(fractal, "line_cell", NAME)
    add_completion(ipython, magic)
