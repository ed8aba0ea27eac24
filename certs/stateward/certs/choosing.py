"""A replica's side of a rotation: when a certificate that is kept may be served instead of the one that is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from cryptography import x509

from stateward.certs.keeper import readable
from stateward.certs.rotation import LAG, fingerprint, trusts


class Choice:
    """Holds a new certificate back while somebody trusts the served one and, for all that is known, not yet the new one.

    A second line behind the leader's order of writes: it holds where a Secret was overwritten, or two replicas lead.
    """

    def __init__(self, lag: float = LAG.total_seconds()) -> None:
        self._lag = lag
        self._candidate = b""
        self._since: dict[str, float] = {}

    def allows(
        self,
        candidate: x509.Certificate,
        served: x509.Certificate | None,
        bundles: Mapping[str, bytes],
        now: datetime,
        at: float,
    ) -> bool:
        """Whether `candidate` may be served from now on; `at`: the same instant in monotonic seconds.

        `bundles`: who trusts what, as PEM. Whoever trusts the served one has to have trusted the new one for `lag`.
        """
        certificates = {name: readable(pem) for name, pem in bundles.items()}
        self._follow(candidate, {name for name, found in certificates.items() if trusts(found, candidate, now)}, at)
        if served is None:
            return True
        return all(self.settled(name, at) for name, found in certificates.items() if trusts(found, served, now))

    def settled(self, name: str, at: float) -> bool:
        """Whether this one has trusted the candidate for long enough."""
        return name in self._since and at - self._since[name] >= self._lag

    def trusted(self) -> frozenset[str]:
        """Who trusts the candidate by now."""
        return frozenset(self._since)

    def _follow(self, candidate: x509.Certificate, trusting: set[str], at: float) -> None:
        key = fingerprint(candidate)
        if key != self._candidate:
            self._candidate, self._since = key, {}
        self._since = {name: self._since.get(name, at) for name in trusting}
