"""What all widgets have in common: how they look, are kept from racing, and are saved.

Callbacks may run on another thread while a cell is busy, so each tool has one lock, and what may
take long runs on a thread of its own.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Mapping
from functools import update_wrapper
from html import escape
from typing import Any, Concatenate, ParamSpec, TypeVar

import ipywidgets

from fractal_jupyter.display.page import Note, Page, Tone
from fractal_jupyter.display.render_html import to_html
from fractal_jupyter.display.style import TONE_COLORS
from fractal_jupyter.errors import FractalError
from fractal_jupyter.printable import printable

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Tool")

WIDE = ipywidgets.Layout(width="auto")

# ipywidgets has a black one, which is not seen on a dark ground.
_ARROW = (
    "url(\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 18 18'%3E"
    "%3Cpath fill='%23808080' d='M5.2 5.9 9 9.7l3.8-3.8 1.2 1.2-5 5-5-5z'/%3E%3C/svg%3E\")"
)

_STYLE = f"""<style>
.fjw{{max-width:1180px;overflow:hidden;--jp-widgets-dropdown-arrow:{_ARROW}}}
.fjw .widget-html,.fjw .widget-html-content{{line-height:1.4;height:auto;min-width:0}}
.fjw .widget-html{{margin:0 2px}}
.fjw .widget-inline-hbox{{height:auto}}
.fjw .fjw-field{{margin:0 0 6px}}
.fjw .fjw-field>.widget-inline-hbox{{flex-direction:column;align-items:stretch}}
.fjw .fjw-field>.widget-inline-hbox>.widget-label{{width:auto;max-width:none;text-align:left;
font-weight:500;line-height:20px;height:auto;margin:0}}
.fjw .fjw-field>.widget-inline-hbox>input,.fjw .fjw-field>.widget-inline-hbox>select
{{flex:0 0 28px;max-width:none}}
.fjw .fjw-field>.widget-checkbox{{width:auto;margin-left:0}}
.fjw .fjw-field>.widget-checkbox .widget-label-basic{{width:auto;max-width:none;height:auto;
line-height:20px;font-weight:500;white-space:normal}}
.fjw .fjw-group{{border-left:2px solid rgba(128,128,128,.35);padding:2px 0 2px 12px;
margin:0 0 8px 2px}}
.fjw .fjw-side{{flex:1 1 400px;min-width:0}}
.fjw .fjw-main{{flex:1 1 400px;min-width:0;padding-right:18px}}
.fjw .fjw-list.fjw-field>.widget-inline-hbox>select{{flex:none;height:auto;
font-family:var(--jp-code-font-family,monospace);font-size:12px;
white-space:pre}}
.fjw .fjw-list>.widget-select{{display:flex}}
.fjw .fjw-json textarea{{font-family:var(--jp-code-font-family,monospace);font-size:12px}}
.fjw button.fjw-fold{{text-align:left;background:none;box-shadow:none;font-weight:600;
padding:0 4px;width:auto;max-width:100%;overflow:hidden;text-overflow:ellipsis}}
.fjw .fjw-soft{{font-size:12px;opacity:.75;margin:0 0 2px}}
.fjw .fjw-bad{{font-size:12px;color:{TONE_COLORS["bad"]};
color:var(--jp-error-color1,{TONE_COLORS["bad"]})}}
.fjw .fjw-head{{font-weight:600;margin:4px 0 2px}}
.fjw pre.fjw-code{{margin:4px 0;padding:8px 10px;border-radius:4px;font-size:12px;
background:rgba(128,128,128,.12);color:inherit;white-space:pre-wrap;overflow-wrap:anywhere;
max-height:30em;overflow:auto;user-select:all;line-height:1.4;
font-family:var(--jp-code-font-family,monospace)}}
.fjw :focus-visible{{outline:2px solid var(--jp-brand-color1,#3c83c9);outline-offset:1px}}
</style>""".replace("\n", "")


def text_html(text: str, *, look: str = "soft") -> str:
    """Text from anywhere, as HTML that shows it and does nothing else."""
    shown = escape(printable(text, lines=True))
    if look == "code":
        return f'<pre class="fjw-code" tabindex="0">{shown}</pre>'
    role = ' role="alert"' if look == "bad" else ""
    return f'<div class="fjw-{look}"{role}>{shown.replace(chr(10), "<br>")}</div>'


def html(text: str = "", *, look: str = "soft") -> Any:
    """A widget that shows text; nothing at all when there is none."""
    widget = ipywidgets.HTML()
    say(widget, text, look=look)
    return widget


def say(widget: Any, text: str, *, look: str = "soft") -> None:
    """Change what such a widget shows."""
    show(widget, text_html(text, look=look) if text else "")


def show(widget: Any, markup: str) -> None:
    """Change the markup of a widget, which takes no room without any; only if it is another."""
    if widget.value != markup:
        widget.value = markup
    display = None if markup else "none"
    if widget.layout.display != display:
        widget.layout.display = display


def note(text: str, *, tone: Tone, title: str) -> str:
    """A note that stands out, as HTML."""
    return to_html(Page(title=title, blocks=(Note(text=text, tone=tone),) if text else ()))


def button(label: str, action: Callable[[], object], *, tip: str = "", main: bool = False) -> Any:
    """A button."""
    made = ipywidgets.Button(
        description=printable(label),
        tooltip=printable(tip or label),
        button_style="primary" if main else "",
        layout=ipywidgets.Layout(width="auto", align_self="flex-start"),
    )
    made.on_click(lambda _: action())
    return made


def row(*widgets: Any) -> Any:
    """Widgets side by side, in several lines where there is little room."""
    return ipywidgets.HBox(
        widgets, layout=ipywidgets.Layout(flex_flow="row wrap", align_items="center")
    )


def with_class(widget: Any, *names: str) -> Any:
    """Give a widget classes of the style sheet."""
    for name in names:
        widget.add_class(f"fjw-{name}")
    return widget


def safely(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R | None]:
    """Let one callback of a tool run at a time, and show its errors where people look."""

    def guarded(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        with self.lock:
            try:
                return method(self, *args, **kwargs)
            except FractalError as error:
                self.tell(str(error), tone="bad", title="That did not work")
                return None

    update_wrapper(guarded, method)
    return guarded


class Tool:
    """Base of all widgets of this package.

    Attributes:
        widget: What is shown; may be put into layouts of ipywidgets.
        lock: Held by every callback.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.widget = ipywidgets.VBox()
        self.widget.add_class("fjw")
        self._notice = html()

    def compose(self, *children: Any) -> None:
        """Say what the tool consists of."""
        style = ipywidgets.HTML(_STYLE, layout=ipywidgets.Layout(height="0", margin="0"))
        self.widget.children = (style, *children, self._notice)

    def tell(self, text: str, *, tone: Tone, title: str) -> None:
        """Show a message; an empty title takes the last one back."""
        markup = note(text, tone=tone, title=title) if title else ""
        show(self._notice, markup and f'<div role="status">{markup}</div>')

    def run(
        self, work: Callable[[], R], then: Callable[[R], object], *, button: Any, busy: str
    ) -> None:
        """Do what may take long on a thread of its own; its button waits for it."""
        label, button.description, button.disabled = button.description, busy, True

        def body() -> None:
            try:
                result = work()
                with self.lock:
                    then(result)
            except Exception as error:
                # nobody waits for this thread: whatever it is, it is told
                with self.lock:
                    kind = "" if isinstance(error, FractalError) else f"{type(error).__name__}: "
                    self.tell(f"{kind}{error}", tone="bad", title="That did not work")
            finally:
                button.description, button.disabled = label, False

        context = contextvars.copy_context()
        threading.Thread(target=lambda: context.run(body), daemon=True).start()

    def page(self) -> str:
        """What a saved notebook shows, as HTML."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **_: Any) -> Mapping[str, Any]:
        bundle = dict(self.widget._repr_mimebundle_())
        bundle["text/plain"] = repr(self)
        bundle["text/html"] = self.page()
        return bundle
