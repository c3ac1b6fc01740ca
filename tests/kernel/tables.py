"""Tables of one file or several, for tests of what is read."""

from __future__ import annotations

from pathlib import Path

from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.kernel.sensing.procfs.table import Row, Table


def empty(*rows: Row) -> Table:
    names = tuple(dict.fromkeys(row.field for row in rows))
    return Table((ABSENT,) * len(names), names)


def pinned(path: Path, rows: tuple[Row, ...]) -> Table:
    table = empty(*rows)
    table.pin(str(path), rows)
    return table


def numbers(table: Table) -> dict[str, int]:
    return dict(zip(table.names, table.read(), strict=True))
