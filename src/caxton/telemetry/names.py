"""Names of OpenTelemetry's conventions that Caxton uses, all of them and nowhere else.

The conventions for messaging and for GenAI are still in development, and the Python package marks some of these as
moved or deprecated: hence texts of our own. `tests/unit/telemetry/test_names.py` compares them with the package.

Source: OpenTelemetry semantic conventions 1.44 (messaging, error, service); GenAI ones by semantic-conventions-genai.
"""

from __future__ import annotations

from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
SCOPE: Final = "caxton"

SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
PROCESS_PID: Final = "process.pid"
HOST_NAME: Final = "host.name"

MESSAGING_SYSTEM: Final = "messaging.system"
MESSAGING_OPERATION_NAME: Final = "messaging.operation.name"
MESSAGING_OPERATION_TYPE: Final = "messaging.operation.type"
MESSAGING_DESTINATION_NAME: Final = "messaging.destination.name"
MESSAGING_MESSAGE_ID: Final = "messaging.message.id"
MESSAGING_MESSAGE_CONVERSATION_ID: Final = "messaging.message.conversation_id"
MESSAGING_MESSAGE_ENVELOPE_SIZE: Final = "messaging.message.envelope.size"

GEN_AI_OPERATION_NAME: Final = "gen_ai.operation.name"
GEN_AI_AGENT_NAME: Final = "gen_ai.agent.name"
GEN_AI_CONVERSATION_ID: Final = "gen_ai.conversation.id"
GEN_AI_TOOL_NAME: Final = "gen_ai.tool.name"

ERROR_TYPE: Final = "error.type"

WORKSPACE: Final = "caxton.workspace.id"
PERFORMATIVE: Final = "caxton.fipa.performative"
ATTEMPT: Final = "caxton.delivery.attempt"
AGENT: Final = "caxton.agent.id"
REPLICA: Final = "caxton.agent.replica"
LOG_SOURCE: Final = "caxton.log.source"
KEPT_BECAUSE: Final = "caxton.sampling.reason"

SYSTEM: Final = "caxton"
SEND: Final = "send"
PROCESS: Final = "process"
SETTLE: Final = "settle"
TIMER: Final = "timer"
EXECUTE_TOOL: Final = "execute_tool"

HANDLER_FAILED: Final = "handler_failed"
HANDLER_CRASHED: Final = "handler_crashed"
NODE_ENDED: Final = "node_ended"
"""The node ended otherwise than by a stop while the message was in hand."""
