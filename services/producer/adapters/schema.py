"""The form in which models that can are asked to answer."""

from typing import Any, Final

SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"attributes": {"type": "array", "items": {"type": "string"}}},
    "required": ["attributes"],
    "additionalProperties": False,
}
"""No bounds on the array: not every vendor takes them, and the prompt says how many."""
