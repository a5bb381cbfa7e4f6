from __future__ import annotations

import pytest

import caxton.core.errors
from caxton.cli.exits import ExitCode, exit_code_for
from caxton.core.errors import CaxtonError

PLAIN_FAILURES = {"INTERNAL_ERROR", "PROFILER_UNAVAILABLE", "SANDBOX_UNAVAILABLE", "SERVER_START_FAILED"}
"""Errors for which a script can do nothing special."""

KINDS = [kind for kind in vars(caxton.core.errors).values() if isinstance(kind, type) and issubclass(kind, CaxtonError)]


@pytest.mark.parametrize("code", sorted({kind.code for kind in KINDS}))
def test_every_error_has_an_exit_code_that_a_script_can_act_on(code: str) -> None:
    assert (exit_code_for(code) is ExitCode.FAILURE) == (code in PLAIN_FAILURES)


@pytest.mark.parametrize(
    ("status", "exit_code"),
    [(400, 4), (401, 6), (403, 6), (404, 3), (409, 5), (429, 5), (500, 1), (502, 9), (503, 7), (504, 8), (None, 1)],
)
def test_code_of_a_later_server_goes_by_its_status(status: int | None, exit_code: int) -> None:
    assert exit_code_for("SOMETHING_NEW", status) == exit_code
