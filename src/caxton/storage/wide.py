"""Many rows in one step of SQLite.

The interpreter's lock is given back and taken again around each step. While the event loop computes, taking it again
costs more than the row itself: a thousand inserts took 20 ms one by one, and 4 ms in steps of 32.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caxton.storage.database import Statement

ROWS_PER_STEP = 32
"""More rows make statements that take longer to bind, with the lock held."""


_VALUES = re.compile(r"VALUES (\([?, ]+\))$")


def in_few_steps(statement: Statement) -> list[Statement]:
    """The same inserts with many rows a step; other statements as they are."""
    sql, rows = statement
    full = len(rows) - len(rows) % ROWS_PER_STEP
    found = _VALUES.search(sql) if full else None
    if found is None:
        return [statement]
    wide = [tuple(chain.from_iterable(rows[n : n + ROWS_PER_STEP])) for n in range(0, full, ROWS_PER_STEP)]
    statements: list[Statement] = [(sql + f", {found[1]}" * (ROWS_PER_STEP - 1), wide)]
    if len(rows) > full:
        statements.append((sql, rows[full:]))
    return statements
