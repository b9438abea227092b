"""What is left to a caller, as draft-ietf-httpapi-ratelimit-headers-10 says it. A draft: the names are here only."""

from __future__ import annotations

from collections.abc import Sequence

from ragward.domain.rates import Rate


def rate_headers(rates: Sequence[Rate]) -> dict[str, str]:
    """`RateLimit-Policy` and `RateLimit`, structured fields (RFC 9651); none where nothing is known."""
    if not rates:
        return {}
    return {
        "RateLimit-Policy": ", ".join(
            f'"{rate.policy}";q={rate.quota};w={rate.window_seconds}' for rate in rates
        ),
        "RateLimit": ", ".join(
            f'"{rate.policy}";r={rate.remaining};t={rate.resets_in}' for rate in rates
        ),
    }
