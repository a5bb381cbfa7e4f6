"""What somebody should look at, and what to do about it: a pure function of a server's figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from caxton.core.units import format_size
from caxton.core.views.stats import NEAR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from caxton.core.views.stats import AgentFigures, NodeFigures

FAILING = 0.1
"""Of an agent's handlings."""

MIN_FAILED = 5
"""Fewer failures say nothing about a rate."""

MAX_NAMED = 3

DISK_NEAR = 4
"""Times the free room below which the server is read-only."""


class Advice(msgspec.Struct, kw_only=True, frozen=True):
    """One thing to look at."""

    code: str
    """A stable word for programs."""
    text: str
    """What is the matter."""
    todo: str
    """What to do: a command where there is one."""


_CAUSES = {
    "disk-full": "free disk space; the server goes on by itself then ('caxton storage status')",
    "journal-full": "'caxton storage compact', or raise storage.max_journal and restart",
    "log-full": "end the program that reads the journal: it holds its write-ahead log up",
    "dead-letters-full": "'caxton dlq list', then 'caxton dlq replay' or 'caxton dlq purge'",
}


def advise(node: NodeFigures, agents: Sequence[AgentFigures]) -> list[Advice]:
    """What is to be said of a server, the gravest first.

    Args:
        node: its figures.
        agents: at least those in trouble, as far as their names are to be told.
    """
    found = [*_server(node), *_agents(node, agents), *_room(node)]
    if node.deadlocks:
        found.append(_one("deadlock", f"{_many(node.deadlocks, 'deadlock')}", "'caxton conversation deadlocks'"))
    if node.dead_letters and "dead-letters-full" not in node.causes:
        text = f"{_many(node.dead_letters, 'dead letter')} {'waits' if node.dead_letters == 1 else 'wait'}"
        found.append(_one("dead-letters", text, "'caxton dlq list', then 'caxton dlq replay' or 'caxton dlq purge'"))
    return found


def _server(node: NodeFigures) -> Iterable[Advice]:
    for cause in node.causes:
        todo = _CAUSES.get(cause, "'caxton storage status' tells more")
        yield _one(cause, f"new messages are refused: {cause.replace('-', ' ')}", todo)
    if node.status == "starting":
        yield _one("starting", "the server is starting", "wait; 'caxton server status' tells when it is ready")
    if node.status == "stopping":
        yield _one("stopping", "the server is stopping and takes nothing new", "'caxton server start' afterwards")
    broken = {kind: count for kind, count in node.storage_failures.items() if count and kind != "full"}
    if broken:
        text = f"{_many(sum(broken.values()), 'write')} to the disk failed"
        yield _one("disk-errors", text, "look at the machine's log; 'caxton storage verify'")


def _agents(node: NodeFigures, agents: Sequence[AgentFigures]) -> Iterable[Advice]:
    def named(which: Callable[[AgentFigures], bool]) -> list[str]:
        return [one.name for one in agents if which(one)]

    failed, failed_names = node.agents.get("failed", 0), named(lambda one: one.status == "failed")
    if failed:
        first = failed_names[0] if failed_names else "NAME"
        text = f"{_many(failed, 'agent')} failed{_names(failed_names)}"
        yield _one("failed-agents", text, f"'caxton agent status {first}' tells why, 'caxton agent start {first}'")
    open_count = node.circuits.get("open", 0) + node.circuits.get("half_open", 0)
    if open_count:
        names = named(lambda one: one.circuit in ("open", "half_open"))
        text = f"{_many(open_count, 'circuit breaker')} open{_names(names)}: mail waits, callers are refused"
        first = names[0] if names else "NAME"
        yield _one("open-breakers", text, f"'caxton logs --agent {first} --level warn' tells which failures")
    if down := named(lambda one: one.status == "running" and one.healthy < one.replicas):
        text = f"instances are missing{_names(down)}"
        yield _one("missing-instances", text, f"'caxton logs --agent {down[0]} --level error' tells why they crashed")
    if failing := named(_is_failing):
        text = f"more than {FAILING:.0%} of the handlings fail{_names(failing)}"
        yield _one("failing-agents", text, f"'caxton top --troubled'; 'caxton logs --agent {failing[0]} --level warn'")
    if idle := named(lambda one: one.status in ("loaded", "stopped") and one.is_backlog):
        text = f"mail piles up of agents that do not run{_names(idle)}"
        yield _one("mail-of-stopped", text, f"'caxton agent start {idle[0]}'")
    if late := named(_is_slow):
        text = f"mail piles up{_names(late)}"
        yield _one("backlog", text, f"'caxton scale --agent {late[0]} --replicas N', or find what slows it down")
    if own := named(lambda one: one.type == "native" and one.is_backlog):
        text = f"mail piles up of the server's own agents{_names(own)}"
        yield _one("mail-of-own", text, f"'caxton debug agent {own[0]} --mailbox' tells who sends so much")
    if lost := named(lambda one: one.type == "vacant" and one.queue > 0):
        text = f"mail waits for names without an agent{_names(lost)}"
        todo = f"deploy {lost[0]}, or 'caxton agent remove {lost[0]} --forget' (its mail becomes dead letters)"
        yield _one("mail-without-agent", text, todo)


def _is_slow(agent: AgentFigures) -> bool:
    """Whether further replicas would help: all that it has work, and come to an end."""
    is_well = agent.status == "running" and agent.circuit not in ("open", "half_open") and not _is_failing(agent)
    return agent.type == "wasm" and agent.is_backlog and is_well and agent.healthy >= agent.replicas


def _is_failing(agent: AgentFigures) -> bool:
    return agent.failed_in_window >= max(MIN_FAILED, FAILING * agent.ended_in_window)


def _room(node: NodeFigures) -> Iterable[Advice]:
    if "disk-full" not in node.causes and node.disk_free_bytes < DISK_NEAR * node.disk_low_bytes:
        text = f"only {format_size(node.disk_free_bytes)} are free on the disk"
        yield _one("disk-low", text, f"free some: below {format_size(node.disk_low_bytes)} the server is read-only")
    for code, cause, what, used, limit in (
        ("journal-large", "journal-full", "journal", node.journal_bytes, node.journal_limit_bytes),
        ("log-large", "log-full", "write-ahead log", node.wal_bytes, node.wal_limit_bytes),
        ("many-dead-letters", "dead-letters-full", "store of dead letters", node.dead_letters_bytes,
         node.dead_letters_limit_bytes),
    ):  # fmt: skip
        if cause not in node.causes and used >= NEAR * limit:
            yield _one(code, f"the {what} is {used / limit:.0%} full", _CAUSES[cause])
    if node.queue >= NEAR * node.queue_limit:
        todo = "'caxton top --sort queue' shows whose, and what state they are in; send fewer messages meanwhile"
        yield _one("much-mail", f"the quota of waiting mail is {node.queue / node.queue_limit:.0%} full", todo)


def _one(code: str, text: str, todo: str) -> Advice:
    return Advice(code=code, text=text, todo=todo)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _names(names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f" ({', '.join(names[:MAX_NAMED])}{more})"
