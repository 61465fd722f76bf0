"""`tester`: starts a real stack, puts it through a scenario, breaks it on purpose, and judges it from outside."""

import asyncio
import random
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from services.tester.report import Report, say
from shared.service import VERSION

app = App(name="tester", version=VERSION, help=__doc__, result_action="return_value")

Flag = Parameter(negative=())


@app.default
def run_scenario(
    *,
    scenario: str = "basic",
    seed: int | None = None,
    timeout_secs: float | None = None,
    collector_port: int = 0,
    keep_running: Annotated[bool, Flag] = False,
    verbose: Annotated[bool, Flag] = False,
    junit: Path | None = None,
) -> int:
    """Run a scenario; the exit code is 0 only if everything held.

    Parameters
    ----------
    scenario
        basic, load, healing, single-start, webserver, real-api, empty, minimal, trace-capture, faults, or all.
    seed
        Of what is random in it: the same seed breaks the same things at the same points. Without it, one is drawn and told.
    timeout_secs
        How long a run may take; without it, as the scenario has it.
    collector_port
        Port of the tester's own OTLP endpoint; 0 is any free one.
    keep_running
        Leave the stack running after the scenario, until Ctrl-C.
    verbose
        Say what is being done.
    junit
        File for the results as JUnit XML.
    """
    from services.tester.scenarios import SCENARIOS, play

    name = scenario.replace("_", "-")
    if name != "all" and name not in SCENARIOS:
        sys.stderr.write(f"tester: there is no scenario {scenario!r}; choose from {', '.join(SCENARIOS)}, all\n")
        return 2
    chosen = list(SCENARIOS.values()) if name == "all" else [SCENARIOS[name]]
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    say(f"seed {seed}")
    report = Report(verbose=verbose)

    async def play_all() -> None:
        for one in chosen:
            report.add(await play(one, report, seed, timeout_secs, collector_port, keep_running and one is chosen[-1]))

    try:
        asyncio.run(play_all())
    except KeyboardInterrupt:
        say("interrupted")
        report.close(junit)
        return 130
    return report.close(junit)


def main() -> None:
    """Entry point of the `tester` script."""
    sys.exit(app())


if __name__ == "__main__":
    main()
