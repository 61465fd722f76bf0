"""What can go wrong while deciding."""


class CapacityError(Exception):
    """Raised when one more attribute would exceed the capacity the deduper was given. Nothing was forgotten."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        super().__init__(f"the list holds {capacity} attributes, which is all it may; raise the capacity or stop the run")
