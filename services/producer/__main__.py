"""Starts one producer: `producer --provider random`. It needs NATS_URL and, if the provider has one, a key."""

from collections.abc import Mapping

from cyclopts import App

from services.producer.adapters.contract import Adapter
from services.producer.adapters.registry import build
from services.producer.loop import Loop
from services.producer.presence import Announcer
from shared.messages import Presence
from shared.providers import PROVIDERS, resolve
from shared.service import Settings, environment, load, run, service

app = App(name="producer", help="Take tasks of one provider from the bus and publish what its model finds.")


@app.default
def producer(*, provider: str = "env", model: str = "", log_level: str | None = None) -> None:
    """Work until stopped.

    Parameters
    ----------
    provider
        openai, local or random; env is the one that a key is set for, else local.
    model
        The model to call when a task names none.
    log_level
        trace, debug, info, warn or error.
    """
    variables = environment()
    settings = load(Settings, variables, log_level=log_level)
    name = one_provider(provider, variables)
    adapter = build(name, variables, model)
    run(lambda: work(settings, name, adapter))


def one_provider(choice: str, variables: Mapping[str, str]) -> str:
    """The provider that `choice` means. Exits with one line unless it is exactly one."""
    if choice in PROVIDERS:
        return choice  # whether it needs a key is for its adapter to say
    try:
        names = resolve(choice, variables)
    except ValueError as error:
        raise SystemExit(f"Which provider? {error}.") from error
    if len(names) > 1:
        raise SystemExit(f"A producer works for one provider; choose with --provider one of {', '.join(names)}.")
    return names[0]


async def work(settings: Settings, provider: str, adapter: Adapter) -> None:
    """Run the producer until it is told to stop."""
    async with service(f"producer-{provider}", settings, f"Model calls to {provider}", ready=False) as running:
        if not await running.provisioned():
            return
        await running.register()
        presence = Presence(producer=running.id, provider=provider, models=[adapter.model], slots=1)
        announcer = Announcer(running.bus, presence)
        loop = Loop(running.bus, provider, adapter, running.id, announcer)
        await running.run_until_stopped(loop.run(), announcer.run())


def main() -> None:
    app()


if __name__ == "__main__":
    main()
