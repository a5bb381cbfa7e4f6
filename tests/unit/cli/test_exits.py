from __future__ import annotations

import pytest

from caxton.cli.exits import ExitCode, exit_code_for
from tests.error_kinds import error_kinds

PLAIN_FAILURES = {"INTERNAL_ERROR", "PROFILER_UNAVAILABLE", "SANDBOX_UNAVAILABLE", "SERVER_START_FAILED"}
"""Errors for which a script can do nothing special."""


@pytest.mark.parametrize("code", sorted({kind.code for kind in error_kinds()}))
def test_every_error_has_an_exit_code_that_a_script_can_act_on(code: str) -> None:
    assert (exit_code_for(code) is ExitCode.FAILURE) == (code in PLAIN_FAILURES)


@pytest.mark.parametrize(
    ("status", "exit_code"),
    [(400, 4), (401, 6), (403, 6), (404, 3), (409, 5), (429, 5), (500, 1), (502, 9), (503, 7), (504, 8), (None, 1)],
)
def test_code_of_a_later_server_goes_by_its_status(status: int | None, exit_code: int) -> None:
    assert exit_code_for("SOMETHING_NEW", status) == exit_code
