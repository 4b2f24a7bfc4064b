"""What a person does next when a server that a command needs is away, or refuses.

Commands wrap what goes wrong in errors of their own, in words of their own; what lies beneath, the
client library's error, tells what would help. So an error is followed to its causes.
"""

from collections.abc import Iterator

import grpc
from confluent_kafka import KafkaError, KafkaException
from redis import exceptions as redis

from placestream.client import CallFailed

_KAFKA: tuple[tuple[frozenset[int], str], ...] = (
    (
        frozenset(
            {
                KafkaError._ALL_BROKERS_DOWN,
                KafkaError._TRANSPORT,
                KafkaError._RESOLVE,
                KafkaError._TIMED_OUT,
                KafkaError._MSG_TIMED_OUT,
                KafkaError.REQUEST_TIMED_OUT,
            }
        ),
        "Start Kafka (`placestream up` starts all that is needed on this machine), or say where it "
        "is: PLACESTREAM_KAFKA_BOOTSTRAP.",
    ),
    (
        frozenset(
            {
                KafkaError.UNKNOWN_TOPIC_OR_PART,
                KafkaError._UNKNOWN_TOPIC,
                KafkaError._UNKNOWN_PARTITION,
            }
        ),
        "Start `placestream stream` once, which makes the topics; or mend PLACESTREAM_TOPIC_PREFIX "
        "or PLACESTREAM_PARTITIONS if they are not this installation's.",
    ),
    (
        frozenset(
            {
                KafkaError._AUTHENTICATION,
                KafkaError._SSL,
                KafkaError.SASL_AUTHENTICATION_FAILED,
                KafkaError.TOPIC_AUTHORIZATION_FAILED,
                KafkaError.GROUP_AUTHORIZATION_FAILED,
                KafkaError.CLUSTER_AUTHORIZATION_FAILED,
            }
        ),
        "Mend PLACESTREAM_KAFKA_SECURITY_PROTOCOL and what goes with it, or what Kafka lets this "
        "user do (docs/security.md).",
    ),
)
_KAFKA_OTHER = "Kafka's log says more; then run this again."
_REDIS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    (
        (redis.AuthenticationError, redis.NoPermissionError),
        "Mend user and password in PLACESTREAM_REDIS_URL, or what Redis lets that user do "
        "(docs/security.md).",
    ),
    (
        (redis.BusyLoadingError,),
        "Redis reads its files: wait until it has, and run this again.",
    ),
    (
        (redis.ConnectionError, redis.TimeoutError),
        "Start Redis (`placestream up` starts all that is needed on this machine), or say where it "
        "is: PLACESTREAM_REDIS_URL.",
    ),
)
_REDIS_OTHER = "Redis's log says more; then run this again."
_SERVICE: dict[grpc.StatusCode, str] = {
    grpc.StatusCode.INVALID_ARGUMENT: "Mend what is named.",
    grpc.StatusCode.UNAUTHENTICATED: (
        "Make a token with `placestream token new` and give it as PLACESTREAM_CLIENT_TOKEN."
    ),
    grpc.StatusCode.PERMISSION_DENIED: (
        "Give its token the right to it: `placestream token --help`."
    ),
    grpc.StatusCode.RESOURCE_EXHAUSTED: "Try again in a moment.",
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        "Try again; if it stays, look at the service's latency and at its log."
    ),
    grpc.StatusCode.UNAVAILABLE: (
        "Start `placestream serve` (`placestream up` starts all that is needed on this machine), "
        "or wait until it is ready."
    ),
}
_SERVICE_OTHER = "The service's log says more, under the code that is named here."


def explained(error: Exception) -> str | None:
    """An error in words, with what to do next in a line of its own where that is known.

    Returns:
        `None` for an error that no command expects: a fault of the code.
    """
    if not isinstance(error, (ValueError, RuntimeError, OSError, KafkaException, redis.RedisError)):
        return None
    step = next_step(error)
    return f"{_words(error)}\n{step}" if step else _words(error)


def next_step(error: BaseException) -> str:
    """What to do about an error; empty where nothing beneath it tells."""
    for cause in _causes(error):
        if isinstance(cause, CallFailed):
            return of_service(cause.code)
        if isinstance(cause, KafkaException):
            return _of_kafka(cause)
        if isinstance(cause, redis.RedisError):
            found = (step for kinds, step in _REDIS if isinstance(cause, kinds))
            return next(found, _REDIS_OTHER)
    return ""


def of_service(code: grpc.StatusCode) -> str:
    """What to do when the service answers a call so."""
    return _SERVICE.get(code, _SERVICE_OTHER)


def _of_kafka(error: KafkaException) -> str:
    code = error.args[0].code()
    return next((step for codes, step in _KAFKA if code in codes), _KAFKA_OTHER)


def _words(error: Exception) -> str:
    if isinstance(error, KafkaException):  # whose own text is for programs
        return f"Kafka: {error.args[0].str()}"
    if isinstance(error, redis.RedisError):
        return f"Redis: {error}"
    return str(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what it was raised from, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
