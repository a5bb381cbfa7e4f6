"""A typed HTTP client for a Caxton server: what the command line uses, and what programs may use.

Synchronous, one connection pool per client; close it, or use it as a context manager. Knows the REST API and
its bodies (`caxton.core.views`), nothing of how the server works. A method returns what the server answered
or raises a `CaxtonError`: `ApiProblem` when the server refused, `ServerUnreachable` and `ServerTimeout` when
there was no answer, `UnexpectedAnswer` when something else than Caxton answers.
"""

from caxton.client.address import DEFAULT_SERVER, LOOPBACK_HOSTS, parse_server_url
from caxton.client.agents import AgentCalls
from caxton.client.capabilities import CapabilityCalls
from caxton.client.conversations import ConversationCalls
from caxton.client.dead_letters import DeadLetterCalls, Replays
from caxton.client.debugging import DebugCalls
from caxton.client.logs import LogCalls
from caxton.client.messages import MessageCalls, Reply
from caxton.client.recordings import RecordingCalls
from caxton.client.server import ServerCalls
from caxton.client.sniff import SniffCalls
from caxton.client.stats import StatsCalls
from caxton.client.storage import StorageCalls
from caxton.client.stream import MAX_EVENT_BYTES, ServerEvent, read_events
from caxton.client.tasks import TaskCalls
from caxton.client.tools import ToolCalls
from caxton.client.tracing import TraceCalls
from caxton.client.transport import ApiProblem
from caxton.client.workspaces import WorkspaceCalls

__all__ = [
    "DEFAULT_SERVER",
    "LOOPBACK_HOSTS",
    "MAX_EVENT_BYTES",
    "ApiProblem",
    "CaxtonClient",
    "Replays",
    "Reply",
    "ServerEvent",
    "parse_server_url",
    "read_events",
]


class CaxtonClient(
    AgentCalls,
    CapabilityCalls,
    MessageCalls,
    ConversationCalls,
    TaskCalls,
    TraceCalls,
    DeadLetterCalls,
    LogCalls,
    SniffCalls,
    StorageCalls,
    WorkspaceCalls,
    RecordingCalls,
    StatsCalls,
    ToolCalls,
    DebugCalls,
    ServerCalls,
):
    """Speaks to one server as one principal, in one workspace.

    Args:
        server: where it listens, like `http://localhost:8080`.
        token: proof of who is asking; sent to this server only. None asks as anonymous.
        workspace: the workspace of every agent and message that is named.
        timeout_s: how long to wait for an ordinary answer.
        ca_file: certificates (PEM) of authorities to trust instead of the system's.
        certificate: the server's own certificate (PEM); exactly this is accepted, whatever name it is made out to.
    """
