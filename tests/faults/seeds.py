"""Which seeds each fault is made with."""

import os

SEEDS = range(
    int(os.environ.get("FAULT_SEED", "0")), int(os.environ.get("FAULT_SEED", "0")) + int(os.environ.get("FAULT_SEEDS", "3"))
)
"""Three of them; FAULT_SEEDS gives their number and FAULT_SEED the first, so that a soak takes new ones each time."""
