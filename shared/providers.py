"""The providers an adapter exists for, and which of them the environment has a key for."""

from collections.abc import Mapping

PROVIDERS = ("openai", "anthropic", "gemini", "local", "random")
"""One work-queue consumer, one adapter each."""

KEY_VARIABLES: dict[str, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
}
"""Where the key of a provider that needs one is looked for, in this order."""

KEYLESS = ("local", "random")


def with_keys(variables: Mapping[str, str]) -> tuple[str, ...]:
    """The providers that the environment holds a key for."""
    return tuple(p for p, names in KEY_VARIABLES.items() if any(variables.get(name) for name in names))


def resolve(choice: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    """The providers that `choice` means: `env` is every provider with a key, else the local model; or names, comma-separated.

    Raises ValueError with a sentence for the user when a name is unknown or its key is missing.
    """
    if choice == "env":
        return with_keys(variables) or ("local",)
    names = tuple(dict.fromkeys(name.strip() for name in choice.split(",") if name.strip()))
    if not names:
        raise ValueError(f"no provider named; choose env or any of {', '.join(PROVIDERS)}")
    for name in names:
        if name not in PROVIDERS:
            raise ValueError(f"unknown provider {name!r}; choose env or any of {', '.join(PROVIDERS)}")
        if name in KEY_VARIABLES and name not in with_keys(variables):
            variable = KEY_VARIABLES[name][0]
            raise ValueError(f"{name} needs a key: set {variable}, or choose local or random, which need none")
    return names
