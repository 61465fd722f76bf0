"""The providers an adapter exists for, and what the environment says of each: its key, its models, a server of one's own."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

PROVIDERS = ("openai", "anthropic", "gemini", "local", "random")
"""One work-queue consumer, one adapter each."""

KEY_VARIABLES: dict[str, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
}
"""Where the key of a provider that needs one is looked for, in this order."""

KEY_PREFIXES = {"openai": ("OpenAI", "sk-"), "anthropic": ("Anthropic", "sk-ant-")}
"""The vendor's name and how its keys begin."""

ALLOW_PLAIN_HTTP = "ALLOW_PLAIN_HTTP"
"""Set: a key may be sent over plain http to another machine, as over a private network."""

KEYS_ELSEWHERE = "KEYS_ELSEWHERE"
"""Names, comma-separated, the providers whose keys the producers have and this process has not: it only needs to know so."""

KEYLESS = ("local", "random")

DEFAULT_MODELS = {
    "openai": "gpt-4o-mini",
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-2.5-flash",
    "local": "SmolLM2-135M-Instruct",
    "random": "random",
}


def key_of(provider: str, variables: Mapping[str, str]) -> str:
    """A provider's API key, or nothing."""
    return next((variables[name] for name in KEY_VARIABLES.get(provider, ()) if variables.get(name)), "")


def base_url_of(provider: str, variables: Mapping[str, str]) -> str:
    """The address of a server of one's own that takes the vendor's place, or nothing."""
    return variables.get(f"{provider.upper()}_BASE_URL", "")


def models_of(provider: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    """The models that a provider is asked for: `<PROVIDER>_MODEL`, comma-separated, or its default."""
    named = variables.get(f"{provider.upper()}_MODEL", "")
    names = tuple(dict.fromkeys(name.strip() for name in named.split(",") if name.strip()))
    return names or (DEFAULT_MODELS[provider],)


def with_keys(variables: Mapping[str, str]) -> tuple[str, ...]:
    """The providers that can be asked: those with a key, or with a server of one's own, which may need none."""
    return tuple(
        p for p in KEY_VARIABLES if _key_is_elsewhere(p, variables) or key_of(p, variables) or base_url_of(p, variables)
    )


def _key_is_elsewhere(provider: str, variables: Mapping[str, str]) -> bool:
    return provider in variables.get(KEYS_ELSEWHERE, "").split(",")


def problem_of(provider: str, variables: Mapping[str, str]) -> str:
    """What is wrong with a provider's key, in words for the user; empty if nothing is. A key is never quoted."""
    if provider not in KEY_VARIABLES:
        return ""
    variable, key = KEY_VARIABLES[provider][0], key_of(provider, variables)
    if not (key.isascii() and key.isprintable()) or " " in key:  # no header can hold it, and the error would quote it
        return f"{variable} holds spaces or other characters that no key has; copy it anew"
    if plain_http := _plain_http_problem(provider, variables):
        return plain_http
    if base_url_of(provider, variables) or (not key and _key_is_elsewhere(provider, variables)):
        return ""
    if not key:
        return f"{provider} needs a key: set {variable}, or choose local or random, which need none"
    vendor, prefix = KEY_PREFIXES.get(provider, ("", ""))
    if not key.startswith(prefix):
        own = f"{provider.upper()}_BASE_URL"
        return f"{vendor} API key should start with '{prefix}'; correct {variable}, or set {own} for a server of your own"
    return ""


def _plain_http_problem(provider: str, variables: Mapping[str, str]) -> str:
    """What is wrong with sending the key to the server of one's own: everybody on the way could read it."""
    address = urlsplit(base_url_of(provider, variables))
    if address.scheme.lower() != "http" or not key_of(provider, variables) or variables.get(ALLOW_PLAIN_HTTP):
        return ""
    try:
        host = address.hostname or ""
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return ""
    except ValueError:  # a name of another machine
        pass
    key = next(name for name in KEY_VARIABLES[provider] if variables.get(name))
    return (
        f"{provider.upper()}_BASE_URL is plain http to another machine, and {key} would cross the network readable: use https, "
        f"leave the key out if that server needs none, or set {ALLOW_PLAIN_HTTP}=1 if everybody on the way may read it"
    )


def resolve(choice: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    """The providers that `choice` means: `env` is every provider with a key, else the local model; or names, comma-separated.

    Raises ValueError with a sentence for the user when a name is unknown, or its key is missing or wrong.
    """
    if choice == "env":
        names = with_keys(variables) or ("local",)
    else:
        names = tuple(dict.fromkeys(name.strip() for name in choice.split(",") if name.strip()))
    if not names:
        raise ValueError(f"no provider named; choose env or any of {', '.join(PROVIDERS)}")
    for name in names:
        if name not in PROVIDERS:
            raise ValueError(f"unknown provider {name!r}; choose env or any of {', '.join(PROVIDERS)}")
        if problem := problem_of(name, variables):
            raise ValueError(problem)
    return names
