"""The example agents: what they do, and that their sources still make agents that do the same."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from caxton.testing.clock import ManualClock
from caxton.testing.guests import EXAMPLES, example
from caxton.testing.rooms import open_node, until
from tests.integration import conversation_talks
from tests.integration.sdk_builds import build_examples, npm_environment

if TYPE_CHECKING:
    from pathlib import Path

    from caxton.testing.rooms import LocalNode

CONTENTS: list[Any] = [
    1,
    None,
    "",
    'text with " and \\ and \u2028 and \x00 and 🎈',
    {"nested": {"a": [1, 2.5, -3e100, True, None]}},
    ["x" * 100_000],
    {},
]

Transcript = list[Any]


def short(reply: dict[str, Any]) -> dict[str, Any]:
    """A reply without what differs from run to run."""
    varying = ("message_id", "timestamp", "traceparent", "reply_with")
    return {key: reply[key] for key in sorted(reply) if key not in varying}


async def talk_to_echo(node: LocalNode, wasm: bytes, name: str = "echo") -> Transcript:
    await node.deploy(name, wasm)
    said: Transcript = []
    for n, content in enumerate(CONTENTS):
        fields: dict[str, Any] = {"conversation_id": f"c{n}", "reply_with": f"r{n}", "protocol": "fipa-request"}
        said.append(short(await node.ask(name, content, **fields)))
    said.append(short(await node.ask(name, 1, performative="query-ref", conversation_id="q", reply_with="r")))
    await node.post(name, "no answer to this", performative="inform")
    await node.wait_for_quiet()
    return [*said, node.view(name).messages_handled, node.view(name).messages_failed, node.lines(name)]


async def talk_to_pong(node: LocalNode, wasm: bytes) -> Transcript:
    await node.deploy("pong", wasm)
    said = [
        short(await node.ask("pong", content, conversation_id="c", reply_with=f"r{n}", performative=performative))
        for n, (performative, content) in enumerate(
            [("request", {"ping": 7}), ("request", {"ping": "x"}), ("request", {}), ("query-ref", {"ping": 1})]
        )
    ]
    await node.wait_for_quiet()
    return [*said, node.lines("pong")]


async def talk_to_counter(node: LocalNode, wasm: bytes) -> Transcript:
    await node.deploy("counter", wasm)
    said: Transcript = [node.view("counter").capabilities]
    contents: list[Any] = [
        {"get": True},
        {"add": 5},
        {"add": -7},
        {"add": 9223372036854775807},
        {"add": 2},
        {"get": True},
        {"add": 9223372036854775807},
        {"add": 1},
        {"nothing": 0},
        {"tick_us": -1},
    ]
    for n, content in enumerate(contents):
        said.append(short(await node.ask("counter", content, conversation_id=f"c{n}", reply_with="r")))
    await node.ask("counter", {"add": -100, "tick_us": 1000})
    await node.wait_for_line("counter", "tick")
    await node.wait_for_quiet()
    said.append(short(await node.ask("counter", {"get": True}, conversation_id="end", reply_with="r")))
    return [*said, node.receiver("counter").kv, node.lines("counter")]


async def talk_to_ring(node: LocalNode, wasm: bytes) -> Transcript:
    for n in range(4):
        await node.deploy(f"ring-{n}", wasm)
    await node.post("ring-1", {"hops": 10, "ring": 4, "payload": ["kept", 1]}, conversation_id="round")
    await until(lambda: node.rooms.bus.settled == 11)
    bodies = await node.messages.conversation("default", "round", limit=20)  # type: ignore[arg-type]
    return [node.view(f"ring-{n}").messages_handled for n in range(4)] + [body.count(b'"payload"') for body in bodies]


async def talk_to_ping(node: LocalNode, wasm: bytes) -> Transcript:
    await node.deploy("ping", wasm)
    said: Transcript = [short(await node.ask("ping", {}, conversation_id="lonely", reply_with="r"))]
    await node.deploy("pong", example("pong"))
    sent = 0
    for n in range(2):
        reply = short(await node.ask("ping", {}, conversation_id=f"c{n}", reply_with="r"))
        before, sent = sent, reply.pop("content")["sent"]
        said += [reply, sent > before]  # how many depends on the time it takes: a timer sends too
    said.append(short(await node.ask("ping", {}, conversation_id="odd", reply_with="r", performative="cfp")))
    await node.wait_for_line("ping", "Received pong", count=2)
    await node.wait_for_line("pong", "Received ping, sending pong back", count=2)
    await node.stop("ping")
    return [*said, sorted({line.split(";")[0] for line in node.lines("ping")})]


TALKS = {
    "echo": talk_to_echo,
    "echo-as": talk_to_echo,
    "pong": talk_to_pong,
    "counter": talk_to_counter,
    "ring": talk_to_ring,
    "ping": talk_to_ping,
    **conversation_talks.TALKS,
}
TALKS_WITH_CLOCK = conversation_talks.TALKS_WITH_CLOCK
IN_ASSEMBLYSCRIPT = sorted(path.parent.name for path in EXAMPLES.glob("*/index.ts"))
IN_C = sorted(path.parent.name for path in EXAMPLES.glob("*/main.c"))


# --- what they do ------------------------------------------------------------------------------------------------


async def test_ping_and_pong_talk_to_each_other_by_themselves(node: LocalNode) -> None:
    await node.deploy("ping", example("ping"))
    await node.deploy("pong", example("pong"))
    await node.wait_for_line("ping", "Sending ping to pong")
    await node.wait_for_line("pong", "Received ping, sending pong back")
    await node.wait_for_line("ping", "Received pong")


async def test_ping_goes_on_where_it_was_when_the_node_comes_back(tmp_path: Path, compiled_dir: Path) -> None:
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        await node.deploy("pong", example("pong"))
        await node.deploy("ping", example("ping"))
        replies = [await node.ask("ping", {}) for _ in range(3)]
        sent = replies[-1]["content"]["sent"]
        await node.wait_for_quiet()
        await node.rooms.drain()
    async with open_node(tmp_path, compiled=compiled_dir) as node:
        assert (await node.ask("ping", {}))["content"]["sent"] > sent >= 3
        assert len(node.receiver("ping").timers) == 1, "each start adds a timer"


@pytest.mark.parametrize("name", ["echo", "echo-as"])
async def test_echo_answers_with_the_same_content_whatever_its_language(node: LocalNode, name: str) -> None:
    said = await talk_to_echo(node, example(name))
    *replies, handled, failed, lines = said
    assert [reply["content"] for reply in replies] == [*CONTENTS, 1]
    assert {reply["performative"] for reply in replies} == {"inform"}
    assert [reply["in_reply_to"] for reply in replies] == [*(f"r{n}" for n in range(len(CONTENTS))), "r"]
    assert [reply["conversation_id"] for reply in replies] == [*(f"c{n}" for n in range(len(CONTENTS))), "q"]
    assert (handled, failed, lines) == (len(CONTENTS) + 2, 0, [])


async def test_echo_takes_the_largest_message_and_small_ones_after_it(node: LocalNode) -> None:
    for name in ("echo", "echo-as"):
        await node.deploy(name, example(name))
        large = "y" * 900_000
        assert (await node.ask(name, large))["content"] == large
        assert (await node.ask(name, "small"))["content"] == "small"


async def test_counter_counts(node: LocalNode) -> None:
    capabilities, *replies, kv, lines = await talk_to_counter(node, example("counter"))
    assert capabilities == ["counting"]
    assert [(reply["performative"], reply["content"]) for reply in replies] == [
        ("inform", {"count": 0}),
        ("inform", {"count": 5}),
        ("inform", {"count": -2}),
        ("inform", {"count": 9223372036854775805}),
        ("inform", {"count": 9223372036854775807}),
        ("inform", {"count": 9223372036854775807}),
        ("failure", {"error": -4}),
        ("failure", {"error": -4}),
        ("not-understood", {"error": 'expected a request with {"add": k}, {"get": true} or {"tick_us": n}'}),
        ("failure", {"error": -1}),
        ("inform", {"count": 9223372036854775708}),
    ]
    assert (kv, lines) == ({b"count": b"9223372036854775708"}, ["tick"])


async def test_pong_answers_pings_and_says_when_it_does_not_understand(node: LocalNode) -> None:
    *replies, lines = await talk_to_pong(node, example("pong"))
    assert [(reply["performative"], reply["content"]) for reply in replies] == [
        ("inform", {"pong": 7}),
        ("inform", {"pong": "x"}),
        ("not-understood", {"error": 'expected a request with {"ping": n}'}),
        ("not-understood", {"error": 'expected a request with {"ping": n}'}),
    ]
    assert lines == ["Received ping, sending pong back"] * 2


async def test_ring_passes_a_message_round_until_its_hops_are_used_up(node: LocalNode) -> None:
    assert await talk_to_ring(node, example("ring")) == [2, 3, 3, 3] + [1] * 11


# --- what their sources make -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def built_c(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built")
    build_examples("c", out, {**os.environ, "PYTHON": sys.executable})
    return out


@pytest.mark.parametrize("name", IN_C)
async def test_sources_in_c_make_agents_that_behave_as_those_committed(
    tmp_path: Path, compiled_dir: Path, built_c: Path, name: str
) -> None:
    await behaves_the_same(tmp_path, compiled_dir, name, (built_c / f"{name}.wasm").read_bytes())


@pytest.mark.slow
async def test_sources_in_assemblyscript_make_agents_that_behave_as_those_committed(
    tmp_path: Path, compiled_dir: Path
) -> None:
    environment = npm_environment(tmp_path)
    if environment is None:
        pytest.skip("no npm registry can be reached")
    build_examples("as", tmp_path / "out", environment)
    for name in IN_ASSEMBLYSCRIPT:
        built = (tmp_path / "out" / f"{name}.wasm").read_bytes()
        await behaves_the_same(tmp_path / name, compiled_dir, name, built)


async def behaves_the_same(tmp_path: Path, compiled_dir: Path, name: str, built: bytes) -> None:
    transcripts: list[Transcript] = []
    for which, wasm in (("committed", example(name)), ("built", built)):
        clock = ManualClock() if name in TALKS_WITH_CLOCK else None
        async with open_node(tmp_path / which, compiled=compiled_dir, clock=clock) as node:
            if clock is None:
                transcripts.append(await TALKS[name](node, wasm))
            else:
                transcripts.append(await TALKS_WITH_CLOCK[name](node, wasm, clock))
    assert transcripts[0] == transcripts[1]


def test_every_example_has_its_source_and_every_source_its_example() -> None:
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()} - {"tools"}  # which are no agents
    assert folders == {path.stem for path in EXAMPLES.glob("*.wasm")} == set(TALKS) | set(TALKS_WITH_CLOCK)
    assert folders == {*IN_C, *IN_ASSEMBLYSCRIPT}
