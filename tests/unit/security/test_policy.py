"""The policy, tried with every action and every role."""

from __future__ import annotations

import pytest

from caxton.core.errors.access import Forbidden
from caxton.security.policy import ACTIONS, PUBLIC, authorize
from caxton.security.principal import ANONYMOUS, Principal


def principal(*roles: str) -> Principal:
    return Principal("somebody", frozenset(roles))


def is_allowed(who: Principal, action: str) -> bool:
    try:
        authorize(who, action)
    except Forbidden:
        return False
    return True


def test_an_action_that_nobody_listed_is_denied_to_the_admin_too() -> None:
    with pytest.raises(Forbidden) as caught:
        authorize(principal("admin"), "agents:explode")
    assert caught.value.details() == {"principal": "somebody", "action": "agents:explode"}


def test_anonymous_may_ask_for_health_and_the_description_and_nothing_else() -> None:
    assert {action for action in ACTIONS if is_allowed(ANONYMOUS, action)} == {"health:read", "openapi:read"} == PUBLIC


def test_a_role_that_nobody_listed_may_no_more_than_anonymous() -> None:
    assert {action for action in ACTIONS if is_allowed(principal("root", "Admin", ""), action)} == PUBLIC


def test_the_admin_may_everything_listed() -> None:
    assert all(is_allowed(principal("admin"), action) for action in ACTIONS)


def test_a_viewer_may_look_and_not_touch() -> None:
    allowed = {action for action in ACTIONS if is_allowed(principal("viewer"), action)}
    hidden = {"recordings:read"}  # they hold what agents keep to themselves
    assert allowed == {action for action in ACTIONS if action.endswith((":read", ":use"))} - hidden


def test_a_monitor_reads_metrics_and_nothing_else() -> None:
    assert {action for action in ACTIONS if is_allowed(principal("monitor"), action)} == {"metrics:read", *PUBLIC}


def test_one_role_of_several_is_enough() -> None:
    assert is_allowed(principal("viewer", "operator"), "agents:write")
