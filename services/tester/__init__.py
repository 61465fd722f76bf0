"""End-to-end scenarios against a real stack, judged from outside: by its traces, the bus, the files and the event streams."""
