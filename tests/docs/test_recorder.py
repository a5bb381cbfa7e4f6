"""`reference/recorder.md` says what the recorder does."""

from __future__ import annotations

import re

from caxton.bus.flight import MAX_REFUSALS_PER_S
from caxton.recorder.record import KINDS
from caxton.recorder.recorder import DEFAULT_RING_BYTES
from caxton.recorder.ring import MIN_SEGMENTS, SEGMENT_BYTES
from caxton.server.config.catalogue import MIN_RECORDER_BYTES
from tests.docs.tables import read_page, rows, section, word

PAGE = read_page("reference/recorder.md")


def test_kinds_are_listed_in_their_order() -> None:
    assert [word(row[0]) for row in rows(section(PAGE, "## What is recorded"), "Kind")] == list(KINDS)


def test_figures_are_right() -> None:
    assert f"at most {MAX_REFUSALS_PER_S} a second" in PAGE
    size = section(PAGE, "## Size")
    assert re.findall(r"(\d+) MiB unless", size) == [str(DEFAULT_RING_BYTES >> 20)]
    assert f"{SEGMENT_BYTES >> 20} MiB at a time" in size
    assert MIN_SEGMENTS * SEGMENT_BYTES == MIN_RECORDER_BYTES
    (row,) = [
        line for line in read_page("reference/configuration.md").splitlines() if line.startswith("| `recorder.size`")
    ]
    assert f"at least {MIN_RECORDER_BYTES >> 20} MiB" in row
