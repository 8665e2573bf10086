"""Why a unit did not succeed, taken apart to be read: what happened, what to change, what was said.

The runner writes all of it as one text (`runner.phase`), with semicolons between the parts.
"""

from __future__ import annotations

from dataclasses import dataclass

_OF_THE_RUNNER = ("The unit was running when ", "It never started: ")
_SAID = "; its output ends with: "
_UNKNOWN = ". What it had done until then is not known."
_RETRY = "retry runs what is missing"


@dataclass(frozen=True, slots=True)
class Message:
    """Why a unit did not succeed.

    Attributes:
        what: What happened.
        advice: What to change; empty where that is part of `what`, or there is nothing to say.
        said: What its job wrote at the end; may be several lines.
    """

    what: str
    advice: str = ""
    said: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.what, self.advice)))


def taken_apart(error: str) -> Message:
    """Take the message of a unit apart; one of a task itself is left whole."""
    text = error.strip()
    if not text.startswith(_OF_THE_RUNNER):
        return Message(_on_one_line(text))
    text, _, said = text.partition(_SAID)
    text, unknown, _ = text.partition(_UNKNOWN)
    if said:
        said, unknown, _ = said.partition(_UNKNOWN)
    what, _, advice = text.rstrip(".").partition("; ")
    advice = advice.removesuffix(_RETRY).rstrip("; ")
    return Message(
        _on_one_line(what + (unknown or ".")),
        f"{_on_one_line(advice[:1].upper() + advice[1:])}." if advice else "",
        said.removesuffix(".").strip(),
    )


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
