"""What a model was found not to take: it is asked without, from then on."""

import re
from collections.abc import Mapping
from typing import Any

from services.producer.adapters.contract import ModelError
from services.producer.errors import Reply, Vendor

ALSO_CALLED = {
    "response_format": r"response_format|json_schema|schema|structured output",
    "output_config": r"output_config|output_format|schema|structured output",
    "response_json_schema": r"schema|response_?(?:json_?)?schema|response_?mime_?type|json mode",
    "thinking_config": r"thinking\w*|budget",
    "extra_body": r"temperature",
}
"""How refusals name an option that they do not name by its name."""

MAX_MODELS = 100
"""Models whose habits are remembered; one producer asks for a handful."""


class Options:
    """The options of a vendor's calls, each of which a model may refuse once."""

    def __init__(self, vendor: Vendor, *may_be_refused: str, schema: str) -> None:
        self._vendor = vendor
        self._may_be_refused = may_be_refused
        self._schema = schema
        self._refused: dict[str, set[str]] = {}
        self._with_schema: set[str] = set()

    def of(self, model: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """`options` without what the model does not take."""
        return {name: value for name, value in options.items() if name not in self._refused.get(model, ())}

    def took(self, model: str, sent: Mapping[str, Any]) -> None:
        """Remember that the model took a schema, so that a vague refusal is none of it."""
        if self._schema in sent and len(self._with_schema) < MAX_MODELS:
            self._with_schema.add(model)

    def refusal(self, model: str, sent: Mapping[str, Any], reply: Reply) -> ModelError:
        """What a refusal means. An option that it is about is left out from now on, and another attempt is due."""
        refusal = self._vendor.refused(reply, model)
        if refusal.kind == "invalid_request" and reply.status in (400, 422) and len(self._refused) < MAX_MODELS:
            name = self._meant([n for n in self._may_be_refused if n in sent], reply, model)
            if name:
                self._refused.setdefault(model, set()).add(name)
                return ModelError(f"the model does not take {name}", "invalid_request", again=True, at_once=True, billed=False)
        return refusal

    def _meant(self, sent: list[str], reply: Reply, model: str) -> str:
        parameter = str(reply.error.get("param") or "").partition(".")[0]
        if parameter in sent:
            return parameter
        for name in sent:
            if re.search(rf"\b(?:{ALSO_CALLED.get(name, name)})\b", reply.message, re.IGNORECASE):
                return name
        vague = not parameter and self._schema in sent and model not in self._with_schema
        return self._schema if vague else ""
