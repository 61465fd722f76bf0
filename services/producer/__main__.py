"""Starts one producer: `producer --provider random`. It needs NATS_URL and, if the provider has one, a key."""

from collections.abc import Mapping

from cyclopts import App

from services.producer import metrics
from services.producer.adapters.contract import Adapter
from services.producer.adapters.registry import build
from services.producer.key import Key, fingerprint
from services.producer.limits import Limits
from services.producer.loop import Loop
from services.producer.producer import Producer
from services.producer.settings import ProducerSettings
from services.producer.slots import Slots
from shared import nkey, traces
from shared.providers import KEYLESS, PROVIDERS, base_url_of, key_of, models_of, problem_of, resolve
from shared.service import environment, load, run, service

VENDOR_SLOTS = 4
"""Calls at once to a vendor that has not been told otherwise: enough to hide its latency, and few for any rate limit."""

app = App(name="producer", help="Take tasks of one provider from the bus and publish what its model finds.")


@app.default
def producer(*, provider: str = "env", model: str = "", log_level: str | None = None, trace_ep: str | None = None) -> None:
    """Work until stopped.

    Parameters
    ----------
    provider
        openai, anthropic, gemini, local or random; env is the one that a key is set for, else local.
        Keys are read from OPENAI_API_KEY, ANTHROPIC_API_KEY and GEMINI_API_KEY, a server of one's own from OPENAI_BASE_URL etc.
    model
        The models to offer, comma-separated; the first is called when a task names none. Default: OPENAI_MODEL etc.
    log_level
        trace, debug, info, warn or error.
    trace_ep
        Collector of OpenTelemetry traces (OTLP over HTTP), such as http://localhost:4318.
    """
    if trace_ep:
        traces.send_to(trace_ep)
    variables = environment()
    settings = load(ProducerSettings, variables, log_level=log_level)
    name = one_provider(provider, variables)
    models = models_of(name, {f"{name.upper()}_MODEL": model} if model else variables)
    adapter = build(name, variables, models)
    mark = fingerprint(key_of(name, variables) or base_url_of(name, variables), _stack(settings))
    run(lambda: work(settings, name, models, adapter, mark))


def _stack(settings: ProducerSettings) -> str:
    """What all producers of a stack share and no other stack has: the orchestrator's public key."""
    return nkey.read_public(settings.orchestrator_key).hex() if settings.orchestrator_key else ""


def one_provider(choice: str, variables: Mapping[str, str]) -> str:
    """The provider that `choice` means. Exits with one line unless it is exactly one, and can be asked."""
    if choice in PROVIDERS:
        if problem := problem_of(choice, variables):
            raise SystemExit(f"{problem}.")
        return choice
    try:
        names = resolve(choice, variables)
    except ValueError as error:
        raise SystemExit(f"Which provider? {error}.") from error
    if len(names) > 1:
        raise SystemExit(f"A producer works for one provider; choose with --provider one of {', '.join(names)}.")
    return names[0]


async def work(settings: ProducerSettings, provider: str, models: tuple[str, ...], adapter: Adapter, mark: str) -> None:
    """Run the producer until it is told to stop."""
    async with service(f"producer-{provider}", settings, f"Model calls to {provider}", ready=False) as running:
        if not await running.provisioned(lambda: running.bus.takes_reports(provider)):
            return
        await running.register()
        limits = Limits(settings.requests(provider), settings.tokens(provider))
        key = Key(running.bus, provider, running.id, mark, limits)
        metrics.PAUSED.read = lambda: limits.paused
        slots = Slots(settings.producer_slots or (1 if provider in KEYLESS else VENDOR_SLOTS))
        loop = Loop(Producer(running.id, provider, models, running.bus, adapter, key, slots))
        await running.run_until_stopped(loop.run(), loop.announcer.run())
        await adapter.close()


def main() -> None:
    app()


if __name__ == "__main__":
    main()
