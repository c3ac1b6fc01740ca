"""Prints everything about the payload's values that its code could notice, one line each. Argument: `lean` or `real`.

Started like the daemon, without site-packages. The test runs it once with the stand-ins and once with the standard
library's own typing and enum, and compares the two outputs.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # not loaded: whether the payload does is to be seen
    from collections.abc import Callable, Iterator

ROOMS = ("core", "kernel", "wire", "daemon")
# `lmkd-py check` and what tests and bench count with: no part of the armed daemon, which the test checks.
APART = ("__main__.py", "check.py", "probe.py", "perf.py")


def modules(package: str) -> Iterator[str]:
    """Dotted names of the payload's modules; programs that only start others are left out."""
    for room in ROOMS:
        top = os.path.join(package, room)
        for directory, _, names in sorted(os.walk(top)):
            for name in sorted(names):
                path = os.path.relpath(os.path.join(directory, name), os.path.dirname(package))
                if name.endswith(".py") and name not in APART and "selftest" not in path:
                    yield path[:-3].replace(os.sep, ".").removesuffix(".__init__")


def outcome(attempt: Callable[[], object]) -> str:
    """What it gives, or that it refuses (which error it is differs between Pythons)."""
    try:
        return repr(attempt())
    except (TypeError, ValueError, AttributeError):
        return "refused"


def plain(value: object) -> object:
    """Members of an enum say their number in both worlds."""
    if isinstance(value, tuple):
        return tuple(plain(each) for each in value)
    return int(value) if isinstance(value, int) else value


def facts(cls: type) -> Iterator[tuple[str, str]]:
    """Everything that a NamedTuple promises, as (name, value)."""
    fields: tuple[str, ...] = cls._fields  # type: ignore[attr-defined]
    count = len(fields)
    values = [index * 3 + 1 for index in range(count)]
    defaults = cls._field_defaults  # type: ignore[attr-defined]
    one = cls(*values)
    yield "fields", repr(fields)
    yield "defaults", repr({name: plain(value) for name, value in defaults.items()})
    yield "bases", repr((cls.__name__, cls.__bases__, cls.__slots__))  # type: ignore[attr-defined]
    yield "repr", repr(one)
    yield "by name", repr(cls(**dict(zip(fields, values))) == one)
    yield "fewest", outcome(lambda: plain(cls(*values[: count - len(defaults)])))
    yield "too few", outcome(lambda: cls(*values[: count - len(defaults) - 1]) if count > len(defaults) else None)
    yield "too many", outcome(lambda: cls(*values, 1))
    yield "unknown name", outcome(lambda: cls(*values[:-1], nonsense=1))
    yield "attributes", repr([getattr(one, name) for name in fields])
    yield "read-only", outcome(lambda: setattr(one, fields[0], 1))
    yield "no more attributes", outcome(lambda: setattr(one, "nonsense", 1))
    yield (
        "equal",
        repr((one == tuple(values), one == cls(*values), one != cls(*values), hash(one) == hash(tuple(values)))),
    )
    yield "order", repr((one < cls(*[9999] * count), sorted([one, cls(*[0] * count)])[0]))
    yield "unpacked", repr((*one, len(one), one[0], one[-1], one[1:2]))
    for index, name in enumerate(fields):
        changed = one._replace(**{name: -7})
        yield f"_replace {name}", repr((changed, type(changed) is cls, changed[index], one[index]))
    yield "_replace nothing", repr(one._replace())
    yield "_replace wrong", outcome(lambda: one._replace(nonsense=1))
    yield "_replace half wrong", outcome(lambda: one._replace(**{fields[0]: 1, "nonsense": 1}))
    yield "_make", repr((cls._make(values), type(cls._make(iter(values))) is cls))  # type: ignore[attr-defined]
    yield "_make too short", outcome(lambda: cls._make(values[:-1]))  # type: ignore[attr-defined]
    yield "_make too long", outcome(lambda: cls._make([*values, 1]))  # type: ignore[attr-defined]
    yield "_asdict", repr(one._asdict())


def members(cls: type) -> str:
    """Names and numbers of an enum's members, and that they are used as ints."""
    found = {name: value for name, value in vars(cls).items() if name.isupper() and isinstance(value, int)}
    return repr({name: (int(value), value + 1, f"{value:d}", value == int(value)) for name, value in found.items()})


def main() -> None:
    """Install what the argument says, import the whole payload, print."""
    parent = sys.argv[1]
    sys.path.insert(0, parent)
    from lmkd_py.daemon import lean

    if sys.argv[2] == "lean":
        lean.install()
    for name in modules(os.path.join(parent, "lmkd_py")):
        __import__(name)
    print(
        "loaded", *sorted(name for name, module in sys.modules.items() if getattr(module, "__spec__", None)), sep="\t"
    )
    seen = set()
    for name in sorted(sys.modules):
        if not name.startswith("lmkd_py.") or name == "lmkd_py.daemon.lean":
            continue
        for word, cls in sorted(vars(sys.modules[name]).items()):
            if not isinstance(cls, type) or cls.__module__ != name or cls in seen:
                continue
            seen.add(cls)
            if issubclass(cls, tuple) and hasattr(cls, "_fields"):
                for what, told in facts(cls):
                    print("value", f"{name}.{word}", what, told, sep="\t")
            elif cls.__mro__[1].__name__ == "IntEnum":
                print("enum", f"{name}.{word}", "members", members(cls), sep="\t")


if __name__ == "__main__":
    main()
