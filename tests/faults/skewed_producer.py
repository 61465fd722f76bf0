"""A producer of another version: SKEW=old leaves out every field that has a default, SKEW=new adds some that nobody knows."""

import os
from typing import Any

import msgspec

import shared.bus
from services.producer.__main__ import main
from shared.wire import encode

UNKNOWN = {"from_the_future": {"deep": [1, 2, {"deeper": None}]}, "another": "\u2603"}


def skewed(message: msgspec.Struct | msgspec.Raw) -> bytes:
    """The message as that version would write it."""
    if isinstance(message, msgspec.Raw):
        return encode(message)
    fields: dict[str, Any] = msgspec.json.decode(encode(message))
    if os.environ["SKEW"] == "new":
        return msgspec.json.encode(fields | UNKNOWN)
    required = {field.encode_name for field in msgspec.structs.fields(message) if field.required}
    return msgspec.json.encode({name: value for name, value in fields.items() if name in required})


if __name__ == "__main__":
    shared.bus.encode = skewed
    main()
