"""What requests share, with its types."""

from collections.abc import Mapping

from starlette.requests import Request

from services.gateway.access import Access
from services.gateway.audit import Audit
from services.gateway.rates import Rates
from services.gateway.view import View


def view_of(request: Request) -> View:
    """What the gateway knows of the bus."""
    view: View = request.app.state.view
    return view


def variables_of(request: Request) -> Mapping[str, str]:
    """The environment, to tell which providers have keys. Its values never leave the process."""
    variables: Mapping[str, str] = request.app.state.variables
    return variables


def access_of(request: Request) -> Access:
    """Who may use the gateway."""
    access: Access = request.app.state.access
    return access


def rates_of(request: Request) -> Rates:
    """How fast an address may ask."""
    rates: Rates = request.app.state.rates
    return rates


def audit_of(request: Request) -> Audit:
    """Where it is told who did what."""
    audit: Audit = request.app.state.audit
    return audit


def origin_setting(request: Request) -> str:
    """Where browsers reach the gateway, if it was told; else nothing."""
    origin: str = request.app.state.origin
    return origin
