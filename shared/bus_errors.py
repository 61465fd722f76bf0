"""Errors a caller of the bus may see.

BusError
 ├─ Unavailable   no answer in time: what was asked may or may not have happened
 ├─ Missing       the stream, consumer or responder does not exist (yet)
 ├─ Taken         the subject already holds its one message: this was decided before
 ├─ Fenced        a newer orchestrator has taken over
 ├─ TooLarge      a message is larger than its stream, or the server, takes
 └─ Full          a stream is at its bound
Malformed         a message that its type refuses
"""

import contextlib
from collections.abc import Collection, Iterator

import nats.errors
from nats.js import errors as js_errors

PER_SUBJECT_LIMIT = 10077
"""Server's code for a write beyond a stream's bounds; the description tells which bound."""
WRONG_LAST_SEQUENCE = 10071
MESSAGE_TOO_LARGE = 10054


class BusError(Exception):
    """Raised when the bus did not do what was asked; see the tree above."""


class Unavailable(BusError):
    """Raised when no answer came in time; the outcome is unknown."""


class Missing(BusError):
    """Raised when the stream, consumer or responder does not exist."""


class Taken(BusError):
    """Raised when a subject that holds one message for ever holds it already."""


class Fenced(BusError):
    """Raised when a newer orchestrator has taken over the log."""


class TooLarge(BusError):
    """Raised when a message is larger than its stream, or the server, takes: no wait would make it fit."""


class Full(BusError):
    """Raised when a stream is at its bound."""


class Denied(Exception):
    """Raised when the server's permissions do not allow what was asked."""


class Malformed(ValueError):
    """Raised when a message does not fit its type; the text says where."""


@contextlib.contextmanager
def translated(denied: Collection[str] = (), subject: str = "") -> Iterator[None]:
    """Turn the client's errors into ours, which say what a caller can do about them.

    `denied` are the subjects that the server refused so far: it refuses without an answer, so the client just waits for one.
    """
    try:
        yield
    except js_errors.APIError as error:
        raise _from_api(error) from error
    except (js_errors.NoStreamResponseError, nats.errors.NoRespondersError) as error:
        raise Missing("no stream or service listens there") from error
    except nats.errors.MaxPayloadError as error:  # the client's own, nothing was sent
        raise TooLarge(f"a message on {subject} is larger than the server takes (max_payload)") from error
    except (nats.errors.Error, TimeoutError) as error:
        if subject.lower() in denied:
            raise Denied(f"The permissions on NATS do not allow this role to publish on {subject}") from error
        raise Unavailable(str(error) or type(error).__name__) from error


def _from_api(error: js_errors.APIError) -> BusError:
    text = error.description or str(error)
    if error.err_code == WRONG_LAST_SEQUENCE:
        return Fenced(text)
    if error.err_code == PER_SUBJECT_LIMIT:
        return Taken(text) if "per subject" in text else Full(text)
    if error.err_code == MESSAGE_TOO_LARGE:
        return TooLarge(text)
    if isinstance(error, js_errors.NotFoundError):
        return Missing(text)
    if isinstance(error, js_errors.ServiceUnavailableError):  # a cluster between two leaders
        return Unavailable(text)
    return BusError(text)
