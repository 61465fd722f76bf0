"""What to ask next, of whom, and when to stop: pure functions of what was seen so far."""

from services.orchestrator.steering.allocation import Offer
from services.orchestrator.steering.steering import Ask, Called, Made, Steering, Wish

__all__ = ["Ask", "Called", "Made", "Offer", "Steering", "Wish"]
