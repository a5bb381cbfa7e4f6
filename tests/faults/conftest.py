"""What the proofs share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.load import prepare

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the agents, compiled; to be copied."""
    place = tmp_path_factory.mktemp("faults") / "template"
    prepare(place)
    return place
