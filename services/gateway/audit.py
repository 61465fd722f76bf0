"""Who did what, in the log: sign-ins, refusals and changes, with the address they came from and never with a secret."""

import structlog
from starlette.types import Scope

from services.gateway.addresses import client_of, origin, origin_of
from services.gateway.rates import Buckets, Rate

log = structlog.get_logger()

OF_ADDRESS = Rate(burst=10, per_second=0.1)
"""Lines on the refusals of one address."""

OF_ALL = Rate(burst=100, per_second=2)
"""Lines on refusals in all: 30 MB a day at most. Sign-ins and changes need the token, and have their own limit."""

LONGEST_PATH = 100


class Audit:
    """Writes the lines of one gateway."""

    def __init__(self) -> None:
        self._of_address = Buckets(OF_ADDRESS)
        self._of_all = Buckets(OF_ALL)
        self._untold = 0

    def refused(self, scope: Scope, status: int) -> None:
        """A request was not let through."""
        path = scope["raw_path"][:LONGEST_PATH].decode("ascii", "replace")  # as it was sent, so without control characters
        about = {"status": status, "address": client_of(scope), "method": scope["method"], "path": path}
        self._tell("request.refused", origin_of(scope), about)

    def cut_off(self, address: str, status: int) -> None:
        """What a connection sent was no request, or more than a body may be."""
        self._tell("connection.refused", origin(address), {"status": status, "address": address})

    def _tell(self, event: str, origin: str, about: dict[str, str | int]) -> None:
        if self._of_address.take(origin) or self._of_all.take(""):
            self._untold += 1
            return
        log.warning(event, **about, untold=self._untold)
        self._untold = 0

    def signed_in(self, scope: Scope, by: str) -> None:
        """A browser got a session, by the token or by a link."""
        log.info("browser.signed_in", by=by, address=client_of(scope))

    def signed_out(self, scope: Scope) -> None:
        """A browser gave its session back."""
        log.info("browser.signed_out", address=client_of(scope))

    def changed(self, scope: Scope, change: str, run: str) -> None:
        """A run was started or changed, or asked to."""
        log.info("run.asked", change=change, run=run, address=client_of(scope))
