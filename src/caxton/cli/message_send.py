"""`caxton message send`: a message of options, or one written in FIPA's string encoding."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from caxton.cli.command import Cli
from caxton.cli.exits import ExitCode
from caxton.cli.output import Mark, printable
from caxton.core.errors.command_line import InvalidUsage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caxton.core.views.messages import Receipt
    from caxton.messages.message import AclMessage

NOT_DONE = ("failure", "refuse", "not-understood")
"""Answers that say that the agent did not do it."""

EXAMPLES = (
    'caxton message send --to ping --content \'{"text": "hello"}\'',
    "caxton message send --to counter --performative query-ref --content '\"total\"' --wait-reply",
    "caxton message send --capability sorting --content @numbers.json --wait-reply",
    "caxton message send --to topic://orders/created --performative inform --content @order.json --ttl 1h",
    "echo '[3, 1, 2]' | caxton message send --to sorter --content - --wait-reply --quiet",
    "caxton message send --acl '(request :receiver (agent-identifier :name ping) :content \"hello\")'",
)


def _text_option(name: str, help_text: str, metavar: str = "TEXT") -> Any:
    return typer.Option(name, metavar=metavar, help=help_text)


To = Annotated[
    list[str] | None,
    _text_option("--to", "Agent, topic://TOPIC or broadcast://GROUP. May be given repeatedly.", "NAME"),
]
Capability = Annotated[str | None, _text_option("--capability", "Instead of --to: any agent that offers this.", "NAME")]
Strategy = Annotated[
    str | None,
    _text_option(
        "--routing-strategy", "How one who offers it is chosen: best, least-loaded, … or all: broadcast.", "WORD"
    ),
]
Acl = Annotated[
    str | None,
    _text_option("--acl", "The whole message in FIPA's string encoding, @FILE, or - for standard input.", "MESSAGE"),
]
Performative = Annotated[
    str | None,
    _text_option("--performative", "What the message does: inform, query-ref, … Without it: request.", "ACT"),
]
Content = Annotated[
    str | None,
    _text_option("--content", "Any JSON value, @FILE, or - for standard input. Without it: null.", "JSON"),
]
WaitReply = Annotated[bool, typer.Option("--wait-reply", help="Wait for the reply and print its content.")]
Timeout = Annotated[str, _text_option("--timeout", "How long to wait for the reply.", "DURATION")]
Format = Annotated[
    Literal["fipa"] | None,
    typer.Option("--format", help="Print whole messages, in FIPA's string encoding, whatever --output says."),
]
ConversationId = Annotated[
    str | None, _text_option("--conversation-id", "Conversation it belongs to. Default: a new one.", "ID")
]
ParentConversation = Annotated[
    str | None, _text_option("--parent-conversation", "Conversation within which this one is begun.", "ID")
]
Protocol = Annotated[str | None, _text_option("--protocol", "FIPA protocol, like fipa-request.")]
Ontology = Annotated[str | None, _text_option("--ontology", "What the words of the content mean.")]
Language = Annotated[str | None, _text_option("--language", "Language of the content.")]
ReplyWith = Annotated[str | None, _text_option("--reply-with", "Mark that the reply should carry.")]
ReplyTo = Annotated[
    list[str] | None,
    _text_option("--reply-to", "Who should get the answer instead of you. May be given repeatedly.", "NAME"),
]
InReplyTo = Annotated[str | None, _text_option("--in-reply-to", "The reply-with of the message answered.")]
Priority = Annotated[
    int | None, typer.Option("--priority", metavar="0-9", help="9 is handed over first, 0 last. Without it: 4.")
]
Ttl = Annotated[str | None, _text_option("--ttl", "After this the message is of no use.", "DURATION")]
ReplyBy = Annotated[
    str | None,
    _text_option("--reply-by", "The answer is of no use after this, as 2031-05-17T09:30:00Z.", "TIME"),
]
MessageId = Annotated[
    str | None, _text_option("--message-id", "Sent again under the same ID, the message is handled once.", "ID")
]
Durability = Annotated[
    Literal["fsync", "memory"],
    typer.Option("--durability", help="memory: the receipt comes at once, and a crash may lose the message."),
]


def send(
    cli: Cli,
    to: To = None,
    capability: Capability = None,
    routing_strategy: Strategy = None,
    acl: Acl = None,
    performative: Performative = None,
    content: Content = None,
    wait_reply: WaitReply = False,
    timeout: Timeout = "30s",
    written: Format = None,
    conversation_id: ConversationId = None,
    parent_conversation: ParentConversation = None,
    protocol: Protocol = None,
    ontology: Ontology = None,
    language: Language = None,
    reply_with: ReplyWith = None,
    reply_to: ReplyTo = None,
    in_reply_to: InReplyTo = None,
    priority: Priority = None,
    ttl: Ttl = None,
    reply_by: ReplyBy = None,
    message_id: MessageId = None,
    durability: Durability = "fsync",
) -> None:
    """Send a message to an agent; it is on disk when this returns."""
    said: dict[str, Any] = {
        "to": to, "capability": capability, "routing_strategy": routing_strategy, "performative": performative,
        "content": content, "conversation_id": conversation_id, "parent_conversation": parent_conversation,
        "protocol": protocol, "ontology": ontology, "language": language, "reply_with": reply_with,
        "reply_to": reply_to, "in_reply_to": in_reply_to, "priority": priority, "ttl": ttl, "reply_by": reply_by,
        "message_id": message_id,
    }  # fmt: skip
    if wait_reply and durability != "fsync":
        raise _misused("--durability is for messages whose reply is not waited for")
    if written and not wait_reply:
        raise _misused("--format is for the reply: add --wait-reply")
    message = _message(acl, {name: value for name, value in said.items() if value not in (None, [])})
    if not wait_reply:
        with cli.client("Sending") as client:
            receipt = client.send(message, durability=durability)
        cli.screen.answer(receipt, lambda: _tell_receipt(cli, receipt))
        return
    from caxton.cli.outgoing import waiting_time

    wait_s = waiting_time(timeout)
    with cli.client(f"Waiting for {receiver_of(message)}") as client:
        reply = client.send(message, wait_s=wait_s)
    if written:
        show_acl(cli, [reply])
    else:
        cli.screen.answer(reply, lambda: _tell_reply(cli, reply))
    if reply.performative in NOT_DONE:
        raise typer.Exit(ExitCode.AGENT_FAILED)


def show_acl(cli: Cli, messages: "Iterable[AclMessage]") -> None:
    """Print messages in FIPA's string encoding, one after another."""
    from caxton.messages.fipa_string import encode_fipa

    for message in messages:
        for line in encode_fipa(message).decode().split("\n"):
            cli.screen.line(printable(line))


def content_of(message: "AclMessage") -> str:
    """The content as it can be shown."""
    return printable(bytes(message.content).decode("utf-8", "replace"))


def receiver_of(message: "AclMessage") -> str:
    """Who shall receive it."""
    if message.capability:
        return f"capability {message.capability}"
    return message.receiver if isinstance(message.receiver, str) else ", ".join(message.receiver)


def _message(acl: str | None, said: dict[str, Any]) -> "AclMessage":
    """The message of `--acl`, or of the options that were given."""
    from caxton.cli.outgoing import outgoing_message, written_message

    if acl is not None:
        if said:
            given = ", ".join(f"--{name.replace('_', '-')}" for name in said)
            raise _misused(f"--acl is the whole message; leave out {given}")
        return written_message(acl)
    if bool(said.get("to")) == bool(said.get("capability")):
        raise _misused("name the receiver: either --to or --capability")
    if said.get("routing_strategy") and not said.get("capability"):
        raise _misused("--routing-strategy chooses among those who offer a --capability")
    if len(said.get("reply_to", ())) == 1:
        (said["reply_to"],) = said["reply_to"]
    return outgoing_message(
        said.pop("to", []),
        said.pop("performative", "request"),
        said.pop("content", "null"),
        ttl=said.pop("ttl", None),
        said=said,
    )


def _misused(reason: str) -> InvalidUsage:
    return InvalidUsage(reason, command="caxton message send")


def _tell_receipt(cli: Cli, receipt: "Receipt") -> None:
    cli.screen.done(f"Message {receipt.message_id} accepted, conversation {receipt.conversation_id}")


def _tell_reply(cli: Cli, reply: "AclMessage") -> None:
    mark = Mark.FAIL if reply.performative in NOT_DONE else Mark.OK
    cli.screen.say(mark, f"{reply.performative} from {printable(reply.sender)}, conversation {reply.conversation_id}")
    cli.screen.line(content_of(reply))
