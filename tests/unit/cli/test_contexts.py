from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from caxton.cli.contexts import (
    Context,
    Contexts,
    choose_target,
    contexts_path,
    read_contexts,
    remember_local,
    restore_local,
    write_contexts,
)
from caxton.core.errors.error import CaxtonError
from caxton.core.errors.server import InvalidConfig

if TYPE_CHECKING:
    from tests.cli_runner import CliRunner

pytestmark = pytest.mark.usefixtures("caxton")

LOCAL_PROOF, PROD_PROOF, NEW_PROOF = "local-token", "prod-token", "new-token"
LOCAL = Context(server="http://127.0.0.1:8080", token=LOCAL_PROOF)
PROD = Context(server="https://caxton.example:443", token=PROD_PROOF)


def target(server: str | None = None, token: str | None = None, context: str | None = None) -> tuple[str, str | None]:
    chosen = choose_target(server=server, token=token, context=context)
    return chosen.server, chosen.token


def test_contexts_file_and_its_directory_are_for_the_owner_alone() -> None:
    contexts_path().parent.mkdir(parents=True, mode=0o755)
    contexts_path().write_text("{}")
    contexts_path().chmod(0o644)
    remember_local("http://localhost:8080", token=NEW_PROOF, data_dir=Path("/data"))
    assert stat.S_IMODE(contexts_path().stat().st_mode) == 0o600
    assert stat.S_IMODE(contexts_path().parent.stat().st_mode) == 0o700
    assert [path.name for path in contexts_path().parent.iterdir()] == ["contexts.json"]


def test_contexts_file_that_is_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("{}")
    contexts_path().parent.mkdir(parents=True)
    contexts_path().symlink_to(elsewhere)
    remember_local("http://localhost:8080", token=NEW_PROOF, data_dir=Path("/data"))
    assert elsewhere.read_text() == "{}"
    assert not contexts_path().is_symlink()


def test_started_server_becomes_the_local_and_current_context() -> None:
    remember_local("http://localhost:9000", token=NEW_PROOF, data_dir=Path("/data"))
    assert json.loads(contexts_path().read_text()) == {
        "current": "local",
        "contexts": {"local": {"server": "http://127.0.0.1:9000", "token": NEW_PROOF, "data_dir": "/data"}},
    }
    assert target() == ("http://127.0.0.1:9000", NEW_PROOF)


def test_started_server_leaves_another_current_context_alone() -> None:
    write_contexts(Contexts(current="prod", contexts={"prod": PROD}))
    remember_local("http://localhost:8080", token=NEW_PROOF, data_dir=Path("/data"))
    assert target() == ("https://caxton.example", PROD_PROOF)
    assert target(context="local") == ("http://127.0.0.1:8080", NEW_PROOF)


def test_without_any_word_the_default_server_is_asked_without_a_token() -> None:
    assert target() == ("http://127.0.0.1:8080", None)


def test_flags_come_before_environment_and_environment_before_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write_contexts(Contexts(current="local", contexts={"local": LOCAL}))
    assert target() == ("http://127.0.0.1:8080", LOCAL_PROOF)
    monkeypatch.setenv("CAXTON_SERVER", "http://127.0.0.1:9999")
    monkeypatch.setenv("CAXTON_TOKEN", "env-token")
    assert target() == ("http://127.0.0.1:9999", "env-token")
    assert target(server="http://127.0.0.1:7777", token=NEW_PROOF) == ("http://127.0.0.1:7777", NEW_PROOF)


def test_context_named_on_the_command_line_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    write_contexts(Contexts(current="local", contexts={"local": LOCAL, "prod": PROD}))
    monkeypatch.setenv("CAXTON_SERVER", "http://127.0.0.1:9999")
    monkeypatch.setenv("CAXTON_TOKEN", "env-token")
    assert target(context="prod") == ("https://caxton.example", PROD_PROOF)


@pytest.mark.parametrize(
    "server",
    [
        "http://127.0.0.1:8081",
        "https://127.0.0.1:8080",
        "http://evil.example:8080",
        "http://127.0.0.1.evil.example:8080",
    ],
)
def test_token_of_the_file_never_goes_to_another_server(server: str) -> None:
    write_contexts(Contexts(current="local", contexts={"local": LOCAL}))
    assert target(server=server) == (server, None)


def test_token_of_the_environment_never_goes_to_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAXTON_SERVER", "https://caxton.example")
    monkeypatch.setenv("CAXTON_TOKEN", "env-token")
    assert target(server="http://evil.example") == ("http://evil.example", None)
    assert target(server="https://caxton.example/") == ("https://caxton.example", "env-token")


def test_token_of_the_environment_goes_to_the_chosen_server_when_it_names_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CAXTON_TOKEN", "env-token")
    assert target(server="https://caxton.example") == ("https://caxton.example", "env-token")


def test_context_can_be_named_by_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    write_contexts(Contexts(current="local", contexts={"local": LOCAL, "prod": PROD}))
    monkeypatch.setenv("CAXTON_CONTEXT", "prod")
    assert target() == ("https://caxton.example", PROD_PROOF)


def test_contexts_file_elsewhere_leaves_the_mode_of_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.setenv("CAXTON_CONTEXTS", str(tmp_path / "mine.json"))
    remember_local("http://localhost:8080", token=NEW_PROOF, data_dir=Path("/data"))
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "mine.json").stat().st_mode) == 0o600
    assert target() == ("http://127.0.0.1:8080", NEW_PROOF)


def test_server_named_by_hand_gets_the_token_that_stands_beside_it() -> None:
    write_contexts(Contexts(current="local", contexts={"local": LOCAL, "prod": PROD}))
    assert target(server="https://caxton.example") == ("https://caxton.example", PROD_PROOF)
    assert target(server="http://localhost:8080") == ("http://localhost:8080", LOCAL_PROOF)


def test_unknown_context_is_answered_with_the_nearest_one(caxton: CliRunner) -> None:
    write_contexts(Contexts(current="local", contexts={"local": LOCAL}))
    outcome = caxton("status", "--context", "locl")
    assert outcome.code == 3
    assert "did you mean 'local'?" in outcome.err


def test_damaged_contexts_file_is_told_with_its_path(caxton: CliRunner) -> None:
    contexts_path().parent.mkdir(parents=True)
    contexts_path().write_text('{"current": 5')
    with pytest.raises(InvalidConfig):
        read_contexts()
    outcome = caxton("status")
    assert outcome.code == 4
    assert str(contexts_path()) in outcome.err


@pytest.mark.parametrize(
    "server", ["localhost:8080", "ftp://x", "http://", "http://u:p@x", "http://x/path", "http://x?q=1", "x" * 5000]
)
def test_address_that_is_none_is_refused(caxton: CliRunner, server: str) -> None:
    with pytest.raises(CaxtonError) as caught:
        target(server=server)
    assert caught.value.code == "INVALID_VALUE"
    assert caxton("status", "--server", server).code == 4


def test_token_crossing_a_network_unencrypted_is_warned_of() -> None:
    write_contexts(Contexts(contexts={"far": Context(server="http://10.0.0.9:8080", token=NEW_PROOF)}))
    assert choose_target(server=None, token=None, context="far").sends_token_openly
    assert not choose_target(server="http://localhost:1", token=NEW_PROOF, context=None).sends_token_openly
    assert not choose_target(server="https://far.example", token=NEW_PROOF, context=None).sends_token_openly
    assert not choose_target(server="http://far.example", token=None, context=None).sends_token_openly


def test_tokens_do_not_appear_when_contexts_are_printed() -> None:
    write_contexts(Contexts(current="local", contexts={"local": LOCAL}))
    assert "token" not in repr(read_contexts())
    assert "token" not in repr(choose_target(server=None, token=None, context=None))


def test_server_that_ends_gives_the_entry_back_to_the_one_before_it_and_to_no_other() -> None:
    remember_local("http://localhost:1", token=NEW_PROOF, data_dir=Path("/a"))
    before = remember_local("http://localhost:2", token=NEW_PROOF, data_dir=Path("/b"))
    assert before is not None
    assert (before.server, before.data_dir) == ("http://127.0.0.1:1", "/a")
    restore_local(Path("/c"), Context(server="http://localhost:3"))  # it is not the one that is named
    assert read_contexts().contexts["local"].data_dir == "/b"
    restore_local(Path("/b"), before)
    assert read_contexts().contexts["local"] == before
