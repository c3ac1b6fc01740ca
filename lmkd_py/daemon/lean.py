"""Stand-ins for `typing`, `enum` and `collections.abc` in the armed daemon: they cost 2.3 MB in each of two processes.

Installed before anything else of the payload is imported, and only there: host, tests and `lmkd-py check` use the real
ones. The values they make are the same tuples and the same ints; what is missing is what the payload never uses
(type checking at run time, names of enum members).
"""

from __future__ import annotations

import _collections_abc
import sys
from _collections import _tuplegetter  # type: ignore[import-not-found]

MODULE = type(sys)


class _NamedTupleMeta(type):
    """Builds what typing.NamedTuple builds: a tuple with named fields, defaults and the class body's methods."""

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, object]) -> type:
        if not bases:
            return type.__new__(mcs, name, bases, body)
        annotations = body.pop("__annotations__", {})
        fields: tuple[str, ...] = tuple(annotations) if isinstance(annotations, dict) else ()
        defaults = tuple(body.pop(field) for field in fields if field in body)
        arguments = ", ".join(fields)
        # One generated function a class, as the standard library has it: the fastest constructor there is.
        new = eval(f"lambda cls, {arguments}: make(cls, ({arguments},))", {"make": tuple.__new__})
        new.__defaults__ = defaults or None
        made = {
            "__slots__": (),
            "__new__": new,
            "__repr__": _repr,
            "_fields": fields,
            "_field_defaults": dict(zip(fields[len(fields) - len(defaults) :], defaults)),
            "_make": classmethod(_make),
            "_replace": _replace,
            "_asdict": _asdict,
        }
        made.update({field: _tuplegetter(index, None) for index, field in enumerate(fields)})
        body.pop("__orig_bases__", None)
        return type(name, (tuple,), {**body, **made})


class NamedTuple(metaclass=_NamedTupleMeta):
    """The class syntax of typing.NamedTuple, without importing typing."""


class IntEnum:
    """A class whose members stay the plain ints they are written as."""


def _make(cls: type[tuple[object, ...]], values: tuple[object, ...]) -> tuple[object, ...]:
    made: tuple[object, ...] = tuple.__new__(cls, values)
    if len(made) != len(cls._fields):  # type: ignore[attr-defined]
        raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")  # type: ignore[attr-defined]
    return made


def _replace(self: tuple[object, ...], **changes: object) -> tuple[object, ...]:
    made = tuple.__new__(type(self), [changes.pop(f, v) for f, v in zip(self._fields, self)])  # type: ignore[attr-defined]
    if changes:
        raise ValueError(f"Got unexpected field names: {list(changes)!r}")
    return made


def _asdict(self: tuple[object, ...]) -> dict[str, object]:
    return dict(zip(self._fields, self))  # type: ignore[attr-defined]


def _repr(self: tuple[object, ...]) -> str:
    fields = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self))  # type: ignore[attr-defined]
    return f"{type(self).__name__}({fields})"


class _Annotation:
    """What Callable[..., int], Protocol and the other words for type checkers come to at run time."""

    def __class_getitem__(cls, _: object) -> type:
        return cls


def _any(_: str) -> type:
    return _Annotation


def install() -> None:
    """Put the stand-ins where `import typing` and `import enum` find them."""
    typing, enum = MODULE("typing"), MODULE("enum")
    typing.__dict__.update(NamedTuple=NamedTuple, TYPE_CHECKING=False, __getattr__=_any)
    enum.__dict__["IntEnum"] = IntEnum
    sys.modules["typing"] = typing
    sys.modules["enum"] = enum
    # `os` has loaded it anyway; by its own name it brings all of `collections` along, for us and for the module array.
    sys.modules["collections"] = MODULE("collections")
    sys.modules["collections.abc"] = _collections_abc
