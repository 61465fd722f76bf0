"""What the gateway may be told."""

from typing import Annotated

from msgspec import Meta

from services.gateway.access import SHORTEST_TOKEN
from services.gateway.clients import MAX_PER_ADDRESS
from shared.service import Settings


class GatewaySettings(Settings, frozen=True, kw_only=True):
    """Settings of the gateway."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    gateway_token: Annotated[str, Meta(min_length=SHORTEST_TOKEN)] | None = None
    """Asked of everybody; without it only this machine is served."""
    gateway_hosts: str = ""
    """Names, comma-separated, under which browsers reach it besides localhost and its addresses."""
    clients_per_address: Annotated[int, Meta(ge=1)] = MAX_PER_ADDRESS
    """Event streams of one address; behind a proxy all clients have the proxy's."""
