"""Tokens: what is believed, for how long, and what is not."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from caxton.core.errors.access import Unauthorized
from caxton.core.errors.server import DataDirUnusable
from caxton.security.keys import load_or_create_key
from caxton.security.principal import Principal
from caxton.security.tokens import CACHE_TOKENS, TokenVerifier, ensure_admin_token, ensure_monitor_token, issue_token
from caxton.testing.fakes.clock import FakeClock
from tests.unit.security.forgeries import FORGERIES, Forge

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caxton.security.keys import SigningKey

DAY_S = 86400


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return load_or_create_key(tmp_path_factory.mktemp("data"))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def verifier(key: SigningKey, clock: FakeClock) -> TokenVerifier:
    return TokenVerifier([key], clock)


@pytest.fixture
def forge(key: SigningKey, clock: FakeClock) -> Forge:
    return Forge(key, int(clock.wall_s))


@pytest.mark.parametrize("make", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_token_is_refused_without_a_reason(
    make: Callable[[Forge], str], forge: Forge, verifier: TokenVerifier
) -> None:
    with pytest.raises(Unauthorized) as caught:
        verifier.verify(make(forge))
    assert (str(caught.value), caught.value.details()) == (str(Unauthorized()), {})


def test_a_forged_token_is_refused_again_when_a_good_one_was_seen(forge: Forge, verifier: TokenVerifier) -> None:
    verifier.verify(forge.good())
    with pytest.raises(Unauthorized):
        verifier.verify(forge.bit_flipped())


def test_a_good_token_tells_name_and_roles(forge: Forge, verifier: TokenVerifier) -> None:
    assert verifier.verify(forge.good()) == Principal("admin", frozenset({"admin"}))


def test_typ_is_read_without_regard_to_case(forge: Forge, verifier: TokenVerifier) -> None:
    assert verifier.verify(forge.with_header(typ="AT+JWT")).name == "admin"


def test_clocks_may_differ_by_half_a_minute(forge: Forge, verifier: TokenVerifier) -> None:
    verifier.verify(forge.with_claims(exp=forge.now_s - 29))
    verifier.verify(forge.with_claims(iat=forge.now_s + 29, nbf=forge.now_s + 29))


def test_a_token_whose_verdict_is_remembered_still_expires(
    key: SigningKey, verifier: TokenVerifier, clock: FakeClock
) -> None:
    token = issue_token(key, "admin", ["admin"], now_s=int(clock.wall_s), lifetime_s=10)
    verifier.verify(token)
    clock.advance(41)
    with pytest.raises(Unauthorized):
        verifier.verify(token)


def test_a_verdict_is_forgotten_after_a_minute(forge: Forge, clock: FakeClock, key: SigningKey) -> None:
    keys = [key]
    verifier = TokenVerifier(keys, clock)
    token = forge.good()
    verifier.verify(token)
    verifier._keys.clear()  # pyright: ignore[reportPrivateUsage]
    clock.advance(59)
    assert verifier.verify(token).name == "admin"
    clock.advance(2)
    with pytest.raises(Unauthorized):
        verifier.verify(token)


def test_a_clock_set_back_does_not_prolong_a_verdict(forge: Forge, clock: FakeClock, verifier: TokenVerifier) -> None:
    token = forge.good()
    verifier.verify(token)
    verifier._keys.clear()  # pyright: ignore[reportPrivateUsage]
    clock.advance(61)
    clock.wall_s -= 3600
    with pytest.raises(Unauthorized):
        verifier.verify(token)


def test_no_more_verdicts_are_remembered_than_the_limit(forge: Forge, verifier: TokenVerifier) -> None:
    for number in range(CACHE_TOKENS + 10):
        verifier.verify(forge.with_claims(jti=str(number)))
    assert len(verifier._verdicts) == CACHE_TOKENS  # pyright: ignore[reportPrivateUsage]


def test_refused_tokens_are_not_remembered(forge: Forge, verifier: TokenVerifier) -> None:
    for number in range(3):
        with pytest.raises(Unauthorized):
            verifier.verify(f"forged-{number}")
    assert not verifier._verdicts  # pyright: ignore[reportPrivateUsage]


def test_the_first_start_writes_a_token_that_only_its_owner_can_read(
    key: SigningKey, clock: FakeClock, verifier: TokenVerifier, tmp_path: Path
) -> None:
    token = ensure_admin_token(tmp_path, key, clock)
    path = tmp_path / "admin.token"
    assert path.read_text() == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert verifier.verify(token) == Principal("admin", frozenset({"admin"}))


def test_a_restart_keeps_the_token(key: SigningKey, clock: FakeClock, tmp_path: Path) -> None:
    token = ensure_admin_token(tmp_path, key, clock)
    clock.advance(334 * DAY_S)
    assert ensure_admin_token(tmp_path, key, clock) == token


def test_a_token_with_less_than_a_month_left_is_replaced(
    key: SigningKey, clock: FakeClock, verifier: TokenVerifier, tmp_path: Path
) -> None:
    old = ensure_admin_token(tmp_path, key, clock)
    clock.advance(336 * DAY_S)
    new = ensure_admin_token(tmp_path, key, clock)
    assert new != old
    assert verifier.verify(new).name == "admin"


def test_a_token_of_another_key_is_replaced(key: SigningKey, clock: FakeClock, tmp_path: Path) -> None:
    old = ensure_admin_token(tmp_path, load_or_create_key(tmp_path / "other"), clock)
    new = ensure_admin_token(tmp_path, key, clock)
    assert new != old
    assert TokenVerifier([key], clock).verify(new).name == "admin"


def test_a_token_without_the_admins_role_is_replaced(
    key: SigningKey, clock: FakeClock, verifier: TokenVerifier, tmp_path: Path
) -> None:
    lesser = issue_token(key, "admin", ["viewer"], now_s=int(clock.wall_s), lifetime_s=365 * DAY_S)
    (tmp_path / "admin.token").write_text(lesser)
    assert "admin" in verifier.verify(ensure_admin_token(tmp_path, key, clock)).roles


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff\xfe", b"a.b.c", b"x" * 100_000])
def test_a_broken_token_file_is_replaced(content: bytes, key: SigningKey, clock: FakeClock, tmp_path: Path) -> None:
    (tmp_path / "admin.token").write_bytes(content)
    token = ensure_admin_token(tmp_path, key, clock)
    assert (tmp_path / "admin.token").read_text() == token


def test_a_token_file_that_others_could_read_is_closed_to_them(
    key: SigningKey, clock: FakeClock, tmp_path: Path
) -> None:
    ensure_admin_token(tmp_path, key, clock)
    (tmp_path / "admin.token").chmod(0o644)
    ensure_admin_token(tmp_path, key, clock)
    assert stat.S_IMODE((tmp_path / "admin.token").stat().st_mode) == 0o600


def test_a_link_in_the_tokens_place_is_not_followed(key: SigningKey, clock: FakeClock, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "admin.token").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataDirUnusable):
        ensure_admin_token(tmp_path, key, clock)
    assert (tmp_path / "elsewhere").read_text() == ""


def test_token_for_monitoring_is_another_one_and_may_only_monitor(
    key: SigningKey, clock: FakeClock, verifier: TokenVerifier, tmp_path: Path
) -> None:
    admin = ensure_admin_token(tmp_path, key, clock)
    token = ensure_monitor_token(tmp_path, key, clock)
    assert (ensure_admin_token(tmp_path, key, clock), ensure_monitor_token(tmp_path, key, clock)) == (admin, token)
    assert (tmp_path / "monitor.token").read_text() == token
    assert stat.S_IMODE((tmp_path / "monitor.token").stat().st_mode) == 0o600
    assert verifier.verify(token) == Principal("monitor", frozenset({"monitor"}))


def test_token_of_more_rights_in_the_monitors_place_is_replaced(
    key: SigningKey, clock: FakeClock, verifier: TokenVerifier, tmp_path: Path
) -> None:
    more = issue_token(key, "monitor", ["admin", "monitor"], now_s=int(clock.wall_s), lifetime_s=365 * DAY_S)
    (tmp_path / "monitor.token").write_text(more)
    assert verifier.verify(ensure_monitor_token(tmp_path, key, clock)).roles == {"monitor"}


def test_the_same_claims_make_two_different_tokens(key: SigningKey) -> None:
    first, second = (issue_token(key, "a", ["b"], now_s=1, lifetime_s=1) for _ in range(2))
    assert first != second
