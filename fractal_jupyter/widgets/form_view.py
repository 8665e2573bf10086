"""A form as widgets: one for each field, built when it is first seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeGuard

import ipywidgets

from fractal_jupyter.display.words import shorten, value_text
from fractal_jupyter.models.problems import MISSING, Problem
from fractal_jupyter.printable import printable
from fractal_jupyter.widgets.fields import (
    ChoiceField,
    ConstantField,
    DictionaryField,
    Field,
    ListField,
    ObjectField,
    TextField,
    UnionField,
)
from fractal_jupyter.widgets.form import Form
from fractal_jupyter.widgets.tool import WIDE, button, html, row, say, with_class

_NOTHING: Final = -1
_NULL: Final = -2
_STYLE: Final = {"description_width": "initial"}


class FormView:
    """Shows a form.

    Args:
        form: The form.
        changed: Called after each change that a person makes.
        guard: Wraps callbacks, so that one runs at a time.
    """

    def __init__(
        self,
        form: Form,
        *,
        changed: Callable[[], object],
        guard: Callable[[Callable[[], object]], object],
    ) -> None:
        self._form = form
        self._changed = changed
        self._guard = guard
        self._messages: dict[Field, Any] = {}
        self._boxes: dict[Field, Any] = {}
        self._fills: dict[Field, Callable[[], None]] = {}
        self._folds: dict[str, bool] = {}
        self._loose = html(look="bad")
        self.widget = ipywidgets.VBox()
        self.rebuild()

    def rebuild(self) -> None:
        """Build everything again, after the form was filled with something else."""
        self._messages, self._boxes, self._fills = {}, {}, {}
        fields = self._visible(self._form.root.children)
        self.widget.children = (*(self._build(field) for field in fields), self._loose)

    def show(self, problems: Sequence[Problem]) -> None:
        """Show each problem at its field, or at the group that hides the field."""
        texts: dict[Any, list[str]] = {}
        for field, found in self._form.by_field(problems).items():
            shown = field
            while shown not in self._messages and shown.parent is not None:
                shown = shown.parent
            message = self._messages.get(shown, self._loose)
            for problem in found:
                inner = problem.path.removeprefix(shown.path).lstrip(".")
                where = f"{inner}: " if inner else ""
                texts.setdefault(message, []).append(f"{where}{_in_words(problem, shown)}")
        for message in (*self._messages.values(), self._loose):
            say(message, "\n".join(texts.get(message, ())), look="bad")

    def _act(self, action: Callable[[], object], *, rebuilt: Field | None = None) -> None:
        def body() -> None:
            action()
            if rebuilt is not None:
                self._fills[rebuilt]()
            self._changed()

        self._guard(body)

    @staticmethod
    def _visible(fields: Sequence[Field]) -> list[Field]:
        """All but the constants that are said anyhow."""
        return [
            field
            for field in fields
            if not (isinstance(field, ConstantField) and (field.given or not field.required))
        ]

    def _build(self, field: Field) -> Any:
        box = ipywidgets.VBox(layout=ipywidgets.Layout(overflow="visible"))
        self._boxes[field] = box
        self._refill(field)
        return with_class(box, "field")

    def _refill(self, field: Field) -> None:
        self._fills[field] = lambda: self._refill(field)
        self._boxes[field].children = self._content(field)

    def _forget(self, field: Field) -> None:
        """Nothing below a field is shown any more."""
        for below in list(field.walk())[1:]:
            self._messages.pop(below, None)

    def _content(self, field: Field) -> tuple[Any, ...]:
        message = self._messages.get(field)
        if message is None:
            message = self._messages[field] = html(look="bad")
        if field.misfit is not MISSING:
            return (*self._misfit(field), message)
        if isinstance(field, TextField):
            return (self._text(field), message, _help(field))
        if isinstance(field, ChoiceField):
            return (self._choice(field), message, _help(field))
        return (*self._group(field), message)

    def _misfit(self, field: Field) -> tuple[Any, ...]:
        held = shorten(json.dumps(field.misfit, ensure_ascii=False, default=repr), 200)
        return (
            html(_title(field), look="head"),
            html(f"Holds what this form cannot show: {held}"),
            button("Replace", lambda: self._act(field.begin, rebuilt=field)),
        )

    # --- leaves

    def _text(self, field: TextField) -> Any:
        box = ipywidgets.Text(
            value=field.text if field.given and not field.is_null else "",
            placeholder=_placeholder(field),
            description=_title(field),
            tooltip=_tip(field),
            continuous_update=False,
            style=_STYLE,
            layout=WIDE,
        )

        def typed(change: Mapping[str, Any]) -> None:
            def take() -> None:
                field.type_in(change["new"])
                if not field.given and box.value:
                    box.value = ""

            self._act(take)

        box.observe(typed, "value")
        return box

    def _choice(self, field: ChoiceField) -> Any:
        default = field.node.default
        if field.node.is_flag and isinstance(default, bool) and not field.node.nullable:
            return self._flag(field)
        options = [(_option(value), position) for position, value in enumerate(field.options)]
        if default is MISSING or default is None:
            options.insert(0, ("–" if not field.required else "choose …", _NOTHING))
        elif field.node.nullable:
            options.insert(0, ("none", _NULL))
        position = _NULL if default is not None else _NOTHING
        if not field.is_null:
            position = _NOTHING if field.position is None else field.position
        box = ipywidgets.Dropdown(
            options=options,
            value=position,
            description=_title(field),
            tooltip=_tip(field),
            style=_STYLE,
            layout=WIDE,
        )

        def chosen(change: Mapping[str, Any]) -> None:
            new = change["new"]
            self._act(
                lambda: (
                    field.enter(None)
                    if new == _NULL
                    else field.choose(None if new == _NOTHING else new)
                )
            )

        box.observe(chosen, "value")
        return box

    def _flag(self, field: ChoiceField) -> Any:
        box = ipywidgets.Checkbox(
            value=field.effective() is True,
            description=_title(field),
            tooltip=_tip(field),
            indent=False,
            style=_STYLE,
            layout=WIDE,
        )
        box.observe(lambda change: self._act(lambda: field.enter(change["new"])), "value")
        return box

    # --- groups

    def _group(self, field: Field) -> tuple[Any, ...]:
        if isinstance(field, UnionField):
            return self._union(field)
        name = _title(field)
        if not field.is_open and isinstance(field, ObjectField):
            add = button(f"Add {name}", lambda: self._begin(field))
            return (html(name, look="head"), _help(field), add)
        inside = with_class(ipywidgets.VBox(), "group")
        if isinstance(field.parent, UnionField):
            inside.children = self._members(field)
            if not isinstance(field, ObjectField):
                self._fills[field] = lambda: setattr(inside, "children", self._members(field))
            return (inside,)
        at_first = field.required and not field.node.nullable and _is_small(field)
        opened = self._folds.get(field.path, at_first)
        fold = ipywidgets.ToggleButton(value=opened, tooltip=f"Show or hide {name}", layout=WIDE)

        def fill() -> None:
            self._folds[field.path] = fold.value
            fold.description = f"{'▾' if fold.value else '▸'} {name}{_count(field)}"
            self._forget(field)
            inside.children = self._members(field) if fold.value else ()
            inside.layout.display = None if fold.value else "none"

        fill()
        fold.observe(lambda _: self._act(fill), "value")
        if not isinstance(field, ObjectField):
            self._fills[field] = fill
        return (with_class(fold, "fold"), _help(field), inside)

    def _begin(self, field: Field) -> None:
        self._folds[field.path] = True
        self._act(field.begin, rebuilt=field)

    def _members(self, field: Field) -> list[Any]:
        if isinstance(field, ListField):
            return self._items(field)
        if isinstance(field, DictionaryField):
            return self._entries(field)
        members = [self._build(inner) for inner in self._visible(field.children)]
        if not field.required and field.node.default in (MISSING, None):
            name = _title(field)
            members.append(
                button(f"Remove {name}", lambda: self._act(field.withdraw, rebuilt=field))
            )
        return members

    def _items(self, field: ListField) -> list[Any]:
        members: list[Any] = []
        for position, item in enumerate(field.items):
            name = f"{_title(field)} {position + 1}"
            members.append(self._build(item))
            if not field.is_fixed:
                members.append(row(*self._item_buttons(field, position, name)))
        if not field.is_fixed:
            members.append(
                button(f"Add to {_title(field)}", lambda: self._act(field.add, rebuilt=field))
            )
        return members

    def _item_buttons(self, field: ListField, position: int, name: str) -> list[Any]:
        remove = button(
            "Remove",
            lambda: self._act(lambda: field.remove(position), rebuilt=field),
            tip=f"Remove {name}",
        )
        up = button(
            "Move up",
            lambda: self._act(lambda: field.move_up(position), rebuilt=field),
            tip=f"Move {name} up",
        )
        return [remove, up] if position else [remove]

    def _entries(self, field: DictionaryField) -> list[Any]:
        members = [self._entry(field, position) for position in range(len(field.entries))]
        add = button(f"Add to {_title(field)}", lambda: self._act(field.add, rebuilt=field))
        return [*members, add]

    def _entry(self, field: DictionaryField, position: int) -> Any:
        name, value = field.entries[position]
        common = {"description": "Name", "value": name, "style": _STYLE, "layout": WIDE}
        known = field.node.entry_names
        key = (
            ipywidgets.Dropdown(options=list(dict.fromkeys((*known, name))), **common)
            if known
            else ipywidgets.Text(continuous_update=False, **common)
        )

        def renamed(change: Mapping[str, Any]) -> None:
            self._act(lambda: field.rename(position, change["new"]), rebuilt=field)

        key.observe(renamed, "value")
        remove = button(
            "Remove",
            lambda: self._act(lambda: field.remove(position), rebuilt=field),
            tip=f"Remove {name}",
        )
        held = with_class(ipywidgets.VBox([key]), "field")
        held.layout.flex = "0 1 120px"
        shown = self._build(value)
        shown.layout.flex = "1 1 180px"
        remove.layout.margin = "22px 0 0 4px"  # as far down as the boxes, which have labels
        line = row(held, shown, remove)
        line.layout.align_items = "flex-start"
        return line

    def _union(self, field: UnionField) -> tuple[Any, ...]:
        options = [(printable(name), position) for position, name in enumerate(field.names)]
        chosen = _NOTHING if field.position is None or field.is_null else field.position
        if chosen == _NOTHING or field.node.nullable or not field.required:
            default = field.node.default
            nothing = "choose …" if field.required and not field.node.nullable else "–"
            unset = nothing if default in (MISSING, None) else "default"
            options.insert(0, (unset, _NOTHING))
        box = ipywidgets.Dropdown(
            options=options,
            value=chosen,
            description=_title(field),
            tooltip=_tip(field),
            style=_STYLE,
            layout=WIDE,
        )

        inside = ipywidgets.VBox()

        def fill() -> None:
            self._forget(field)
            inner = None if field.is_null else field.inner
            inside.children = [self._build(inner)] if _is_filled_in(inner) else ()

        def turned(change: Mapping[str, Any]) -> None:
            new = None if change["new"] == _NOTHING else change["new"]

            def turn() -> None:
                field.choose(new)
                fill()

            self._act(turn)

        fill()
        box.observe(turned, "value")
        return (box, _help(field), inside)


def _is_filled_in(field: Field | None) -> TypeGuard[Field]:
    """Whether an alternative has anything to fill in."""
    if isinstance(field, ObjectField):
        return any(not isinstance(inner, ConstantField) for inner in field.children)
    return field is not None and not isinstance(field, ConstantField)


def _title(field: Field) -> str:
    if field.title:
        return printable(field.title)
    above = field.parent
    if isinstance(field.key, int) and above is not None:
        return f"{_title(above)} {field.key + 1}"
    return _title(above) if above is not None else "Value"


def _tip(field: Field) -> str:
    return printable(field.node.description) or _title(field)


def _help(field: Field) -> Any:
    # one entry of a dictionary is like the other
    return html("" if isinstance(field.parent, DictionaryField) else field.node.description)


def _placeholder(field: TextField) -> str:
    default = field.node.default
    if field.is_null or default is None:
        return "none"
    if default is not MISSING:
        return field.text if not field.given else value_text(default, 80)
    return "required" if field.required else ""


def _option(value: Any) -> str:
    return (
        {True: "yes", False: "no"}[value]
        if isinstance(value, bool)
        else printable(value_text(value, 80))
    )


def _count(field: Field) -> str:
    many = isinstance(field, ListField | DictionaryField)
    return f" ({len(field.children)})" if many else ""


def _is_small(field: Field) -> bool:
    return sum(1 for _ in field.walk()) <= 12


def _in_words(problem: Problem, field: Field) -> str:
    if isinstance(field, UnionField | ChoiceField) and field.position is None:
        return "Choose one."
    if problem.found is MISSING:
        allowed = problem.allowed.removesuffix("; required").removesuffix("; the field is required")
        return f"Needed: {allowed}."
    words = str(problem).removeprefix(f"{problem.path}: ")
    return f"{words[:1].upper()}{words[1:]}."
