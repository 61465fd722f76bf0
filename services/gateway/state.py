"""What requests share, with its types."""

from collections.abc import Mapping

from starlette.requests import Request

from services.gateway.view import View


def view_of(request: Request) -> View:
    """What the gateway knows of the bus."""
    view: View = request.app.state.view
    return view


def variables_of(request: Request) -> Mapping[str, str]:
    """The environment, to tell which providers have keys. Its values never leave the process."""
    variables: Mapping[str, str] = request.app.state.variables
    return variables
