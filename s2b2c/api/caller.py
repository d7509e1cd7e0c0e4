"""From where somebody asks: what limits by address count."""

import ipaddress
from functools import lru_cache

from starlette.requests import HTTPConnection

from s2b2c.config import settings

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def address_of(connection: HTTPConnection) -> str:
    """The address that the connection comes from; behind a trusted proxy the last one in X-Forwarded-For that is no
    trusted proxy itself, since those before it are what the client says. Of IPv6 the /64, which is one household."""
    address = connection.client.host if connection.client else ""
    proxies = settings().trusted_proxies
    if proxies and _is_trusted(address, proxies):
        forwarded = ",".join(connection.headers.getlist("x-forwarded-for")).split(",")
        for hop in reversed([one.strip() for one in forwarded]):
            address = hop or address
            if not _is_trusted(hop, proxies):
                break
    return _household(address)


@lru_cache(maxsize=4096)
def _household(address: str) -> str:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((int(ip) >> 64 << 64, 64)))


@lru_cache(maxsize=4096)
def _is_trusted(address: str, proxies: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in _networks(proxies))


@lru_cache(maxsize=8)
def _networks(proxies: str) -> tuple[_Network, ...]:
    return tuple(ipaddress.ip_network(one.strip()) for one in proxies.split(",") if one.strip())
