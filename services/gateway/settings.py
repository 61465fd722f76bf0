"""What the gateway may be told."""

import ipaddress
import re
from typing import Annotated

from msgspec import Meta

from services.gateway.access import SHORTEST_TOKEN
from services.gateway.clients import MAX_PER_ADDRESS
from services.gateway.hosts import HOST
from shared.service import Settings

URL = re.compile(rf"https?://{HOST.pattern}")


class GatewaySettings(Settings, frozen=True, kw_only=True):
    """Settings of the gateway. Raises ValueError, with a sentence, for those that cannot be or would open it to everybody."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    gateway_token: Annotated[str, Meta(min_length=SHORTEST_TOKEN)] | None = None
    """Asked of everybody; without it only this machine is served."""
    gateway_hosts: str = ""
    """Names, comma-separated, under which browsers reach it besides localhost and its addresses."""
    gateway_url: str = ""
    """Where browsers reach it, such as https://chorus.example; with https, cookies are sent over TLS alone."""
    gateway_proxies: str = ""
    """Addresses and networks, comma-separated, of the proxies whose word on who asks, and whether by TLS, is taken."""
    clients_per_address: Annotated[int, Meta(ge=1)] = MAX_PER_ADDRESS
    """Event streams of one address; behind a proxy that is not in `gateway_proxies` all clients have the proxy's."""

    def __post_init__(self) -> None:
        found = URL.fullmatch(self.gateway_url.rstrip("/"))
        if self.gateway_url and (not found or int(found["port"] or 0) > 65535):
            raise ValueError(f"GATEWAY_URL is {self.gateway_url!r}; it must be like https://chorus.example, without a path")
        for proxy in self.proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError as error:
                raise ValueError(f"GATEWAY_PROXIES has {proxy!r}, which is no address and no network: {error}") from error
        named = [name for name in ("gateway_hosts", "gateway_url", "gateway_proxies") if getattr(self, name)]
        if named and not self.gateway_token:
            raise ValueError(
                f"{named[0].upper()} is set without GATEWAY_TOKEN, so everybody whom a proxy forwards would be served; set"
                f" GATEWAY_TOKEN to a secret of at least {SHORTEST_TOKEN} characters"
            )

    @property
    def origin(self) -> str:
        """Where browsers reach it as they write it themselves; empty if it was not told."""
        scheme, _, host = self.gateway_url.rstrip("/").lower().partition("://")
        return f"{scheme}://{host.removesuffix(':443' if scheme == 'https' else ':80')}" if host else ""

    @property
    def proxies(self) -> list[str]:
        return [proxy.strip() for proxy in self.gateway_proxies.split(",") if proxy.strip()]
