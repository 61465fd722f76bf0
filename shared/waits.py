"""How long the bus is waited for."""

REQUEST_SECONDS = 5.0
"""How long an answer of the server or of a service is waited for."""

IDLE_SECONDS = 1.0
"""How long one pull waits for messages; also how soon a consumer lost with its server is made again."""

RECONNECT_SECONDS = 0.25
"""Between attempts to reach the server: short, since a run stands still meanwhile."""
