"""What each vendor speaks on the wire, as `wire.Wire` has it."""
