"""What to ask next, of whom, and when to stop: pure functions of what was seen so far."""
