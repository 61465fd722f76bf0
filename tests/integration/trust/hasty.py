"""The orchestrator as it is shipped, but for the waits: what takes it minutes takes seconds here."""

from services.orchestrator import conductor, dispatch
from services.orchestrator.__main__ import main

DEADLINE_SECONDS = 120
"""Of a task, by default."""

conductor.WRITE_OFF_SECONDS = 2.5 - DEADLINE_SECONDS
conductor.LAST_CALLS_SECONDS = 1.0
dispatch.RETURNED_SECONDS = 0.05

if __name__ == "__main__":
    main()
