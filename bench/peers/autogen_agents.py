"""autogen-core: two routed agents in one `SingleThreadedAgentRuntime`; the ping awaits the response."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib.metadata import version

from autogen_core import AgentId, MessageContext, RoutedAgent, SingleThreadedAgentRuntime, message_handler
from rounds import WINDOW, latency_async, rate_async, report, round_trips


@dataclass
class Play:
    """Starts the game."""

    n: int


@dataclass
class Played:
    """What the ping agent measured."""

    samples_ns: list[int]
    rate: float


@dataclass
class Ball:
    """The message measured."""

    body: str


class Ping(RoutedAgent):
    """Plays both games from inside its own handler."""

    @message_handler
    async def on_play(self, message: Play, ctx: MessageContext) -> Played:
        return Played(await latency_async(self._call, message.n), await rate_async(self._call))

    async def _call(self, sent: str) -> str:
        answer: Ball = await self.send_message(Ball(sent), AgentId("pong", "default"))
        return answer.body


class Pong(RoutedAgent):
    """Sends every ball back."""

    @message_handler
    async def on_ball(self, message: Ball, ctx: MessageContext) -> Ball:
        return Ball(message.body)


async def main() -> None:
    runtime = SingleThreadedAgentRuntime()
    await Ping.register(runtime, "ping", lambda: Ping("ping"))
    await Pong.register(runtime, "pong", lambda: Pong("pong"))
    runtime.start()
    played: Played = await runtime.send_message(Play(round_trips()), AgentId("ping", "default"))
    await runtime.stop_when_idle()
    await runtime.close()
    report("autogen-core", played.samples_ns, played.rate, WINDOW, {"autogen-core": version("autogen-core")})


if __name__ == "__main__":
    asyncio.run(main())
