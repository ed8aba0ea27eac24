"""The names a server certificate speaks for: DNS names and IP addresses (RFC 5280 4.2.1.6)."""

import ipaddress
import re
from collections.abc import Iterable

from cryptography import x509

from stateward.certs.errors import CertificateError

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NEXT_STEP = "give DNS names such as stateward.stateward.svc or IP addresses such as 127.0.0.1"


def listed(names: Iterable[str]) -> tuple[str, ...]:
    """The names as a tuple. Raises CertificateError for a single string, whose letters would pass for host names."""
    if isinstance(names, str):
        raise CertificateError("names", f"one string {names!r} instead of a list of names", _NEXT_STEP)
    return tuple(names)


def service_names(service: str, namespace: str) -> tuple[str, ...]:
    """What a Service is called inside its cluster. The first is what an API server asks for (apiserver, webhook client)."""
    return f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local"


def general_names(names: Iterable[str]) -> tuple[x509.GeneralName, ...]:
    """The names as SAN entries, in order and each once: IPAddress for what parses as an address, else DNSName.

    Raises CertificateError for no name at all and for a name no client could verify.
    """
    entries = tuple(dict.fromkeys(map(_general_name, listed(names))))
    if not entries:
        raise CertificateError("names", "no name given, and clients ignore the common name", _NEXT_STEP)
    return entries


def _general_name(name: str) -> x509.GeneralName:
    address = _address(name)
    if address is not None:
        return x509.IPAddress(address)
    dns = name.lower()
    labels = dns.removeprefix("*.").split(".")
    # A numeric last label is a mistyped IPv4 address: no DNS name ends so (RFC 3696 2).
    if len(dns) > 253 or not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit():
        raise CertificateError("names", f"{name!r} is neither a DNS name nor an IP address", _NEXT_STEP)
    return x509.DNSName(dns)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return None if "%" in name else ipaddress.ip_address(name)  # a SAN has no room for the zone of fe80::1%eth0
    except ValueError:
        return None


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names and IP addresses that the certificate is for, as they are given to `issue`."""
    return tuple(str(entry.value) for entry in _san_entries(certificate) if isinstance(entry, x509.DNSName | x509.IPAddress))


def uncovered(certificate: x509.Certificate, names: Iterable[str]) -> tuple[str, ...]:
    """Those of `names` that no SAN entry of the certificate covers; a wildcard stands for one label (RFC 9525 6.3)."""
    entries = _san(certificate)
    return tuple(name for name in listed(names) if not entries & _spellings(name))


def _san_entries(certificate: x509.Certificate) -> tuple[x509.GeneralName, ...]:
    try:
        return tuple(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return ()


def _san(certificate: x509.Certificate) -> frozenset[x509.GeneralName]:
    entries = _san_entries(certificate)
    return frozenset(x509.DNSName(entry.value.lower()) if isinstance(entry, x509.DNSName) else entry for entry in entries)


def _spellings(name: str) -> frozenset[x509.GeneralName]:
    entry = _general_name(name)
    if not isinstance(entry, x509.DNSName):
        return frozenset({entry})
    _, dot, parent = entry.value.partition(".")
    return frozenset({entry, x509.DNSName(f"*.{parent}")}) if dot else frozenset({entry})
