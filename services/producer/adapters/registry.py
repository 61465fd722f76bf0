"""Which module holds a provider's adapter. Loaded on demand: a producer needs its own vendor's SDK and no other."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import cast

from services.producer.adapters.contract import Adapter

ADAPTERS = {
    "openai": "services.producer.adapters.openai",
    "local": "services.producer.adapters.local",
    "random": "services.producer.adapters.random",
}

Build = Callable[[Mapping[str, str], str], Adapter]
"""Makes an adapter from the environment and a model's name (empty for the default). Exits with one line if it cannot."""


def build(provider: str, variables: Mapping[str, str], model: str) -> Adapter:
    """The adapter of a provider. Exits with one line when there is none, or its settings are wrong."""
    if provider not in ADAPTERS:
        raise SystemExit(f"There is no adapter for {provider} yet; choose one of {', '.join(ADAPTERS)}.")
    make = cast(Build, import_module(ADAPTERS[provider]).build)
    return make(variables, model)
