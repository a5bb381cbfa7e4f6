from __future__ import annotations

from typing import Any

import pytest

from caxton.agents.definition import MAX_CAPABILITIES, Definition, check_replicas, define
from caxton.core.breaker import Policy
from caxton.core.errors.values import InvalidName, InvalidValue
from caxton.core.ids import AgentName
from caxton.core.views.agents import AgentSpec, Bulkhead, CapabilitySpec, CircuitBreaker, Resources
from caxton.sandbox.limits import Limits

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def of(**resources: Any) -> Definition:
    return define(AgentSpec(name="a", resources=Resources(**resources)))


@pytest.mark.parametrize(
    ("setting", "too_little", "too_much"),
    [
        ("memory", "63KiB", "513MiB"),
        ("memory", 65535, 512 * MIB + 1),
        ("timeout", "999us", "301s"),
        ("timeout", 0, 300.1),
        ("cpu_time", 0.0009, "5m1s"),
        ("cpu_time", "0s", "1h"),
        ("messages_per_s", 0, 10_000_001),
        ("log_bytes_per_s", 1023, "65MiB"),
        ("host_calls", 0, 100_000_001),
        ("table_elements", -1, 1_000_001),
        ("mailbox_messages", 0, 1_000_001),
        ("mailbox_bytes", "1023KiB", "2GiB"),
        ("mailbox_bytes", MIB - 1, GIB + 1),
    ],
)
def test_setting_out_of_bounds_is_refused_by_its_name(setting: str, too_little: object, too_much: object) -> None:
    for asked in (too_little, too_much):
        with pytest.raises(InvalidValue) as caught:
            of(**{setting: asked})
        assert (caught.value.code, caught.value.what) == ("INVALID_VALUE", setting)


@pytest.mark.parametrize("asked", ["", "lots", "16 apples", "-1", "0x10", "1e3", "1_000", "16MB!", float("nan"), -1])
@pytest.mark.parametrize("setting", ["memory", "timeout", "cpu_time", "log_bytes_per_s", "mailbox_bytes"])
def test_what_is_no_amount_is_refused(setting: str, asked: object) -> None:
    with pytest.raises(InvalidValue) as caught:
        of(**{setting: asked})
    assert caught.value.what == setting


@pytest.mark.parametrize("replicas", [0, -1, 1001, 10**9])
def test_number_of_replicas_out_of_bounds_is_refused(replicas: int) -> None:
    with pytest.raises(InvalidValue) as caught:
        define(AgentSpec(name="a", replicas=replicas))
    assert caught.value.what == "replicas"
    with pytest.raises(InvalidValue):
        check_replicas(replicas)


@pytest.mark.parametrize("name", ["", "a/b", "..", "a\0b", "x" * 65, "x" * 300, "-a", "_a", "a b", "é", "a\n"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidName) as caught:
        define(AgentSpec(name=name))
    assert caught.value.details() == {"kind": "agent name"}
    with pytest.raises(InvalidName) as caught:
        define(AgentSpec(name="a", capabilities=["good", name]))
    assert caught.value.details() == {"kind": "capability"}
    with pytest.raises(InvalidName):
        define(AgentSpec(name="a", capabilities=[CapabilitySpec(name=name)]))


def test_capability_may_have_a_priority() -> None:
    least, most = CapabilitySpec(name="b", priority=0), CapabilitySpec(name="c", priority=1000)
    assert define(AgentSpec(name="a", capabilities=["a", least, most])).capabilities == {"a": 50, "b": 0, "c": 1000}


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        (AgentSpec(name="a", runtime="python"), "runtime"),
        (AgentSpec(name="a", version=""), "version"),
        (AgentSpec(name="a", version="x" * 65), "version"),
        (AgentSpec(name="a", capabilities=[f"c{n}" for n in range(MAX_CAPABILITIES + 1)]), "capabilities"),
        (AgentSpec(name="a", capabilities=[CapabilitySpec(name="c", priority=-1)]), "capabilities.priority"),
        (AgentSpec(name="a", capabilities=[CapabilitySpec(name="c", priority=1001)]), "capabilities.priority"),
        (AgentSpec(name="a", capabilities=["c", CapabilitySpec(name="c", priority=1)]), "capabilities"),
    ],
)
def test_other_settings_out_of_bounds_are_refused_by_their_name(spec: AgentSpec, what: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        define(spec)
    assert caught.value.what == what


def test_what_is_left_out_has_the_defaults_of_the_product() -> None:
    assert define(AgentSpec(name="a")) == Definition(
        name=AgentName("a"),
        version=None,
        replicas=1,
        capabilities={},
        limits=Limits(
            memory_bytes=10 * MIB,
            table_elements=10_000,
            wall_time_s=5.0,
            cpu_time_s=1.0,
            host_calls=100_000,
            messages_per_s=20_000,
            log_bytes_per_s=256 * KIB,
        ),
        mailbox_messages=10_000,
        mailbox_bytes=16 * MIB,
    )


def test_everything_asked_for_arrives() -> None:
    resources = Resources(
        memory="16MB",
        timeout="250ms",
        cpu_time=0.5,
        messages_per_s=7,
        log_bytes_per_s="2KiB",
        host_calls=8,
        table_elements=0,
        mailbox_messages=9,
        mailbox_bytes="1MiB",
    )
    spec = AgentSpec(name="a", version="2", replicas=3, capabilities=["x", "y", "x"], resources=resources)
    assert define(spec) == Definition(
        name=AgentName("a"),
        version="2",
        replicas=3,
        capabilities={"x": 50, "y": 50},
        limits=Limits(
            memory_bytes=16 * MIB,
            table_elements=0,
            wall_time_s=0.25,
            cpu_time_s=0.5,
            host_calls=8,
            messages_per_s=7,
            log_bytes_per_s=2 * KIB,
        ),
        mailbox_messages=9,
        mailbox_bytes=MIB,
    )


@pytest.mark.parametrize(
    ("setting", "least", "most"),
    [
        ("memory", 65536, "512MiB"),
        ("timeout", "1ms", "5m"),
        ("cpu_time", 0.001, 300),
        ("replicas", 1, 1000),
        ("log_bytes_per_s", "1KiB", "64MiB"),
        ("mailbox_bytes", "1MiB", "1GiB"),
    ],
)
def test_bounds_themselves_are_allowed(setting: str, least: object, most: object) -> None:
    for asked in (least, most):
        if setting == "replicas":
            assert define(AgentSpec(name="a", replicas=asked)).replicas == asked  # type: ignore[arg-type]
        else:
            of(**{setting: asked})


@pytest.mark.parametrize(
    ("breaker", "what"),
    [
        ({"threshold": -1}, "circuit_breaker.threshold"),
        ({"threshold": 1001}, "circuit_breaker.threshold"),
        ({"threshold": True}, "circuit_breaker.threshold"),
        ({"threshold": "on"}, "circuit_breaker.threshold"),
        ({"timeout": "0.9ms"}, "circuit_breaker.timeout"),
        ({"timeout": 3600.1}, "circuit_breaker.timeout"),
        ({"timeout": "for ever"}, "circuit_breaker.timeout"),
        ({"probes": 0}, "circuit_breaker.probes"),
        ({"probes": 101}, "circuit_breaker.probes"),
    ],
)
def test_circuit_breaker_out_of_bounds_is_refused_by_its_key(breaker: dict[str, Any], what: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        define(AgentSpec(name="a", circuit_breaker=CircuitBreaker(**breaker)))
    assert caught.value.what == what


@pytest.mark.parametrize("waiting", [0, -1, 100_001])
def test_bulkhead_out_of_bounds_is_refused_by_its_key(waiting: int) -> None:
    with pytest.raises(InvalidValue) as caught:
        define(AgentSpec(name="a", bulkhead=Bulkhead(max_waiting=waiting)))
    assert caught.value.what == "bulkhead.max_waiting"


def test_circuit_breaker_and_bulkhead_that_are_asked_for_arrive() -> None:
    breaker = CircuitBreaker(threshold=3, timeout="250ms", probes=2)
    definition = define(AgentSpec(name="a", circuit_breaker=breaker, bulkhead=Bulkhead(max_waiting=7)))
    assert (definition.circuit, definition.max_waiting) == (Policy(threshold=3, timeout_s=0.25, probes=2), 7)


@pytest.mark.parametrize("off", [0, False, "off"])
def test_circuit_breaker_that_is_switched_off_has_no_threshold(off: Any) -> None:
    assert define(AgentSpec(name="a", circuit_breaker=CircuitBreaker(threshold=off))).circuit.threshold == 0
