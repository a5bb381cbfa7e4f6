"""`caxton message …`: speak with agents, and read what was said."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from caxton.cli.command import Cli, command, new_app
from caxton.cli.exits import ExitCode
from caxton.cli.output import Mark, printable
from caxton.core.errors import InvalidUsage

if TYPE_CHECKING:
    from caxton.core.views import Receipt
    from caxton.messages.message import AclMessage

NOT_DONE = ("failure", "refuse", "not-understood")
"""Answers that say that the agent did not do it."""

MAX_SHOWN_CHARS = 200
"""Of a message's content in a list; JSON output has all of it."""

app = new_app(
    "Send messages to agents, and read conversations.",
    'caxton message send --to ping --performative request --content \'{"text": "hello"}\' --wait-reply',
    "caxton message list --conversation-id c-42",
)


def register(top: typer.Typer) -> None:
    """Add the noun."""
    top.add_typer(app, name="message")


ConversationOption = Annotated[
    str | None,
    typer.Option("--conversation-id", metavar="ID", help="Conversation it belongs to. Default: a new one."),
]


def _text_option(name: str, help_text: str) -> Any:
    return typer.Option(name, metavar="TEXT", help=help_text)


@command(
    app,
    "send",
    'caxton message send --to ping --content \'{"text": "hello"}\'',
    "caxton message send --to counter --performative query-ref --content '\"total\"' --wait-reply",
    "caxton message send --capability sorting --content @numbers.json --wait-reply",
    "caxton message send --to topic://orders/created --performative inform --content @order.json --ttl 1h",
    "echo '[3, 1, 2]' | caxton message send --to sorter --content - --wait-reply --quiet",
)
def send(
    cli: Cli,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to", metavar="NAME", help="Agent, topic://TOPIC or broadcast://GROUP. May be given repeatedly."
        ),
    ] = None,
    capability: Annotated[
        str | None,
        typer.Option("--capability", metavar="NAME", help="Instead of --to: any agent that offers this."),
    ] = None,
    performative: Annotated[
        str,
        typer.Option("--performative", metavar="ACT", help="What the message does: request, inform, query-ref, …"),
    ] = "request",
    content: Annotated[
        str, typer.Option("--content", metavar="JSON", help="Any JSON value, @FILE, or - for standard input.")
    ] = "null",
    wait_reply: Annotated[bool, typer.Option("--wait-reply", help="Wait for the reply and print its content.")] = False,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="DURATION", help="How long to wait for the reply.")
    ] = "30s",
    conversation_id: ConversationOption = None,
    protocol: Annotated[str | None, _text_option("--protocol", "FIPA protocol, like fipa-request.")] = None,
    ontology: Annotated[str | None, _text_option("--ontology", "What the words of the content mean.")] = None,
    language: Annotated[str | None, _text_option("--language", "Language of the content.")] = None,
    reply_with: Annotated[str | None, _text_option("--reply-with", "Mark that the reply should carry.")] = None,
    in_reply_to: Annotated[str | None, _text_option("--in-reply-to", "The reply-with of the message answered.")] = None,
    priority: Annotated[
        int | None, typer.Option("--priority", metavar="0-9", help="9 is handed over first, 0 last. Without it: 4.")
    ] = None,
    ttl: Annotated[
        str | None, typer.Option("--ttl", metavar="DURATION", help="After this the message is of no use.")
    ] = None,
    reply_by: Annotated[
        str | None,
        typer.Option("--reply-by", metavar="TIME", help="The answer is of no use after this, as 2031-05-17T09:30:00Z."),
    ] = None,
    message_id: Annotated[
        str | None,
        typer.Option("--message-id", metavar="ID", help="Sent again under the same ID, the message is handled once."),
    ] = None,
    durability: Annotated[
        Literal["fsync", "memory"],
        typer.Option("--durability", help="memory: the receipt comes at once, and a crash may lose the message."),
    ] = "fsync",
) -> None:
    """Send a message to an agent; it is on disk when this returns."""
    from caxton.cli.outgoing import outgoing_message, waiting_time

    if wait_reply and durability != "fsync":
        raise InvalidUsage("--durability is for messages whose reply is not waited for", command="caxton message send")
    if bool(to) == bool(capability):
        raise InvalidUsage("name the receiver: either --to or --capability", command="caxton message send")
    said: dict[str, Any] = {
        "conversation_id": conversation_id,
        "protocol": protocol,
        "ontology": ontology,
        "language": language,
        "reply_with": reply_with,
        "in_reply_to": in_reply_to,
        "capability": capability,
        "priority": priority,
        "reply_by": reply_by,
        "message_id": message_id or "",
    }
    message = outgoing_message(to or [], performative, content, ttl=ttl, said=said)
    if not wait_reply:
        with cli.client("Sending") as client:
            receipt = client.send(message, durability=durability)
        cli.screen.answer(receipt, lambda: _tell_receipt(cli, receipt))
        return
    wait_s = waiting_time(timeout)
    with cli.client(f"Waiting for {capability or ', '.join(to or [])}") as client:
        reply = client.send(message, wait_s=wait_s)
    cli.screen.answer(reply, lambda: _tell_reply(cli, reply))
    if reply.performative in NOT_DONE:
        raise typer.Exit(ExitCode.AGENT_FAILED)


@command(
    app,
    "list",
    "caxton message list --conversation-id c-42",
    "caxton message list --conversation-id c-42 -o json",
)
def list_messages(
    cli: Cli,
    conversation_id: Annotated[str, typer.Option("--conversation-id", metavar="ID", help="Which conversation.")],
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, metavar="N", help="At most so many.")] = 100,
) -> None:
    """List the messages of a conversation, oldest first."""
    with cli.client("Fetching the conversation") as client:
        messages = client.conversation(conversation_id, limit=limit)
    cli.screen.answer({"messages": messages, "total": len(messages)}, lambda: _show(cli, messages))


def _tell_receipt(cli: Cli, receipt: "Receipt") -> None:
    cli.screen.done(f"Message {receipt.message_id} accepted, conversation {receipt.conversation_id}")


def _tell_reply(cli: Cli, reply: "AclMessage") -> None:
    mark = Mark.FAIL if reply.performative in NOT_DONE else Mark.OK
    cli.screen.say(mark, f"{reply.performative} from {printable(reply.sender)}, conversation {reply.conversation_id}")
    cli.screen.line(_content(reply))


def _show(cli: Cli, messages: "list[AclMessage]") -> None:
    if not messages:
        cli.screen.line("No messages.")
        return
    columns = ("time", "sender", "receiver", "performative", "content")
    rows = [
        (
            datetime.fromtimestamp(message.timestamp / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
            message.sender,
            _receiver(message),
            message.performative,
            _content(message)[:MAX_SHOWN_CHARS],
        )
        for message in messages
    ]
    cli.screen.table(columns, rows, total=f"{len(messages)} message{'s' * (len(messages) != 1)}")


def _receiver(message: "AclMessage") -> str:
    if message.capability:
        return f"capability {message.capability}"
    return message.receiver if isinstance(message.receiver, str) else ", ".join(message.receiver)


def _content(message: "AclMessage") -> str:
    return printable(bytes(message.content).decode("utf-8", "replace"))
