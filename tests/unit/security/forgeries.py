"""Tokens that must not be believed, each made from what a forger could know: the public key, a good token's form."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.security.keys import SigningKey


def part(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Forge:
    """Makes tokens: the true key for those whose content is wrong, others for those whose signature is."""

    key: SigningKey
    now_s: int

    def header(self, **changes: Any) -> dict[str, Any]:
        return {"alg": "EdDSA", "kid": self.key.kid, "typ": "at+jwt"} | changes

    def claims(self, **changes: Any) -> dict[str, Any]:
        claims: dict[str, Any] = {
            "iss": "caxton",
            "aud": "caxton-api",
            "sub": "admin",
            "roles": ["admin"],
            "iat": self.now_s,
            "exp": self.now_s + 3600,
            "jti": "1",
        }
        return {name: value for name, value in (claims | changes).items() if value is not ...}

    def signed(self, header: object, claims: object, key: Ed25519PrivateKey | None = None) -> str:
        text = f"{part(header)}.{part(claims)}"
        return f"{text}.{part((key or self.key.private).sign(text.encode()))}"

    def with_header(self, **changes: Any) -> str:
        return self.signed({k: v for k, v in self.header(**changes).items() if v is not ...}, self.claims())

    def with_claims(self, **changes: Any) -> str:
        return self.signed(self.header(), self.claims(**changes))

    def good(self) -> str:
        return self.signed(self.header(), self.claims())

    def hmac(self, algorithm: str, secret: bytes) -> str:
        text = f"{part(self.header(alg=algorithm))}.{part(self.claims())}"
        return f"{text}.{part(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"

    def public(self, encoding: Encoding, form: PublicFormat) -> bytes:
        return self.key.public.public_bytes(encoding, form)

    def rsa(self) -> str:
        text = f"{part(self.header(alg='RS256'))}.{part(self.claims())}"
        return f"{text}.{part(generate_private_key(65537, 2048).sign(text.encode(), padding.PKCS1v15(), SHA256()))}"

    def jwk(self) -> str:
        """Signed with a key that the token brings along."""
        own = Ed25519PrivateKey.generate()
        x = part(own.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
        return self.signed(self.header(jwk={"kty": "OKP", "crv": "Ed25519", "x": x}), self.claims(), own)

    def changed(self) -> str:
        """Another's claims under a good signature."""
        head, _, signature = self.good().split(".")
        return f"{head}.{part(self.claims(sub='root'))}.{signature}"

    def bit_flipped(self) -> str:
        head, body, signature = self.good().split(".")
        flipped = "A" if signature[5] != "A" else "B"
        return f"{head}.{body}.{signature[:5]}{flipped}{signature[6:]}"

    def unsigned(self, algorithm: str) -> str:
        return f"{part(self.header(alg=algorithm))}.{part(self.claims())}."

    def elsewhere(self) -> str:
        return self.signed(self.header(), self.claims(), Ed25519PrivateKey.generate())


RAW, PEM, DER = Encoding.Raw, Encoding.PEM, Encoding.DER
SPKI = PublicFormat.SubjectPublicKeyInfo

FORGERIES: dict[str, Callable[[Forge], str]] = {
    "empty": lambda f: "",
    "no token": lambda f: "x",
    "dots only": lambda f: "..",
    "two parts": lambda f: f.good().rpartition(".")[0],
    "four parts": lambda f: f.good() + ".x",
    "five parts, as if encrypted": lambda f: f.good() + ".x.x",
    "over 8 KiB": lambda f: f.with_claims(pad="x" * 9000),
    "not ASCII": lambda f: f.good() + "é",
    "header is no JSON": lambda f: f.signed(b"{", f.claims()),
    "header is a list": lambda f: f.signed([], f.claims()),
    "header is deep": lambda f: f.signed(b"[" * 3000, f.claims()),
    "claims are no JSON": lambda f: f.signed(f.header(), b"{"),
    "claims are a list": lambda f: f.signed(f.header(), ["admin"]),
    "alg none": lambda f: f.unsigned("none"),
    "alg nOnE": lambda f: f.unsigned("nOnE"),
    "alg empty": lambda f: f.unsigned(""),
    "alg none, signed": lambda f: f.with_header(alg="none"),
    "no alg": lambda f: f.with_header(alg=...),
    "alg is a list": lambda f: f.with_header(alg=["EdDSA"]),
    "alg eddsa in lower case": lambda f: f.with_header(alg="eddsa"),
    "HS256 with the raw public key": lambda f: f.hmac("HS256", f.public(RAW, PublicFormat.Raw)),
    "HS256 with the public key as PEM": lambda f: f.hmac("HS256", f.public(PEM, SPKI)),
    "HS256 with the public key as DER": lambda f: f.hmac("HS256", f.public(DER, SPKI)),
    "HS256 with the empty key": lambda f: f.hmac("HS256", b""),
    "HS512 with the public key": lambda f: f.hmac("HS512", f.public(PEM, SPKI)),
    "RS256 with a key of the forger's": lambda f: f.rsa(),
    "signed with another key": lambda f: f.elsewhere(),
    "key brought along as jwk": lambda f: f.jwk(),
    "claims changed": lambda f: f.changed(),
    "one bit of the signature changed": lambda f: f.bit_flipped(),
    "no kid": lambda f: f.with_header(kid=...),
    "unknown kid": lambda f: f.with_header(kid="other"),
    "kid as a path": lambda f: f.with_header(kid="../../keys/signing.pem"),
    "kid as SQL": lambda f: f.with_header(kid="' OR 1=1 --"),
    "kid is a number": lambda f: f.with_header(kid=1),
    "kid is a list": lambda f: f.with_header(kid=["x"]),
    "jku": lambda f: f.with_header(jku="https://evil.example/keys"),
    "x5u": lambda f: f.with_header(x5u="https://evil.example/cert"),
    "x5c": lambda f: f.with_header(x5c=["MII"]),
    "crit": lambda f: f.with_header(crit=["exp"], exp=0),
    "b64": lambda f: f.with_header(b64=False),
    "zip": lambda f: f.with_header(zip="DEF"),
    "no typ": lambda f: f.with_header(typ=...),
    "typ JWT": lambda f: f.with_header(typ="JWT"),
    "typ is a number": lambda f: f.with_header(typ=7),
    "no iss": lambda f: f.with_claims(iss=...),
    "iss of another": lambda f: f.with_claims(iss="caxton2"),
    "iss is a list": lambda f: f.with_claims(iss=["caxton"]),
    "no aud": lambda f: f.with_claims(aud=...),
    "aud of another": lambda f: f.with_claims(aud="other-api"),
    "aud is a list": lambda f: f.with_claims(aud=["caxton-api", "other"]),
    "no sub": lambda f: f.with_claims(sub=...),
    "sub empty": lambda f: f.with_claims(sub=""),
    "sub is a number": lambda f: f.with_claims(sub=1),
    "sub with a line break": lambda f: f.with_claims(sub="admin\nroot"),
    "sub of 200 characters": lambda f: f.with_claims(sub="a" * 200),
    "no jti": lambda f: f.with_claims(jti=...),
    "jti is a number": lambda f: f.with_claims(jti=1),
    "no roles": lambda f: f.with_claims(roles=...),
    "roles is a text": lambda f: f.with_claims(roles="admin"),
    "roles are numbers": lambda f: f.with_claims(roles=[1]),
    "no exp": lambda f: f.with_claims(exp=...),
    "expired a minute ago": lambda f: f.with_claims(exp=f.now_s - 60),
    "exp is a text": lambda f: f.with_claims(exp=str(f.now_s + 3600)),
    "exp is true": lambda f: f.with_claims(exp=True),
    "exp is infinite": lambda f: f.with_claims(exp=float("inf")),
    "exp is no number": lambda f: f.with_claims(exp=float("nan")),
    "exp is null": lambda f: f.with_claims(exp=None),
    "no iat": lambda f: f.with_claims(iat=...),
    "iat is a text": lambda f: f.with_claims(iat="0"),
    "iat in the future": lambda f: f.with_claims(iat=f.now_s + 60),
    "nbf in the future": lambda f: f.with_claims(nbf=f.now_s + 60),
    "nbf is a text": lambda f: f.with_claims(nbf="0"),
}
"""Name → how it is made. Each differs from `Forge.good` in one thing."""
