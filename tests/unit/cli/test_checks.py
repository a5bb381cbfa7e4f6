from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from caxton.cli.checks import (
    Verdict,
    check_contexts,
    check_data_dir,
    check_disk,
    check_memory_maps,
    check_open_files,
    check_python,
    check_sandbox,
    check_server,
    check_sqlite,
)
from caxton.cli.contexts import Target
from tests.integration.fake_node import ADMIN_PROOF, running_node

if TYPE_CHECKING:
    from caxton.testing.fakes.node import FakeNode
    from tests.cli_runner import CliRunner


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("65530\n", Verdict.OK), ("30000\n", Verdict.WARN), ("what\n", Verdict.OK), (None, Verdict.OK)],
)
def test_too_few_memory_maps_are_warned_of(tmp_path: Path, text: str | None, verdict: Verdict) -> None:
    path = tmp_path / "max_map_count"
    if text is not None:
        path.write_text(text)
    assert check_memory_maps(path).verdict is verdict


def test_data_directory_that_is_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert check_data_dir(tmp_path / "file").verdict is Verdict.FAIL


def test_data_directory_open_to_others_fails_with_the_way_to_close_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    found = check_data_dir(tmp_path)
    assert (found.verdict, found.advice) == (Verdict.FAIL, f"chmod 700 {tmp_path}")
    tmp_path.chmod(0o700)
    assert check_data_dir(tmp_path).verdict is Verdict.OK
    assert check_data_dir(tmp_path / "not" / "yet").verdict is Verdict.OK


def test_data_directory_in_a_place_that_takes_no_files_fails_though_modes_allow_it(tmp_path: Path) -> None:
    for path in (Path("/proc/nothing/here"), Path("/proc")):
        assert check_data_dir(path).verdict is Verdict.FAIL
    assert check_data_dir(tmp_path / "not" / "yet").verdict is Verdict.OK
    assert list(tmp_path.iterdir()) == []


def test_damaged_contexts_file_fails(caxton: CliRunner) -> None:
    assert check_contexts().verdict is Verdict.OK
    caxton.contexts_path.parent.mkdir(parents=True)
    caxton.contexts_path.write_text("{")
    caxton.contexts_path.chmod(0o600)
    assert check_contexts().verdict is Verdict.FAIL


def test_locked_packages_on_this_machine_are_as_they_should_be(tmp_path: Path) -> None:
    found = [check_python(), check_sandbox(), check_sqlite(), check_disk(tmp_path), check_open_files()]
    assert [check.name for check in found if check.verdict is Verdict.FAIL] == []


def test_server_of_another_version_or_that_takes_no_work_is_warned_of() -> None:
    with running_node() as node:
        token = Target(server=node.url, token=ADMIN_PROOF)
        found = {check.name: check for check in check_server(token)}
        assert (found["versions"].verdict, found["ready"].verdict) == (Verdict.WARN, Verdict.OK)

        def unready(fakes: FakeNode) -> None:
            fakes.server.is_ready = False

        node.do(unready)
        found = {check.name: check for check in check_server(token)}
        assert (found["ready"].verdict, found["ready"].finding) == (Verdict.WARN, "STARTING: it starts")
        assert found["ready"].advice == "wait"
