"""Reads pages of the manual, and says what is missing on which side."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

DOCS = Path(__file__).parents[2] / "docs"

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def read_page(name: str) -> str:
    """The text of a page, named from `docs/` on."""
    return (DOCS / name).read_text(encoding="utf-8")


def section(page: str, heading: str) -> str:
    """What stands below `heading`, up to the next one of its rank or above."""
    marks = heading.partition(" ")[0]
    _, found, rest = page.partition(f"\n{heading}\n")
    assert found, f"the page has no heading {heading!r}"
    return re.split(rf"(?m)^#{{1,{len(marks)}}} ", rest)[0]


def rows(text: str, *columns: str) -> list[list[str]]:
    """The rows of the one table in `text` that begins with `columns`."""
    tables = [_cells(block) for block in re.findall(r"(?:^\|.*\n)+", text + "\n", re.MULTILINE)]
    found = [table for table in tables if table[0][: len(columns)] == list(columns)]
    assert len(found) == 1, f"{len(found)} tables begin with {columns}, there should be one"
    head, _, *body = found[0]
    for row in body:
        assert len(row) == len(head), f"this row has {len(row)} cells and its table {len(head)} columns: {row}"
    return body


def _cells(block: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in block.splitlines()]


def words(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def word(cell: str) -> str:
    """The one text that stands in backticks and is the whole cell."""
    found = words(cell)
    assert [f"`{text}`" for text in found] == [cell], f"{cell!r} should be one text in backticks"
    return found[0]


def block(text: str, language: str) -> str:
    """The one code block of that language."""
    found = [content for kind, content in _BLOCK.findall(text) if kind == language]
    assert len(found) == 1, f"{len(found)} blocks in {language}, there should be one"
    return found[0]


def without_blocks(text: str) -> str:
    """`text` without its code blocks."""
    return _BLOCK.sub("", text)


def assert_same(what: str, *, code: Iterable[str], page: Iterable[str]) -> None:
    """Each thing of the code has one line on the page, and each line its thing."""
    there, listed = set(code), Counter(list(page))
    missing = sorted(there - set(listed))
    gone = sorted(set(listed) - there)
    twice = sorted(name for name, count in listed.items() if count > 1)
    assert not missing, f"{what} without a line on the page: {', '.join(missing)}"
    assert not gone, f"lines on the page for {what} that do not exist: {', '.join(gone)}"
    assert not twice, f"{what} with two lines on the page: {', '.join(twice)}"
