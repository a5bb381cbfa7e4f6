"""The official conformance suite finds nothing wrong but what we do not offer; and no entry of that list is stale."""

from __future__ import annotations

import pytest

from tests.integration.mcp_conformance import EXPECTED, FETCH_S, run_suite


@pytest.mark.timeout(FETCH_S)
@pytest.mark.parametrize(
    ("revision", "options"),
    [
        ("2026-07-28", ("--requirements", "2026-07-28")),
        ("2025-11-25", ("--requirements", "2025-11-25")),
        ("2025-06-18", ("--suite", "all", "--spec-version", "2025-06-18")),
    ],
)
async def test_official_suite_fails_exactly_where_something_is_not_offered(
    revision: str, options: tuple[str, ...]
) -> None:
    code, said = await run_suite(*options, "--expected-failures", str(EXPECTED / f"{revision}.yml"))
    assert (code, "Baseline check passed" in said) == (0, True), said[-3000:]
