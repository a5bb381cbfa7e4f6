"""`caxton message …`: speak with agents, and read what was said."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from caxton.cli.command import Cli, command, new_app
from caxton.cli.message_send import EXAMPLES, Format, content_of, receiver_of, send, show_acl

if TYPE_CHECKING:
    from caxton.messages.message import AclMessage

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


command(app, "send", *EXAMPLES)(send)


@command(
    app,
    "list",
    "caxton message list --conversation-id c-42",
    "caxton message list --conversation-id c-42 -o json",
    "caxton message list --conversation-id c-42 --format fipa",
)
def list_messages(
    cli: Cli,
    conversation_id: Annotated[str, typer.Option("--conversation-id", metavar="ID", help="Which conversation.")],
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, metavar="N", help="At most so many.")] = 100,
    written: Format = None,
) -> None:
    """List the messages of a conversation, oldest first."""
    with cli.client("Fetching the conversation") as client:
        messages = client.conversation(conversation_id, limit=limit)
    if written:
        show_acl(cli, messages)
        return
    cli.screen.answer({"messages": messages, "total": len(messages)}, lambda: _show(cli, messages))


def _show(cli: Cli, messages: "list[AclMessage]") -> None:
    if not messages:
        cli.screen.line("No messages.")
        return
    columns = ("time", "sender", "receiver", "performative", "content")
    rows = [
        (
            datetime.fromtimestamp(message.timestamp / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
            message.sender,
            receiver_of(message),
            message.performative,
            content_of(message)[:MAX_SHOWN_CHARS],
        )
        for message in messages
    ]
    cli.screen.table(columns, rows, total=f"{len(messages)} message{'s' * (len(messages) != 1)}")
