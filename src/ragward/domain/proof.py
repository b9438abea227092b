"""What a verified credential proves beside a name: how somebody authenticated, on which device, from where, and whether the
token is bound to its sender. And what is known of the way a request came, before anything of it is believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeVar

#: What an issuer's values mean unless its settings say otherwise: OpenID's EAP ACR values, RFC 8176's methods.
ACR_LEVELS: Final[Mapping[str, str]] = {
    "mfa": "mfa",
    "phr": "phishing-resistant",
    "phrh": "phishing-resistant",
}
AMR_LEVELS: Final[Mapping[str, str]] = {"mfa": "mfa"}
DEVICE_VALUES: Final[Mapping[str, str]] = {"managed": "managed", "compliant": "compliant"}
_Kind = TypeVar("_Kind", bound=IntEnum)


class Assurance(IntEnum):
    """How somebody authenticated, the weakest first. An issuer's `acr` and `amr` values are mapped to these."""

    NONE = 0
    SINGLE_FACTOR = 1
    MFA = 2
    PHISHING_RESISTANT = 3

    @classmethod
    def parse(cls, word: str) -> Assurance:
        """`mfa`, `phishing-resistant`, ... Raises `ValueError`."""
        return _member(cls, word)

    @property
    def word(self) -> str:
        """As files and answers spell it."""
        return self.name.lower().replace("_", "-")


class Device(IntEnum):
    """What a signed token says of the device, the least first."""

    UNKNOWN = 0
    MANAGED = 1
    COMPLIANT = 2

    @classmethod
    def parse(cls, word: str) -> Device:
        """`managed`, `compliant`, ... Raises `ValueError`."""
        return _member(cls, word)

    @property
    def word(self) -> str:
        """As files and answers spell it."""
        return self.name.lower()


def _member(kind: type[_Kind], word: str) -> _Kind:
    found = {member.name.lower().replace("_", "-"): member for member in kind}
    if word not in found:
        raise ValueError(f"{word!r} is none of {', '.join(found)}")
    return found[word]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was proven. `zones` are the networks, by name, that the request came from. `sender_bound`: who stole the token
    could not use it (RFC 8705, RFC 9449). `offers` are the acr values that the issuer has, the weakest first."""

    assurance: Assurance = Assurance.NONE
    device: Device = Device.UNKNOWN
    zones: frozenset[str] = frozenset()
    sender_bound: bool = False
    offers: tuple[tuple[str, Assurance], ...] = ()


NOTHING_PROVEN: Final = Proof()


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How a request came, as our own socket and listed proxies say, and the proof it brought, unverified.

    `url` is what a proof of possession must be about, without query; empty where nobody outside can know one. `address` is
    the asker's, empty where it is not known. `certificate_sha256` (base64url) is of the certificate that a listed proxy saw.
    `by_dpop` says which of the two credentials came under the scheme DPoP. `request_id` is one request's: a proof that is seen
    again under the same one is not a replay.
    """

    method: str = ""
    url: str = ""
    address: str = ""
    certificate_sha256: str = ""
    untrusted_dpop: tuple[str, ...] = field(default=(), repr=False)
    by_dpop: tuple[bool, bool] = (False, False)
    request_id: str = ""
