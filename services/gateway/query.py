"""Reading the query of an address."""

from starlette.requests import Request

from services.gateway.problems import Problem


def number(request: Request, name: str, *, default: int, lowest: int, highest: int) -> int:
    """A whole number of the query. Raises Problem when it is none, or out of bounds."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) <= len(str(highest)) and lowest <= int(text) <= highest:
        return int(text)
    raise Problem(422, f"{name} must be a whole number from {lowest} to {highest}.")


def flag(request: Request, name: str) -> bool:
    """A yes or no of the query: 1 or 0; absent is no. Raises Problem for anything else."""
    text = request.query_params.get(name, "0")
    if text not in ("0", "1"):
        raise Problem(422, f"{name} must be 1 or 0.")
    return text == "1"
