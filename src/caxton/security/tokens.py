"""Proof of who somebody is: JSON Web Tokens, signed with Ed25519.

The algorithm belongs to the key, never to the token: a token names its key (`kid`), and that key is only ever
used with EdDSA. A token that does not verify is refused in one way, whatever is wrong with it.

Source: RFC 8725 (JWT best current practices), RFC 9068 (the `at+jwt` type), RFC 8037 (EdDSA).
"""

from __future__ import annotations

import hashlib
import math
import os
import secrets
from typing import TYPE_CHECKING, Any

import jwt

from caxton.core.errors.access import Unauthorized
from caxton.core.errors.server import DataDirUnusable
from caxton.security.files import read_private, write_private
from caxton.security.policy import ADMIN, MONITOR
from caxton.security.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from caxton.core.clock import Clock
    from caxton.security.keys import SigningKey

ISSUER = "caxton"
AUDIENCE = "caxton-api"
TOKEN_TYPE = "at+jwt"  # noqa: S105  (a media type)
ADMIN_TOKEN_FILE = "admin.token"  # noqa: S105  (a file name)
MONITOR_TOKEN_FILE = "monitor.token"  # noqa: S105  (a file name)

ADMIN_LIFETIME_S = 365 * 86400
"""The admin's token lives in a file beside the key that makes it, so a short life would protect nothing."""

RENEW_BELOW_S = 30 * 86400
"""A server that runs for a month without a restart keeps a token that works."""

MAX_TOKEN_CHARS = 8 << 10
"""Ours have 400; parsing more is work for a stranger."""

MAX_NAME_CHARS = 128

LEEWAY_S = 30
"""How far two machines' clocks may differ."""

CACHE_S = 60.0
"""How long a verdict is remembered: verifying costs 130 µs, looking it up 1 µs."""

CACHE_TOKENS = 1024

_REQUIRED = ("iss", "aud", "sub", "iat", "exp", "jti")
_HEADERS = frozenset({"alg", "kid", "typ"})
"""All that a token's header may hold. Above all not jku, jwk, x5u (keys of the token's choice) and crit."""


def issue_token(key: SigningKey, name: str, roles: Iterable[str], *, now_s: int, lifetime_s: int) -> str:
    """A token that says: the bearer is `name` and has `roles`."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": name,
        "roles": sorted(roles),
        "iat": now_s,
        "exp": now_s + lifetime_s,
        "jti": secrets.token_hex(16),
    }
    return jwt.encode(claims, key.private, algorithm="EdDSA", headers={"kid": key.kid, "typ": TOKEN_TYPE})


def ensure_admin_token(data_dir: Path, key: SigningKey, clock: Clock) -> str:
    """The token in `data_dir`/admin.token; a new one if it does not verify or has under 30 days left.

    The file is 0600 afterwards. Raises `DataDirUnusable`.
    """
    return _ensure_token(data_dir / ADMIN_TOKEN_FILE, ADMIN, key, clock)


def ensure_monitor_token(data_dir: Path, key: SigningKey, clock: Clock) -> str:
    """As `ensure_admin_token`, but in `data_dir`/monitor.token, of somebody who may only read metrics."""
    return _ensure_token(data_dir / MONITOR_TOKEN_FILE, MONITOR, key, clock)


def _ensure_token(path: Path, role: str, key: SigningKey, clock: Clock) -> str:
    now_s = clock.wall_us() // 1_000_000
    try:
        token = (read_private(path) or b"").decode("ascii", "replace").strip()
        if not _is_lasting(token, role, key, now_s):
            token = issue_token(key, role, [role], now_s=now_s, lifetime_s=ADMIN_LIFETIME_S)
            write_private(path, token.encode())
    except OSError as exc:
        raise DataDirUnusable(str(path), os.strerror(exc.errno or 0)) from exc
    return token


def _is_lasting(token: str, role: str, key: SigningKey, now_s: int) -> bool:
    try:
        principal, expires_s = _verify(token, {key.kid: key}, now_s)
    except Unauthorized:
        return False
    return principal.roles == frozenset({role}) and expires_s - now_s >= RENEW_BELOW_S


class TokenVerifier:
    """Says who bears a token, and remembers good verdicts for a minute.

    Args:
        keys: the keys that are trusted; a token signed with any other is refused.
        clock: wall time for the tokens' dates, monotonic time for the memory.
    """

    def __init__(self, keys: Iterable[SigningKey], clock: Clock) -> None:
        self._keys = {key.kid: key for key in keys}
        self._clock = clock
        self._verdicts: dict[bytes, tuple[Principal, float, float]] = {}

    def verify(self, token: str) -> Principal:
        """The bearer of `token`; raises `Unauthorized`, the same for every cause."""
        if len(token) > MAX_TOKEN_CHARS or not token.isascii():
            raise Unauthorized
        digest = hashlib.sha256(token.encode()).digest()
        now_s, monotonic_s = self._clock.wall_us() / 1_000_000, self._clock.monotonic()
        known = self._verdicts.get(digest)
        if known is not None:
            principal, expires_s, forget_s = known
            if now_s < expires_s and monotonic_s < forget_s:
                return principal
            del self._verdicts[digest]
        principal, expires_s = _verify(token, self._keys, now_s)
        if len(self._verdicts) >= CACHE_TOKENS:
            del self._verdicts[next(iter(self._verdicts))]
        self._verdicts[digest] = (principal, expires_s, monotonic_s + CACHE_S)
        return principal


def _verify(token: str, keys: dict[str, SigningKey], now_s: float) -> tuple[Principal, float]:
    """The bearer and the time of expiry; raises `Unauthorized`."""
    try:
        key = _key_of(jwt.get_unverified_header(token), keys)
        claims: dict[str, Any] = jwt.decode(
            token,
            key.public,
            algorithms=["EdDSA"],
            issuer=ISSUER,
            audience=AUDIENCE,
            options={
                "require": list(_REQUIRED),
                "strict_aud": True,
                # PyJWT reads the machine's clock and takes dates written as text; `_check_dates` does not.
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
        return _principal(claims), _check_dates(claims, now_s)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as exc:
        raise Unauthorized from exc


def _key_of(header: dict[str, Any], keys: dict[str, SigningKey]) -> SigningKey:
    kid, kind = header.get("kid"), header.get("typ")
    if not header.keys() <= _HEADERS or header.get("alg") != "EdDSA" or not isinstance(kid, str):
        raise Unauthorized
    if not isinstance(kind, str) or kind.lower() != TOKEN_TYPE or kid not in keys:
        raise Unauthorized
    return keys[kid]


def _principal(claims: dict[str, Any]) -> Principal:
    name, roles, token_id = claims["sub"], claims.get("roles"), claims["jti"]
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise Unauthorized
    if not isinstance(token_id, str) or not token_id:
        raise Unauthorized
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):  # pyright: ignore[reportUnknownVariableType]
        raise Unauthorized
    return Principal(name, frozenset(roles))  # pyright: ignore[reportUnknownArgumentType]


def _check_dates(claims: dict[str, Any], now_s: float) -> float:
    """The time of expiry, once all dates are numbers and in order."""
    expires_s, issued_s = _date(claims["exp"]), _date(claims["iat"])
    not_before_s = _date(claims["nbf"]) if "nbf" in claims else issued_s
    if max(issued_s, not_before_s) > now_s + LEEWAY_S or now_s >= expires_s + LEEWAY_S:
        raise Unauthorized
    return expires_s


def _date(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unauthorized
    return float(value)
