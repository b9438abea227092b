"""What an issuer's claims say of how, when and on what device somebody authenticated. Signed claims only: nothing else of a
request is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ragward.domain.proof import ACR_LEVELS, AMR_LEVELS, DEVICE_VALUES, Assurance, Device, Proof


def levels_of(words: Mapping[str, str]) -> dict[str, Assurance]:
    """Values of an issuer, by the words that settings have for what they mean. Raises `ValueError`."""
    return {value: Assurance.parse(word) for value, word in words.items()}


def devices_of(words: Mapping[str, str]) -> dict[str, Device]:
    """The same of a device's."""
    return {value: Device.parse(word) for value, word in words.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class AssuranceClaims:
    """Names of claims, and what their values mean here; a value that is not listed means nothing."""

    acr: str = "acr"
    amr: str = "amr"
    auth_time: str = "auth_time"
    device: str = "device"
    acr_levels: Mapping[str, Assurance] = field(default_factory=lambda: levels_of(ACR_LEVELS))
    amr_levels: Mapping[str, Assurance] = field(default_factory=lambda: levels_of(AMR_LEVELS))
    devices: Mapping[str, Device] = field(default_factory=lambda: devices_of(DEVICE_VALUES))

    def auth_time_in(self, claims: Mapping[str, Any], latest: int) -> int | None:
        """When they authenticated; None where that is not said, no whole number, or later than `latest`."""
        at = claims.get(self.auth_time)
        return at if type(at) is int and 0 <= at <= latest else None

    def proof_in(
        self, claims: Mapping[str, Any], *, zones: frozenset[str], sender_bound: bool
    ) -> Proof:
        """What the claims prove, beside what the way of the request does."""
        acr, amr, device = (claims.get(name) for name in (self.acr, self.amr, self.device))
        methods = [each for each in amr if isinstance(each, str)] if isinstance(amr, list) else []
        found = [self.amr_levels.get(method, Assurance.NONE) for method in methods]
        if isinstance(acr, str):
            found.append(self.acr_levels.get(acr, Assurance.NONE))
        offers = sorted(self.acr_levels.items(), key=lambda item: (item[1], item[0]))
        return Proof(
            assurance=max(found, default=Assurance.NONE),
            device=self.devices.get(device if isinstance(device, str) else "", Device.UNKNOWN),
            zones=zones,
            sender_bound=sender_bound,
            offers=tuple(offers),
        )
