"""A node in memory that the command line finds by its context: a fixture, for test files to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.cli.contexts import Context, Contexts, write_contexts
from tests.integration.fake_node import ADMIN_PROOF, RunningNode, running_node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli_runner import CliRunner


@pytest.fixture
def node(caxton: CliRunner) -> Iterator[RunningNode]:
    """The node of the context `local`, with the rights of an administrator. `caxton` is of `tests.cli_runner`."""
    with running_node() as node:
        write_contexts(Contexts(current="local", contexts={"local": Context(server=node.url, token=ADMIN_PROOF)}))
        yield node
