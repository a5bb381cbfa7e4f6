"""Why a node takes no work."""

from __future__ import annotations

import pytest

from caxton.bus.dead_letters import CAUSE
from caxton.bus.disk import DISK, JOURNAL, LOG
from caxton.server.readiness import reasons


def codes(state: str, *causes: str, has_failed: bool = False) -> list[str]:
    return [reason.code for reason in reasons(state, causes, has_failed=has_failed)]


def test_ready_node_has_no_reason() -> None:
    assert codes("ready") == []


@pytest.mark.parametrize(("state", "code"), [("starting", "STARTING"), ("stopping", "STOPPING")])
def test_node_that_starts_or_stops_says_so(state: str, code: str) -> None:
    assert codes(state) == [code]


def test_every_reason_is_told_the_gravest_first() -> None:
    found = codes("stopping", JOURNAL, DISK, has_failed=True)
    assert found == ["STORAGE_FAILED", "STOPPING", "JOURNAL_FULL", "DISK_FULL"]


def test_every_cause_that_closes_the_intake_has_words_of_its_own() -> None:
    found = reasons("ready", (DISK, JOURNAL, LOG, CAUSE), has_failed=False)
    assert not [reason for reason in found if "nothing new is taken" in reason.what]
    assert all(reason.what and reason.next for reason in found)


def test_cause_that_is_not_known_is_told_nevertheless() -> None:
    assert codes("ready", "too-hot") == ["TOO_HOT"]
