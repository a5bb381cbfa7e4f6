from __future__ import annotations

from typing import TYPE_CHECKING, Any

import apsw
import pytest

from caxton.core.errors.values import InvalidValue
from caxton.tools.builtin.sql import SqlSettings, sql_source
from tests.tool_calls import asked, said, trouble

if TYPE_CHECKING:
    from pathlib import Path


async def test_query_answers_with_columns_and_rows_within_the_limits_of_the_grant(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    connection: Any = apsw.Connection(str(path))
    connection.execute("CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z')").fetchall()
    connection.close()
    source = sql_source("sql", SqlSettings.parse({"sqlite": str(path), "max_rows": 2}))
    assert await asked(source, "query", sql="SELECT * FROM t WHERE a > ?", parameters=[1]) == {
        "columns": ["a", "b"], "rows": [[2, "y"], [3, "z"]], "more": False,
    }  # fmt: skip
    found = await asked(source, "query", sql="SELECT a FROM t", max_rows=10_000)
    assert (len(found["rows"]), found["more"]) == (2, True)
    assert (await asked(source, "query", sql="SELECT a FROM t", max_rows=1))["rows"] == [[1]]
    assert await trouble(source, "query", sql="DELETE FROM t") == "refused"
    assert "no such table" in await said(source, "query", sql="SELECT * FROM u")
    assert "NUL" in await said(source, "query", sql="SELECT 1\0")
    await source.close()


@pytest.mark.parametrize(
    "options", [{}, {"sqlite": "x", "postgres": "y"}, {"sqlite": "x", "max_rows": 0}, {"sqlite": "x", "typo": 1}]
)
def test_options_that_will_not_do_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        SqlSettings.parse(options)


def test_url_that_is_none_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidValue) as caught:
        sql_source("sql", SqlSettings.parse({"postgres": "pass-word"}))
    assert "pass-word" not in str(caught.value)
