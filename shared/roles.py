"""Who may be on the bus: one key a role. What each may do stands in `deploy/nats/permissions.conf`."""

from shared.providers import PROVIDERS

PROVISION = "provision"
ORCHESTRATOR = "orchestrator"
GATEWAY = "gateway"
RECORDER = "recorder"
REPAIR = "recorder-repair"
LOCAL_MODEL = "local-model"
TAP = "tap"
MONITOR = "monitor"


def producer(provider: str) -> str:
    return f"producer-{provider}"


ROLES = (PROVISION, ORCHESTRATOR, *map(producer, PROVIDERS), GATEWAY, RECORDER, REPAIR, LOCAL_MODEL, TAP, MONITOR)


def inbox(role: str) -> str:
    """Where answers to a role arrive: nobody else may listen there."""
    return f"_INBOX_{role}"
