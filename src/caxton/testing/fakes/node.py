"""The API's services in memory: small, and honest where a caller can tell.

They keep the contracts of `caxton.api.services`: the same errors, orders and side effects. What they leave out
is the machinery.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from caxton.api.services import Services
from caxton.testing.fakes.agents import FakeAgents
from caxton.testing.fakes.capabilities import FakeCapabilities
from caxton.testing.fakes.conversations import FakeConversations
from caxton.testing.fakes.debugging import FakeBundle, FakeDebugging
from caxton.testing.fakes.letters import FakeDeadLetters
from caxton.testing.fakes.logs import FakeLogs
from caxton.testing.fakes.messages import FakeMessages
from caxton.testing.fakes.recordings import FakeRecordings
from caxton.testing.fakes.server import FakeServer
from caxton.testing.fakes.sniff import FakeSniff
from caxton.testing.fakes.stats import FakeStats
from caxton.testing.fakes.storage import FakeStorage
from caxton.testing.fakes.tasks import FakeTasks
from caxton.testing.fakes.tools import FakeTools
from caxton.testing.fakes.tracing import FakeTraces
from caxton.testing.fakes.workspaces import FakeWorkspaces


@dataclass
class FakeNode:
    """All fakes, joined. Make it inside the event loop that uses it."""

    agents: FakeAgents = field(default_factory=FakeAgents)
    capabilities: FakeCapabilities = field(default_factory=FakeCapabilities)
    messages: FakeMessages = field(init=False)
    conversations: FakeConversations = field(init=False)
    dead_letters: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    tasks: FakeTasks = field(init=False)
    workspaces: FakeWorkspaces = field(default_factory=FakeWorkspaces)
    logs: FakeLogs = field(default_factory=FakeLogs)
    sniff: FakeSniff = field(init=False)
    storage: FakeStorage = field(default_factory=FakeStorage)
    recordings: FakeRecordings = field(default_factory=FakeRecordings)
    server: FakeServer = field(init=False)
    traces: FakeTraces = field(init=False)
    stats: FakeStats = field(init=False)
    debugging: FakeDebugging = field(init=False)
    bundle: FakeBundle = field(default_factory=FakeBundle)
    tools: FakeTools = field(default_factory=FakeTools)

    def __post_init__(self) -> None:
        self.messages = FakeMessages(self.agents)
        self.sniff = FakeSniff(lambda: self.agents.views)
        self.conversations = FakeConversations(self.messages.kept)
        self.traces = FakeTraces(self.messages.kept)
        self.tasks = FakeTasks(lambda name: name in self.agents.views)
        self.server = FakeServer(self.agents, self.dead_letters)
        self.stats = FakeStats(self.agents, self.server)
        self.debugging = FakeDebugging(self.agents)

    @property
    def services(self) -> Services:
        """As the API takes them."""
        return Services(
            conversations=self.conversations,
            agents=self.agents, capabilities=self.capabilities, messages=self.messages,
            dead_letters=self.dead_letters, tasks=self.tasks,
            logs=self.logs, sniff=self.sniff, storage=self.storage, server=self.server,
            workspaces=self.workspaces, traces=self.traces, stats=self.stats,
            debugging=self.debugging, bundle=self.bundle,
            recordings=self.recordings, tools=self.tools,
        )  # fmt: skip
