"""`caxton debug …`: look into one agent, or gather what a bug report needs."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from caxton.cli.agent import NameArgument
from caxton.cli.command import Cli, command, new_app
from caxton.cli.output import Mark, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.client import CaxtonClient
    from caxton.core.views.debugging import AgentDebug, KvDebug, MailboxDebug, MemoryDebug, StackDebug

app = new_app("Look into agents.", "caxton debug agent ping --show-metrics", "caxton debug bundle")


def register(top: typer.Typer) -> None:
    """Add the noun."""
    from caxton.cli import debug_bundle

    top.add_typer(app, name="debug")
    debug_bundle.register(app)


MetricsOption = Annotated[bool, typer.Option("--show-metrics", help="One line: memory, queue, tool calls.")]
MailboxOption = Annotated[bool, typer.Option("--mailbox", help="What waits, and what is in hand.")]
KvOption = Annotated[bool, typer.Option("--kv", help="The keys and values of its state.")]
PrefixOption = Annotated[
    str | None, typer.Option("--prefix", metavar="TEXT", help="With --kv: keys that begin so; hex:6b65 for bytes.")
]
StackOption = Annotated[bool, typer.Option("--stack", help="Where each replica is: functions, innermost first.")]
MemoryOption = Annotated[
    tuple[str, str] | None,
    typer.Option("--memory", metavar="OFFSET LEN", help="Bytes of its memory; 0x10 is understood."),
]
ReplicaOption = Annotated[int | None, typer.Option("--replica", min=0, metavar="N", help="With --memory: whose.")]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, metavar="N", help="With --mailbox or --kv: messages or keys at most.")
]
WindowOption = Annotated[
    str | None, typer.Option("--window", metavar="TIME", help="Rates are those of the last while.")
]


@command(
    app,
    "agent",
    "caxton debug agent InventoryChecker --show-metrics",
    "caxton debug agent InventoryChecker --mailbox",
    "caxton debug agent InventoryChecker --kv --prefix order/",
    "caxton debug agent InventoryChecker --stack",
    "caxton debug agent InventoryChecker --memory 0x10000 256",
)
def debug_agent(
    cli: Cli,
    name: NameArgument,
    show_metrics: MetricsOption = False,
    mailbox: MailboxOption = False,
    kv: KvOption = False,
    prefix: PrefixOption = None,
    stack: StackOption = False,
    memory: MemoryOption = None,
    replica: ReplicaOption = None,
    limit: LimitOption = None,
    window: WindowOption = None,
) -> None:
    """Show what an agent uses and does; or its mail, its state, where it is, or a part of its memory."""
    is_other = mailbox or kv or prefix is not None or stack or memory is not None
    _refuse_without(window, "--window", "--show-metrics", show_metrics or not is_other)
    _refuse_without(limit, "--limit", "--mailbox or --kv", mailbox or kv or prefix is not None)
    _refuse_without(replica, "--replica", "--memory", memory is not None)
    place = _place(memory) if memory is not None else None
    asked: list[tuple[str, Callable[[CaxtonClient], Any], Callable[[Cli, Any], None]]] = []
    if show_metrics:
        asked.append(("metrics", lambda client: client.figures(name, window=window), _show_line))
    if mailbox:
        asked.append(("mailbox", lambda client: client.mailbox(name, limit=limit), _show_mailbox))
    if kv or prefix is not None:
        asked.append(("kv", lambda client: client.state(name, prefix=prefix, limit=limit), _show_kv))
    if stack:
        asked.append(("stack", lambda client: client.stack(name), _show_stack))
    if place is not None:
        offset, length = place
        asked.append(
            (
                "memory",
                lambda client: client.memory(name, offset=offset, length=length, replica=replica),
                _show_memory,
            )
        )
    is_bare = not asked
    if is_bare:
        asked.append(("metrics", lambda client: client.figures(name, window=window), _show_figures))
    with cli.client("Looking into the agent") as client:
        found = {what: ask(client) for what, ask, _ in asked}

    def human() -> None:
        for what, _, show in asked:
            show(cli, found[what])

    cli.screen.answer(found["metrics"] if is_bare else found, human)


def _refuse_without(value: object, option: str, needed: str, has_needed: bool) -> None:
    """Raise `InvalidUsage` for an option that would change nothing."""
    from caxton.core.errors.command_line import InvalidUsage

    if value is not None and not has_needed:
        raise InvalidUsage(f"{option} says something only with {needed}", command="caxton debug agent")


def _place(memory: tuple[str, str]) -> tuple[int, int]:
    """Offset and length, decimal or with 0x."""
    from caxton.core.errors.values import InvalidValue

    numbers: list[int] = []
    for what, text in zip(("offset", "length"), memory, strict=True):
        try:
            number = int(text, 0)
        except ValueError:
            raise InvalidValue(what, text, "give a whole number of bytes, like 4096 or 0x1000") from None
        if number < 0:
            raise InvalidValue(what, text, "give a number that is not negative")
        numbers.append(number)
    return numbers[0], numbers[1]


def _show_line(cli: Cli, figures: "AgentDebug") -> None:
    from caxton.cli.drawing.debug_text import figures_line

    cli.screen.line(figures_line(figures))
    _warn_of_recorder(cli, figures)


def _warn_of_recorder(cli: Cli, figures: "AgentDebug") -> None:
    if not figures.is_recorded:
        cli.screen.hint("the flight recorder is off, so there are no rates: recorder.size turns it on")


_WHY_SHORT = ": no more of it is kept or looked at"


def _show_figures(cli: Cli, figures: "AgentDebug") -> None:
    from caxton.cli.drawing.debug_text import figures_line, in_hand, megabytes, rate, seconds
    from caxton.core.units import format_duration

    own = ", one of the server's own" if figures.type == "native" else ""
    marks = {"running": Mark.OK, "failed": Mark.FAIL, "stopped": Mark.INFO}
    why = f": {printable(figures.reason)}" if figures.reason else ""
    cli.screen.state(marks.get(figures.status, Mark.BUSY), f"{figures.name} is {figures.status}{own}{why}")
    cli.screen.line(figures_line(figures))
    cli.screen.facts(
        [
            ("handled", f"{rate(figures.handlings)}, {figures.failed:,} of {figures.handlings.count:,} failed"),
            ("waited", f"half of them up to {seconds(figures.waits.p50_s)}, p99 {seconds(figures.waits.p99_s)}"),
            (
                "rates of",
                f"the last {format_duration(figures.window_s)}{_WHY_SHORT * figures.is_cut}",
            ),
        ]
    )
    rows = [
        (
            str(one.replica), "up" if one.is_up else "down", megabytes(one.memory_bytes), f"{one.waiting:,}",
            f"{one.handled:,}", in_hand(one.in_hand),
        )
        for one in figures.replicas
    ]  # fmt: skip
    if rows:
        cli.screen.table(("replica", "state", "memory", "waiting", "handled", "in hand"), rows)
    _warn_of_recorder(cli, figures)


def _show_mailbox(cli: Cli, mail: "MailboxDebug") -> None:
    from caxton.cli.drawing.debug_text import in_hand, seconds
    from caxton.core.units import format_size

    for one in mail.in_hand:
        cli.screen.state(Mark.BUSY, f"replica {one.replica} has in hand: {printable(in_hand(one.in_hand))}")
    if not mail.messages:
        cli.screen.line(f"Nothing waits for {mail.name}.")
        return
    rows = [
        (
            seconds(one.age_s), one.sender, one.performative, one.conversation_id or "-", str(one.attempt),
            str(one.priority), format_size(one.size), one.state, "-" if one.replica is None else str(one.replica),
            one.message_id or "-",
        )
        for one in mail.messages
    ]  # fmt: skip
    columns = ("age", "from", "act", "conversation", "attempt", "prio", "size", "state", "replica", "id")
    left_out = f", {mail.left_out:,} more are not shown (--limit)" if mail.left_out else ""
    cli.screen.table(columns, rows, total=f"{mail.waiting:,} wait{'s' if mail.waiting == 1 else ''}{left_out}")


def _show_kv(cli: Cli, state: "KvDebug") -> None:
    from caxton.cli.drawing.debug_text import key_text, value_text
    from caxton.core.units import format_size

    if not state.entries:
        cli.screen.line(f"No keys of {state.name} here.")
        return
    rows = [(key_text(one), format_size(one.value_bytes), value_text(one)) for one in state.entries]
    left_out = f", {state.left_out:,} more are not shown (--limit, --prefix)" if state.left_out else ""
    keys = f"{state.total:,} key{'' if state.total == 1 else 's'}{left_out}"
    cli.screen.table(("key", "size", "value"), rows, total=f"{keys}; the whole state counts {format_size(state.bytes)}")


def _show_stack(cli: Cli, stack: "StackDebug") -> None:
    from caxton.cli.drawing.debug_text import frame_line, in_hand

    if not stack.replicas:
        cli.screen.line(f"{stack.name} has no instance.")
    for one in stack.replicas:
        mark = Mark.BUSY if one.state == "running" else Mark.INFO
        doing = one.note if one.in_hand is None else in_hand(one.in_hand)
        cli.screen.state(mark, f"replica {one.replica} {one.state}: {printable(doing or '-')}")
        width = max((len(frame.function) for frame in one.frames), default=0)
        for frame in one.frames:
            cli.screen.line(f"    {printable(frame_line(frame, width))}")
        if one.note and one.in_hand is not None:
            cli.screen.line(f"    {printable(one.note)}")
    if any(one.frames for one in stack.replicas) and not stack.has_source_lines:
        cli.screen.hint("no source lines: the module was built without debug information (-g)")


def _show_memory(cli: Cli, memory: "MemoryDebug") -> None:
    from caxton.cli.drawing.debug_text import hexdump

    for line in hexdump(memory):
        cli.screen.line(line)
