"""Which module holds a provider's adapter. Loaded on demand: a producer needs its own vendor's SDK and no other."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import cast

from services.producer.adapters.contract import Adapter, Patience
from shared.providers import PROVIDERS

Build = Callable[[Mapping[str, str], tuple[str, ...], Patience], Adapter]
"""Makes an adapter from the environment, the models that it will be asked for, and how long to wait. Exits with one line
if it cannot."""


def build(provider: str, variables: Mapping[str, str], models: tuple[str, ...], patience: Patience | None = None) -> Adapter:
    """The adapter of a provider. Exits with one line when its settings are wrong, or its SDK is not installed."""
    if provider not in PROVIDERS:
        raise SystemExit(f"There is no provider {provider!r}; choose one of {', '.join(PROVIDERS)}.")
    try:
        module = import_module(f"services.producer.adapters.{provider}")
    except ModuleNotFoundError as error:
        raise SystemExit(f"{provider} needs {error.name}, which is not installed: make setup installs all SDKs.") from error
    return cast(Build, module.build)(variables, models, patience or Patience())
