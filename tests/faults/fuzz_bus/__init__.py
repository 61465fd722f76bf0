"""A flood of lies on the bus beside a run of another provider, which must not notice: `make fuzz-bus`."""
