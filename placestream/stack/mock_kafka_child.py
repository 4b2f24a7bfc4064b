"""The process behind `MockKafka`: librdkafka's mock cluster with the topics that it is told.

    python -m placestream.stack.mock_kafka_child BOOTSTRAP_FILE NAME:PARTITIONS...

The setting `test.mock.num.brokers` gives the same cluster, but then every topic has four
partitions: the mock knows no CreateTopics, and makes a topic at its first use. Its C interface
can make topics, so this calls that, through ctypes, in the library that confluent-kafka ships.
"""

import ctypes
import ctypes.util
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import confluent_kafka

RD_KAFKA_PRODUCER = 0


def load_librdkafka() -> Any:
    """Load librdkafka: the one in confluent-kafka's wheel, else the system's.

    Raises:
        OSError: neither is there.
    """
    beside = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    bundled = sorted(beside.glob("librdkafka-*.so*"))
    path = str(bundled[0]) if bundled else ctypes.util.find_library("rdkafka")
    if path is None:
        raise OSError("librdkafka was not found, neither in confluent-kafka nor in the system")
    return _declared(ctypes.CDLL(path))


def _declared(library: Any) -> Any:
    """Tell ctypes the signatures of rdkafka.h and rdkafka_mock.h."""
    text, number, handle = ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p
    signatures = {
        "rd_kafka_new": (handle, [number, handle, text, ctypes.c_size_t]),
        "rd_kafka_mock_cluster_new": (handle, [handle, number]),
        "rd_kafka_mock_cluster_bootstraps": (text, [handle]),
        "rd_kafka_mock_topic_create": (number, [handle, text, number, number]),
        "rd_kafka_err2str": (text, [number]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def start_cluster(library: Any, topics: Iterable[tuple[str, int]]) -> str:
    """Start a mock cluster of one broker that lives as long as this process.

    Args:
        library: what `load_librdkafka` returned.
        topics: names with their partitions.

    Returns:
        `host:port` for clients.

    Raises:
        RuntimeError: librdkafka refuses.
    """
    reason = ctypes.create_string_buffer(512)
    client = library.rd_kafka_new(RD_KAFKA_PRODUCER, None, reason, len(reason))
    if not client:
        raise RuntimeError(f"librdkafka: {reason.value.decode()}")
    cluster = library.rd_kafka_mock_cluster_new(client, 1)
    if not cluster:
        raise RuntimeError("librdkafka made no mock cluster")
    for name, partitions in topics:
        error = library.rd_kafka_mock_topic_create(cluster, name.encode(), partitions, 1)
        if error:
            raise RuntimeError(f"topic {name}: {library.rd_kafka_err2str(error).decode()}")
    bootstrap: bytes = library.rd_kafka_mock_cluster_bootstraps(cluster)
    return bootstrap.decode()


def main(arguments: list[str]) -> None:
    """Start the cluster, write where it is, and stay until a signal ends the process."""
    bootstrap_file = Path(arguments[0])
    topics = [(name, int(count)) for name, _, count in (a.rpartition(":") for a in arguments[1:])]
    bootstrap = start_cluster(load_librdkafka(), topics)
    partial = bootstrap_file.with_suffix(".partial")
    partial.write_text(bootstrap)
    partial.replace(bootstrap_file)
    while True:
        signal.pause()


if __name__ == "__main__":
    # librdkafka's threads hold nothing worth a clean end.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    main(sys.argv[1:])
