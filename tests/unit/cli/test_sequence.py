"""Diagrams as text: what they look like, and what holds whatever is drawn."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from caxton.cli.drawing.sequence import ASCII, HEADER_EVERY, MIN_WIDTH, UNICODE, TextDiagram, clipped, named, time_of
from caxton.cli.output import printable
from caxton.core.views.messages import Gap, Sighting
from tests.unit.cli.sightings import HOSTILE, START_US, any_names, contract_net, plain_names, sighting, sightings


def drawn(diagram: TextDiagram, *seen: Sighting | Gap) -> str:
    return "\n".join(line for one in seen for line in diagram.draw(one))


def picture(text: str, indent: int) -> str:
    """A picture in the source, without the blanks that all its lines have."""
    return "\n".join(line[indent:] for line in text.split("\n")[1:-1])


# --- what it looks like ------------------------------------------------------------------------------------------


def test_contract_net_looks_like_this() -> None:
    seen = contract_net()
    assert drawn(TextDiagram(width=80, names=named(seen)), *seen) == picture(
        """
                      clien…admin    manager     bidder-1     bidder-2     bidder-3
             +0.000s       ├─ request ─>│            │            │            │
             +0.250s       │            ├─── cfp ───>│            │            │
             +0.250s       │            ├───────── cfp ──────────>│            │
             +0.250s       │            ├──────────────── cfp ────────────────>│
             +0.500s       │            │<─ propose ─┤            │            │
             +0.750s       │            │<──────── refuse ────────┤            │
             +1.000s       │            ├╌╌╌╌╌╌ cfp (failed, attempt 5) ╌╌╌╌╌╌✗│
             +1.250s       │            │ accept-proposal         │            │
                           │            ├───────────>│            │            │
             +1.500s       │            │<─┘ inform  │            │            │
             +1.750s       │✗╌╌ inform (protocol) ╌╌╌┤            │            │
    """,
        8,
    )


def test_contents_times_of_day_and_ascii_look_like_this() -> None:
    seen = contract_net()[4:]
    diagram = TextDiagram(width=64, content=True, absolute=True, glyphs=ASCII)
    assert drawn(diagram, *seen, Gap(missed=3)) == picture(
        """
                             bidder-1                  manager
        08:00:00.500             | propose [c-1] {"x": 1} |
                                 |----------------------->|
                         bidder-1          manager         bidder-2
        08:00:00.750         |                | refuse [c-1] {"x": 1}
                             |                |<---------------|
                       bidder-1     manager    bidder-2    bidder-3
        08:00:01.000       |      cfp (failed, attempt 5) [c-1] {"x": 1}
                           |           |......................x|
        08:00:01.250       | accept-proposal [c-1] {"x": 1}    |
                           |<----------|           |           |
        08:00:01.500       |           | inform [c-1] {"x": 1} |
                           |           |<-'        |           |
                      bidder-1   manager  bidder-2  bidder-3  cli~dmin
        08:00:01.750      | inform (protocol) [c-1] {"x": 1}      |
                          |......................................x|
                     ... 3 messages are missing: they came too fast
    """,
        8,
    )


def test_names_without_lanes_look_like_this() -> None:
    assert drawn(TextDiagram(width=44), *contract_net(), Gap(missed=None)) == picture(
        """
                      client:admin      manager
             +0.000s        ├── request ──>│
                      cli…dmin   manager  bidder-1
             +0.250s      │         ├─ cfp ──>│
                     ⋯ more names than lanes: each …
             +0.250s manager ─ cfp ─> bidder-2
             +0.250s manager ─ cfp ─> bidder-3
             +0.500s bidder-1 ─ propose ─> manager
             +0.750s bidder-2 ─ refuse ─> manager
             +1.000s ma…ger ╌ cfp (failed… ╌✗ bi…r-3
             +1.250s ma…ger ─ accept-prop… ─> bi…r-1
             +1.500s manager ─ inform ─> manager
             +1.750s bi…r-1 ╌ inform (pro… ╌✗ cl…min
                     ⋯ the connection was away: mes…
    """,
        8,
    )


def test_wide_names_and_contents_look_like_this() -> None:
    seen = sighting(0, "client:管理者", "sorter", excerpt='"並べ替え"')
    assert drawn(TextDiagram(width=60, content=True), seen) == picture(
        """
                          client:管理者             sorter
             +0.000s            │ inform [c-1] "並べ替え"
                                ├─────────────────────>│
    """,
        8,
    )


# --- what always holds -------------------------------------------------------------------------------------------


@given(sightings(any_names, st.text(max_size=30) | st.sampled_from(HOSTILE)), st.integers(20, 200), st.data())
def test_no_line_is_ever_wider_than_asked_for_and_none_steers_a_terminal(
    seen: list[Sighting], width: int, data: st.DataObject
) -> None:
    diagram = TextDiagram(
        width=width, absolute=data.draw(st.booleans()), content=data.draw(st.booleans()),
        glyphs=data.draw(st.sampled_from([UNICODE, ASCII])), names=data.draw(st.sampled_from([[], named(seen)])),
    )  # fmt: skip
    for one in [*seen, Gap(missed=7), Gap(missed=None)]:
        for line in diagram.draw(one):
            assert cell_len(line) <= width
            assert (printable(line), line.count("\t"), line.rstrip()) == (line, 0, line)


@given(sightings(plain_names, st.just("text")), st.integers(MIN_WIDTH, 160), st.booleans())
def test_every_message_is_exactly_one_arrow_in_one_or_two_lines(
    seen: list[Sighting], width: int, content: bool
) -> None:
    diagram = TextDiagram(width=width, content=content)
    for one in seen:
        lines = diagram.draw(one)
        assert [head for line in lines for head in line if head in "><✗"] == ["✗"] or one.event == "sent"
        assert sum(line.count(head) for line in lines for head in "><✗") == 1
        assert len(lines) - _count_headers(lines) in (1, 2)


def _count_headers(lines: list[str]) -> int:
    """Lines before the one that begins with the time."""
    return next(n for n, line in enumerate(lines) if re.match(r" *[+-]\d+\.\d{3}s", line))


@given(sightings(plain_names, st.just("text")), st.integers(13 + 8 * 12, 200))
def test_arrow_leads_from_the_senders_lane_to_the_receivers(seen: list[Sighting], width: int) -> None:
    names = named(seen)
    diagram = TextDiagram(width=width, names=names)
    lane = min(28, (width - 13) // max(len(names), 1))
    at = {name: 13 + n * lane + lane // 2 for n, name in enumerate(names)}
    for one in seen:
        row, start, end = diagram.draw(one)[-1], at[one.sender], at[one.receiver]
        head = "✗" if one.event != "sent" else ">" if start < end else "<"
        beside = end - 1 if start < end else end + 1
        assert (row[end], row[beside]) == ("│", head)
        assert row[start] == ("├" if start < end else "┤" if start > end else "│")
        others = [name for name in names if not min(start, end) <= at[name] <= max(start, end)]
        assert all(row[at[name]] == "│" or one.sender == one.receiver for name in others)


@given(any_names, st.integers(0, 60))
def test_shortened_name_fits_and_keeps_both_its_ends(name: str, cells: int) -> None:
    short = clipped(name, cells)
    assert cell_len(short) <= cells or short == "" == name or cells == 0
    if cell_len(name) <= cells:
        assert short == name
    elif cells:
        head, _, tail = short.partition("…")
        assert name.startswith(head)
        assert name.endswith(tail)


# --- names and times ---------------------------------------------------------------------------------------------


def test_names_are_told_again_when_one_is_new_and_when_they_are_out_of_sight() -> None:
    diagram = TextDiagram(width=80)
    told = [len(diagram.draw(sighting(n, "a", "b"))) - 1 for n in range(2 * HEADER_EVERY + 1)]
    assert [n for n, count in enumerate(told) if count] == [0, HEADER_EVERY, 2 * HEADER_EVERY]
    header, _ = diagram.draw(sighting(0, "b", "c"))
    assert header.split() == ["a", "b", "c"]


def test_names_that_are_known_before_stand_there_from_the_start() -> None:
    diagram = TextDiagram(width=80, names=["x", "y", "z"])
    header, _ = diagram.draw(sighting(0, "z", "x"))
    assert header.split() == ["x", "y", "z"]


def test_terminal_that_changes_its_width_has_the_names_told_again() -> None:
    diagram = TextDiagram(width=80)
    diagram.draw(sighting(0, "a", "b"))
    diagram.resize(80)
    assert len(diagram.draw(sighting(1, "a", "b"))) == 1
    diagram.resize(50)
    header, row = diagram.draw(sighting(2, "a", "b"))
    assert header.split() == ["a", "b"]
    assert len(row) <= 50


def test_terminal_that_gets_too_narrow_for_the_lanes_gets_a_line_for_each_message() -> None:
    diagram = TextDiagram(width=160)
    for n in range(9):
        diagram.draw(sighting(n, "a", f"b-{n}"))
    diagram.resize(60)
    remark, row = diagram.draw(sighting(9, "a", "b-0"))
    assert "more names than lanes" in remark
    assert row.split()[1:] == ["a", "─", "inform", "─>", "b-0"]


def test_each_conversation_has_a_colour_and_what_is_lost_is_red() -> None:
    used: list[int] = []

    def paint(text: str, colour: int) -> str:
        used.append(colour)
        return text

    diagram = TextDiagram(width=80, paint=paint, names=["a", "b"])
    diagram.draw(sighting(0, "a", "b"))
    used.clear()
    for conversation in ("c-1", "c-2", "c-1"):
        diagram.draw(sighting(1, "a", "b", conversation_id=conversation))
    diagram.draw(sighting(1, "a", "b", event="dead", reason="failed"))
    first, second, again, lost = used
    assert (first == again, first == second, lost) == (True, False, 31)


@given(sightings(plain_names, st.just("text")), st.integers(MIN_WIDTH, 160), st.booleans())
def test_colours_change_nothing_but_the_colour(seen: list[Sighting], width: int, content: bool) -> None:
    bare = TextDiagram(width=width, content=content)
    coloured = TextDiagram(width=width, content=content, paint=lambda text, colour: f"\x1b[{colour}m{text}\x1b[0m")
    for one in [*seen, Gap(missed=1)]:
        lines = [re.sub(r"\x1b\[\d+m", "", line).rstrip() for line in coloured.draw(one)]
        assert lines == bare.draw(one)


@pytest.mark.parametrize(
    ("timestamp_us", "first_us", "text"),
    [
        (START_US, START_US, "+0.000s"),
        (START_US - 1500, START_US, "-0.002s"),
        (START_US + 90_061_001_000, START_US, "+90061.001s"),
        (START_US, None, "08:00:00.000"),
        (START_US - 1000, None, "07:59:59.999"),
        (-1, None, "23:59:59.999"),
        (86_400_000_000 * 10**9 + 1000, None, "00:00:00.001"),
    ],
)
def test_times_are_written_like_this(timestamp_us: int, first_us: int | None, text: str) -> None:
    assert time_of(timestamp_us, first_us) == text
