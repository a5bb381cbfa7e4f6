"""Links between pages lead somewhere, every page is in the index, and every reference page has its test."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.docs.tables import DOCS, without_blocks

if TYPE_CHECKING:
    from pathlib import Path

ROOT = DOCS.parent
PAGES = sorted(
    [
        *DOCS.rglob("*.md"),
        *ROOT.glob("*.md"),
        *(ROOT / "sdk").glob("*/*.md"),
        *(ROOT / "examples").glob("*/*.md"),
    ]
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
INDEX = DOCS / "README.md"

_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_MENTION = re.compile(r"\bdocs/(?:decisions|howto|reference|tutorial)/[\w-]+\.md\b")


def links_of(page: Path) -> list[str]:
    """Where a page links to within the repository; links in code blocks are none."""
    found = _LINK.findall(without_blocks(page.read_text(encoding="utf-8")))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = _HEADING.findall(without_blocks(page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def target_of(page: Path, link: str) -> tuple[Path, str]:
    path, _, anchor = link.partition("#")
    return (page.parent / path).resolve() if path else page, anchor


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links_of(page):
        target, anchor = target_of(page, link)
        assert target.exists(), f"{link}: there is no such file"
        assert target.is_relative_to(ROOT), f"{link} leads out of the repository"
        if anchor:
            assert anchor in anchors_of(target), f"{link}: no heading there has this anchor"


def test_every_page_is_in_the_index_once() -> None:
    linked = Counter(target_of(INDEX, link)[0] for link in links_of(INDEX))
    wanted = {page for page in DOCS.rglob("*.md") if page != INDEX and page.parent.name != "decisions"}
    missing = sorted(str(page.relative_to(DOCS)) for page in wanted - set(linked))
    assert not missing, f"docs/README.md does not link to {', '.join(missing)}"
    assert [str(page) for page, count in linked.items() if count > 1] == []


def test_every_reference_page_has_a_test() -> None:
    tests = "".join(test.read_text(encoding="utf-8") for test in (ROOT / "tests" / "docs").glob("test_*.py"))
    untested = [page.name for page in (DOCS / "reference").glob("*.md") if f"reference/{page.name}" not in tests]
    assert untested == []


def test_pages_that_the_code_names_exist() -> None:
    files = [file for top in ("src", "tests", "sdk", "examples") for file in (ROOT / top).rglob("*") if is_text(file)]
    named = {name for file in files for name in _MENTION.findall(file.read_text(encoding="utf-8"))}
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def is_text(file: Path) -> bool:
    return file.suffix in (".py", ".h", ".c", ".ts", ".wat", ".sql") and "node_modules" not in file.parts
