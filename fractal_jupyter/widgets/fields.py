"""The fields of a form: a tree that holds what was filled in, and gives the document of it.

A field is *given* when its value is part of the document; where it is not, its default holds.
What `load` takes, `value` gives back, even where it does not fit the schema: a form never loses
what somebody wrote. `enter` is what a person does: a value that is the default is left out again,
so that documents stay as short as by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fractal_jupyter.models.problems import MISSING, child
from fractal_jupyter.widgets.schema import (
    JsonObject,
    Node,
    accepts,
    alternative_names,
    make_node,
    same,
)


class Field:
    """One place of a document.

    Args:
        node: What may stand there.
        parent: The field that it is part of.
        key: Its name or position in that field; of the first field, what all paths begin with.
        required: Whether it has to be given.

    Attributes:
        given: Whether its value is part of the document.
        misfit: A value that cannot be filled in here, kept as it is; `MISSING` if there is none.
        is_null: Whether it is given as null.
    """

    def __init__(
        self,
        node: Node,
        *,
        parent: Field | None = None,
        key: str | int = "",
        required: bool = True,
    ) -> None:
        self.node = node
        self.parent = parent
        self.key = key
        self.required = required
        self.given = False
        self.misfit: Any = MISSING
        self.is_null = False
        self.clear()

    @property
    def path(self) -> str:
        """Where it is, in the words of `Problem.path`."""
        if self.parent is None:
            return str(self.key)
        return child(self.parent.path, self.key) if self.key != "" else self.parent.path

    @property
    def title(self) -> str:
        """What it is called."""
        return self.node.title or (self.key if isinstance(self.key, str) else "")

    @property
    def children(self) -> tuple[Field, ...]:
        """The fields that it consists of at the moment."""
        return ()

    @property
    def is_open(self) -> bool:
        """Whether there is something to fill in, rather than nothing or null."""
        begun = self.given or self.required or self.node.default is not MISSING
        return begun and not self.is_null and self.misfit is MISSING

    def walk(self) -> Iterator[Field]:
        """This field, and all below it."""
        yield self
        if not self.is_null and self.misfit is MISSING:
            for field in self.children:
                yield from field.walk()

    def value(self) -> Any:
        """Its value; only for fields that are given."""
        if self.misfit is not MISSING:
            return self.misfit
        return None if self.is_null else self._value()

    def effective(self) -> Any:
        """What holds in the end, defaults included; `MISSING` if nothing does."""
        if self.misfit is not MISSING or self.is_null:
            return self.value()
        return self._effective() if self.given or self.node.default is not MISSING else MISSING

    def clear(self) -> None:
        """Take everything back: nothing given, but for what a required field begins with."""
        self.misfit, self.is_null, self.given = MISSING, False, False
        self._empty()
        if self.node.default is not MISSING:
            self._prefill(self.node.default)
            self.given = self.required
        elif self.required and self.node.nullable:
            self.is_null = self.given = True
        elif self.required:
            self.given = self._fresh()

    def begin(self) -> None:
        """Have something to fill in, where there was nothing, null or a misfit."""
        self.misfit, self.is_null = MISSING, False
        self._empty()
        self.given = self._fresh()
        self.settle()

    def load(self, value: Any) -> None:
        """Take a value over as it is."""
        self.given = True
        self.is_null = value is None and self.node.nullable
        fits = self.is_null or self._fits(value)
        self.misfit = MISSING if fits else value
        if fits and not self.is_null:
            self._load(value)

    def enter(self, value: Any) -> None:
        """Take over what a person has filled in."""
        self.load(value)
        self.settle()

    def withdraw(self) -> None:
        """Take back what a person has filled in."""
        self.clear()
        self.settle()

    def settle(self) -> None:
        """After a change: leave out what is the default anyhow, and have all around it given."""
        if not self.required and self.misfit is MISSING:
            if self._is_default():
                self.given = False
            elif same(self.value(), self.node.default):
                # In its words it is; what goes without saying there is said to begin with.
                self.clear()
        above = self.parent
        if above is not None:
            above.is_null = False
            above.given = True
            above.settle()

    def _is_default(self) -> bool:
        if self.node.default is MISSING:
            return False
        begun = type(self)(self.node, required=False)
        return same(begun.effective(), self.effective())

    def _prefill(self, default: Any) -> None:
        """Show a default, as something to begin with."""
        self.load(default)
        self.given = False

    def _empty(self) -> None:
        """Forget what was filled in."""
        raise NotImplementedError

    def _fresh(self) -> bool:
        """Have what there always is; return whether that is a value already."""
        return False

    def _fits(self, value: Any) -> bool:  # noqa: ARG002 - text takes anything
        """Whether a value can be filled in here."""
        return True

    def _load(self, value: Any) -> None:
        raise NotImplementedError

    def _value(self) -> Any:
        raise NotImplementedError

    def _effective(self) -> Any:
        return self._value()


class TextField(Field):
    """Anything that is typed: text, numbers, and JSON where a schema allows anything.

    What cannot be read as the number or the JSON that is asked for becomes text, and is refused
    by whoever checks the document.
    """

    text = ""
    _loaded: tuple[str, Any] | None = None

    def type_in(self, text: str) -> None:
        """Take over typed text; none at all takes the value back."""
        if text == "" and not isinstance(self.key, int):
            self.withdraw()
        elif self._loaded is None or text != self._loaded[0] or self.is_null or not self.given:
            self.enter(_read(text, self.node.kind))

    def _empty(self) -> None:
        self.text, self._loaded = "", None

    def _load(self, value: Any) -> None:
        plain = isinstance(value, str) and self.node.kind != "anything"
        self.text = value if plain else json.dumps(value, ensure_ascii=False, default=repr)
        self._loaded = (self.text, value)

    def _value(self) -> Any:
        return self._loaded[1] if self._loaded is not None else None


def _read(text: str, kind: str) -> Any:
    if kind == "text":
        return text
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text
    if kind == "anything":
        return value
    return value if isinstance(value, int | float) and not isinstance(value, bool) else text


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


class ChoiceField(Field):
    """One of a few values; `position` tells which, None for none yet."""

    position: int | None = None

    @property
    def options(self) -> tuple[Any, ...]:
        """The values."""
        return self.node.options

    def choose(self, position: int | None) -> None:
        """Take over a choice; None takes it back."""
        if position is None:
            self.withdraw()
        else:
            self.enter(self.options[position])

    def _find(self, value: Any) -> int | None:
        places = (n for n, option in enumerate(self.options) if same(option, value))
        return next(places, None)

    def _empty(self) -> None:
        self.position = None

    def _fits(self, value: Any) -> bool:
        return self._find(value) is not None

    def _load(self, value: Any) -> None:
        self.position = self._find(value)

    def _value(self) -> Any:
        return None if self.position is None else self.options[self.position]


class ConstantField(ChoiceField):
    """The only value that there may be."""

    def _fresh(self) -> bool:
        self.position = 0
        return True


class ObjectField(Field):
    """Fields with names; those that the schema does not know are kept in `extra`."""

    fields: Mapping[str, Field]
    extra: JsonObject

    @property
    def children(self) -> tuple[Field, ...]:
        """Its fields."""
        return tuple(self.fields.values())

    def _empty(self) -> None:
        self.fields, self.extra = {}, {}

    def _make(self) -> None:
        # what tells it from the other alternatives of a union has to be said, default or not
        alternative = self.node.tag is not None or isinstance(self.parent, UnionField)
        self.extra = {}
        self.fields = {
            name: make_field(
                schema,
                self.node.root,
                parent=self,
                key=name,
                required=name in self.node.required
                or (alternative and make_node(schema, self.node.root).kind == "constant"),
            )
            for name, schema in self.node.fields.items()
        }

    def _fresh(self) -> bool:
        self._make()
        return True

    def _prefill(self, default: Any) -> None:
        if not self._fits(default):
            self.load(default)
            self.given = False
            return
        # It may have begun with null, where a union around it begins with something else.
        self.misfit, self.is_null = MISSING, False
        self._fresh()
        for name, value in default.items():
            field = self.fields.get(name)
            if field is None:
                self.extra[name] = value
            elif not same(field.node.default, value):
                field.load(value)

    def _fits(self, value: Any) -> bool:
        return isinstance(value, dict)

    def _load(self, value: Any) -> None:
        self._make()
        for name, field in self.fields.items():
            if name in value:
                field.load(value[name])
            else:
                field.given = False
        self.extra = {name: v for name, v in value.items() if name not in self.fields}

    def _value(self) -> Any:
        values = {name: field.value() for name, field in self.fields.items() if field.given}
        return {**values, **self.extra}

    def _effective(self) -> Any:
        values = {name: field.effective() for name, field in self.fields.items()}
        return {**{n: v for n, v in values.items() if v is not MISSING}, **self.extra}


class ListField(Field):
    """Items, one after the other."""

    items: list[Field]

    @property
    def children(self) -> tuple[Field, ...]:
        """Its items."""
        return tuple(self.items)

    @property
    def is_fixed(self) -> bool:
        """Whether each item has its own meaning, so that none is added or moved."""
        return bool(self.node.fixed_items)

    def add(self) -> Field:
        """Add an item at the end."""
        self.items.append(self._item(len(self.items)))
        self.given, self.is_null = True, False
        self.settle()
        return self.items[-1]

    def remove(self, position: int) -> None:
        """Remove an item."""
        del self.items[position]
        self._number()

    def move_up(self, position: int) -> None:
        """Exchange an item with the one before it."""
        before = position - 1
        self.items[before], self.items[position] = self.items[position], self.items[before]
        self._number()

    def _number(self) -> None:
        for position, item in enumerate(self.items):
            item.key = position
        self.given = True
        self.settle()

    def _item(self, position: int) -> Field:
        return make_field(self.node.item(position), self.node.root, parent=self, key=position)

    def _empty(self) -> None:
        self.items = []

    def _fresh(self) -> bool:
        self.items = [self._item(position) for position in range(len(self.node.fixed_items))]
        return True

    def _fits(self, value: Any) -> bool:
        return isinstance(value, list)

    def _load(self, value: Any) -> None:
        self.items = [self._item(position) for position in range(len(value))]
        for item, content in zip(self.items, value, strict=True):
            item.load(content)

    def _value(self) -> Any:
        return [_item_value(item) for item in self.items]


class DictionaryField(Field):
    """Values with names that the user gives."""

    entries: list[tuple[str, Field]]

    @property
    def children(self) -> tuple[Field, ...]:
        """The fields of its values."""
        return tuple(field for _, field in self.entries)

    def add(self) -> Field:
        """Add an entry, under the first name that is free."""
        known = {name for name, _ in self.entries}
        number = (f"name_{n}" for n in range(1, len(known) + 2))
        name = next(n for n in (*self.node.entry_names, *number) if n not in known)
        field = self._entry(name)
        self.entries.append((name, field))
        self.given, self.is_null = True, False
        self.settle()
        return field

    def rename(self, position: int, name: str) -> bool:
        """Give an entry another name; return whether that name was free."""
        old, field = self.entries[position]
        if name != old and any(name == other for other, _ in self.entries):
            return False
        field.key = name
        self.entries[position] = (name, field)
        self.given = True
        self.settle()
        return True

    def remove(self, position: int) -> None:
        """Remove an entry."""
        del self.entries[position]
        self.given = True
        self.settle()

    def _entry(self, name: str) -> Field:
        return make_field(self.node.entry, self.node.root, parent=self, key=name)

    def _empty(self) -> None:
        self.entries = []

    def _fresh(self) -> bool:
        return True

    def _fits(self, value: Any) -> bool:
        return isinstance(value, dict)

    def _load(self, value: Any) -> None:
        self.entries = [(name, self._entry(name)) for name in value]
        for name, field in self.entries:
            field.load(value[name])

    def _value(self) -> Any:
        return {name: _item_value(field) for name, field in self.entries}


def _item_value(field: Field) -> Any:
    """The value of something that cannot be left out."""
    if field.given:
        return field.value()
    return "" if field.node.kind == "text" else None


class UnionField(Field):
    """One of several alternatives; `position` tells which, None for none yet."""

    position: int | None = None
    inner: Field | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What the alternatives are called."""
        return alternative_names(self.node)

    @property
    def children(self) -> tuple[Field, ...]:
        """The field of the alternative, if there is one already."""
        return () if self.inner is None else (self.inner,)

    def choose(self, position: int | None) -> None:
        """Turn to another alternative, filled in with what it begins with; None takes it back."""
        if position is None:
            self.withdraw()
            return
        self.misfit, self.is_null, self.given = MISSING, False, True
        self._turn_to(position)
        self.settle()

    def _turn_to(self, position: int) -> Field:
        self.position = position
        # an empty key: the alternative is at the place of the union itself
        self.inner = make_field(self.node.alternatives[position], self.node.root, parent=self)
        return self.inner

    def _find(self, value: Any) -> int | None:
        alternatives, root = self.node.alternatives, self.node.root
        for position, schema in enumerate(alternatives):
            if accepts(schema, root, value):
                return position
        if isinstance(value, dict) and self.node.tag in value:
            tag = {"type": "object", "required": [self.node.tag]}
            for position, schema in enumerate(alternatives):
                own = schema.get("properties", {}).get(self.node.tag, False)
                if own and accepts({**tag, "properties": {self.node.tag: own}}, root, value):
                    return position
        return None

    def _empty(self) -> None:
        self.position, self.inner = None, None

    def _fits(self, value: Any) -> bool:
        return self._find(value) is not None

    def _prefill(self, default: Any) -> None:
        position = self._find(default)
        if position is None:
            super()._prefill(default)
            return
        inner = self._turn_to(position)
        inner._prefill(default)
        inner.given = True

    def _load(self, value: Any) -> None:
        position = self._find(value)
        if position is not None:
            self._turn_to(position).load(value)

    def _value(self) -> Any:
        return None if self.inner is None else _item_value(self.inner)

    def _effective(self) -> Any:
        return MISSING if self.inner is None else self.inner.effective()


_FIELDS: Final[Mapping[str, type[Field]]] = {
    "text": TextField,
    "integer": TextField,
    "number": TextField,
    "anything": TextField,
    "choice": ChoiceField,
    "constant": ConstantField,
    "object": ObjectField,
    "list": ListField,
    "dictionary": DictionaryField,
    "union": UnionField,
}
_DEEPEST: Final = 12


def make_field(
    schema: Any,
    root: JsonObject,
    *,
    parent: Field | None = None,
    key: str | int = "",
    required: bool = True,
) -> Field:
    """Make the field of a schema; what is nested deeper than anybody fills in is one of JSON."""
    node = make_node(schema, root)
    depth, above = 0, parent
    while above is not None:
        depth, above = depth + 1, above.parent
    if depth > _DEEPEST and node.kind in ("object", "union", "list", "dictionary"):
        node = make_node({"title": node.title, "description": node.description}, root)
    return _FIELDS[node.kind](node, parent=parent, key=key, required=required)
