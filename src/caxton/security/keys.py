"""The server's signing key: an Ed25519 key made at the first start, in a file for its owner alone."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from caxton.core.errors.server import DataDirUnusable
from caxton.security.files import read_private, write_private

if TYPE_CHECKING:
    from pathlib import Path

KEY_DIR = "keys"
KEY_FILE = "signing.pem"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair and its name."""

    kid: str
    """Thumbprint of the public key (RFC 7638): the same key always has the same name."""
    private: Ed25519PrivateKey
    public: Ed25519PublicKey


def load_or_create_key(data_dir: Path) -> SigningKey:
    """The key in `data_dir`/keys/signing.pem, made if it is not there; raises `DataDirUnusable`.

    The directory becomes 0700 and the file 0600, whatever they were.
    """
    directory, path = data_dir / KEY_DIR, data_dir / KEY_DIR / KEY_FILE
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        pem = read_private(path)
        if pem is None:
            pem = _new_pem()
            write_private(path, pem)
    except OSError as exc:
        raise DataDirUnusable(str(path), os.strerror(exc.errno or 0)) from exc
    return _parse(pem, path)


def _new_pem() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _parse(pem: bytes, path: Path) -> SigningKey:
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise DataDirUnusable(str(path), "it is no private key; remove it and a new one is made") from exc
    if not isinstance(private, Ed25519PrivateKey):
        raise DataDirUnusable(str(path), "it is no Ed25519 key; remove it and a new one is made")
    public = private.public_key()
    return SigningKey(_thumbprint(public), private, public)


def _thumbprint(public: Ed25519PublicKey) -> str:
    """Source: RFC 7638, with the members that RFC 8037 names for this kind of key."""
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    jwk = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}
    return _base64url(hashlib.sha256(json.dumps(jwk, separators=(",", ":")).encode()).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
