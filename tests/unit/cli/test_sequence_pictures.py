"""Finished conversations as Mermaid and as SVG: every message is there once, and no name is anything but text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caxton.cli.drawing.sequence import named, shown
from caxton.cli.drawing.sequence_mermaid import MAX_CHARS, mermaid
from caxton.cli.drawing.sequence_svg import svg
from tests.unit.cli.sightings import HOSTILE, any_names, contract_net, sighting, sightings

if TYPE_CHECKING:
    from caxton.core.views.messages import Sighting

anything = sightings(any_names, st.text(max_size=30) | st.sampled_from(HOSTILE))

_TEXT = r"(?:[A-Za-z0-9 _.+-]|#\d+;)+"
_PARTICIPANT = re.compile(rf"    participant (p\d+) as ({_TEXT})")
_MESSAGE = re.compile(rf"    (p\d+)(->>|-->>|-x)(p\d+): ({_TEXT})")
"""All that may stand in a diagram. Entities are the only way in for anything else."""

SVG = "{http://www.w3.org/2000/svg}"
ELEMENTS = {"svg", "title", "rect", "g", "line", "text", "path"}
ATTRIBUTES = {
    "class", "d", "dominant-baseline", "fill", "font-family", "font-size", "height", "role", "rx", "stroke",
    "stroke-dasharray", "stroke-width", "text-anchor", "viewBox", "width", "x", "x1", "x2", "y", "y1", "y2",
}  # fmt: skip


def decoded(text: str) -> str:
    """As Mermaid shows it."""
    return re.sub(r"#(\d+);", lambda found: chr(int(found[1])), text)


# --- Mermaid -----------------------------------------------------------------------------------------------------


def test_contract_net_as_mermaid_looks_like_this() -> None:
    assert mermaid(contract_net()) == (
        "sequenceDiagram\n"
        "    participant p0 as client#58;admin\n"
        "    participant p1 as manager\n"
        "    participant p2 as bidder-1\n"
        "    participant p3 as bidder-2\n"
        "    participant p4 as bidder-3\n"
        "    p0->>p1: +0.000s request\n"
        "    p1->>p2: +0.250s cfp\n"
        "    p1->>p3: +0.250s cfp\n"
        "    p1->>p4: +0.250s cfp\n"
        "    p2-->>p1: +0.500s propose\n"
        "    p3-->>p1: +0.750s refuse\n"
        "    p1-xp4: +1.000s cfp #40;failed#44; attempt 5#41;\n"
        "    p1->>p2: +1.250s accept-proposal\n"
        "    p1->>p1: +1.500s inform\n"
        "    p2-xp0: +1.750s inform #40;protocol#41;\n"
    )


@given(anything)
def test_mermaid_has_a_line_for_each_name_and_message_and_nothing_else(seen: list[Sighting]) -> None:
    head, *lines = mermaid(seen).splitlines()
    names = named(seen)
    assert head == "sequenceDiagram"
    assert len(lines) == len(names) + len(seen)
    participants = [_PARTICIPANT.fullmatch(line) for line in lines[: len(names)]]
    messages = [_MESSAGE.fullmatch(line) for line in lines[len(names) :]]
    assert [found and found[1] for found in participants] == [f"p{n}" for n in range(len(names))]
    assert [found and (found[1], found[3], found[2] == "-x") for found in messages] == [
        (f"p{names.index(one.sender)}", f"p{names.index(one.receiver)}", one.event != "sent") for one in seen
    ]


@given(any_names)
def test_mermaid_shows_the_name_as_it_is(name: str) -> None:
    found = _PARTICIPANT.search(mermaid([sighting(0, name, name)]))
    assert found is not None
    wanted = shown(name).strip()
    cut = wanted if len(wanted) <= MAX_CHARS else f"{wanted[: MAX_CHARS - 1]}…"
    assert decoded(found[2]).strip() == cut.strip()


@pytest.mark.parametrize("name", ["end", "END", "the end", "end-1", "p end x"])
def test_word_that_ends_blocks_in_mermaid_is_no_word_of_its_own(name: str) -> None:
    found = _PARTICIPANT.search(mermaid([sighting(0, name, "b")]))
    assert found is not None
    assert not re.search(r"\bend\b", found[2], re.IGNORECASE)
    assert decoded(found[2]) == name


# --- SVG ---------------------------------------------------------------------------------------------------------


@given(anything, st.sampled_from(HOSTILE))
def test_svg_is_xml_with_one_arrow_for_each_message_and_only_harmless_elements(
    seen: list[Sighting], title: str
) -> None:
    text = svg(seen, title)
    assert text.isascii()
    root = ET.fromstring(text)  # noqa: S314 - our own text, which is what is tested
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= ELEMENTS
    assert {name for element in root.iter() for name in element.attrib} <= ATTRIBUTES
    groups = [group for group in root.iter(f"{SVG}g") if group.get("class") == "message"]
    assert len(groups) == len(seen)
    assert [sum(part.get("class") == "head" for part in group) for group in groups] == [1] * len(seen)
    assert len([group for group in root.iter(f"{SVG}g") if group.get("class") == "lane"]) == len(named(seen))


@given(anything)
def test_svg_has_no_word_of_a_stranger_outside_of_text(seen: list[Sighting]) -> None:
    root = ET.fromstring(svg(seen))  # noqa: S314
    said = "".join(value for element in root.iter() for value in element.attrib.values())
    assert re.fullmatch(r"[A-Za-z0-9 #%.,/:\-]*", said)
    assert not re.search(r"(?i)javascript|https?:(?!//www\.w3\.org)|url|href|on\w+=", said)


def test_svg_says_who_when_and_what() -> None:
    seen = contract_net()
    root = ET.fromstring(svg(seen, "Conversation c-1"))  # noqa: S314
    words = [element.text for element in root.iter(f"{SVG}text")]
    assert words[:5] == ["client:admin", "manager", "bidder-1", "bidder-2", "bidder-3"]
    assert words[5:9] == ["+0.000s", "request", "+0.250s", "cfp"]
    assert words[-2:] == ["+1.750s", "inform (protocol)"]
    titles = [element.text for element in root.iter(f"{SVG}title")]
    assert titles[0] == "Conversation c-1"
    assert titles[6] == 'request · c-1 · {"x": 1}'


def test_svg_draws_arrows_from_lane_to_lane_within_the_picture() -> None:
    seen = [sighting(0, "a", "b"), sighting(1, "b", "a", event="refused", reason="MAILBOX_FULL"), sighting(2, "b", "b")]
    root = ET.fromstring(svg(seen))  # noqa: S314
    lanes = [float(line.get("x1", "")) for line in root.iter(f"{SVG}line")]
    paths = [path.get("d", "") for path in root.iter(f"{SVG}path") if path.get("class") is None]
    starts = [float(re.findall(r"[\d.]+", path)[0]) for path in paths]
    assert starts == [lanes[0], lanes[1], lanes[1]]
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    assert all(float(element.get("x", "0")) <= width for element in root.iter())
    assert all(float(element.get("y", "0")) <= height for element in root.iter())


def test_nothing_said_is_an_empty_picture() -> None:
    assert mermaid([]) == "sequenceDiagram\n"
    assert not ET.fromstring(svg([])).findall(f"{SVG}g")  # noqa: S314
