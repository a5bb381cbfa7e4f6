"""The signing key on disk."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from caxton.core.errors.server import DataDirUnusable
from caxton.security.keys import load_or_create_key

if TYPE_CHECKING:
    from pathlib import Path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_that_is_no_key_is_refused_and_left_alone(tmp_path: Path) -> None:
    load_or_create_key(tmp_path)
    path = tmp_path / "keys" / "signing.pem"
    path.write_text("no key")
    with pytest.raises(DataDirUnusable):
        load_or_create_key(tmp_path)
    assert path.read_text() == "no key"


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    load_or_create_key(tmp_path)
    rsa = generate_private_key(65537, 2048)
    pem = rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "keys" / "signing.pem").write_bytes(pem)
    with pytest.raises(DataDirUnusable):
        load_or_create_key(tmp_path)


def test_a_link_in_the_keys_place_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.pem"
    target.write_text("a secret of somebody else")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "signing.pem").symlink_to(target)
    with pytest.raises(DataDirUnusable):
        load_or_create_key(tmp_path)


def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(DataDirUnusable):
        load_or_create_key(tmp_path / "data")


def test_the_first_start_makes_a_key_that_only_its_owner_can_read(tmp_path: Path) -> None:
    load_or_create_key(tmp_path)
    assert mode(tmp_path / "keys") == 0o700
    assert mode(tmp_path / "keys" / "signing.pem") == 0o600
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["signing.pem"]


def test_a_key_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    load_or_create_key(tmp_path)
    (tmp_path / "keys").chmod(0o755)
    (tmp_path / "keys" / "signing.pem").chmod(0o644)
    load_or_create_key(tmp_path)
    assert mode(tmp_path / "keys") == 0o700
    assert mode(tmp_path / "keys" / "signing.pem") == 0o600


def test_the_next_start_finds_the_same_key(tmp_path: Path) -> None:
    first, second = load_or_create_key(tmp_path), load_or_create_key(tmp_path)
    assert first.kid == second.kid
    assert second.public.verify(first.private.sign(b"x"), b"x") is None


def test_two_servers_have_two_keys(tmp_path: Path) -> None:
    assert load_or_create_key(tmp_path / "a").kid != load_or_create_key(tmp_path / "b").kid
