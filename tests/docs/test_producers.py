"""The producers of docs/producers.md: each runs against a real Kafka, and sends what is taken."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, Message, Producer

from contracts.events import ContextUpdate, Interaction, PlaceUpdate, decode
from contracts.ids import partition_of
from contracts.kafka import client_config, consumer_config
from contracts.settings import Settings
from contracts.topics import Topics
from placestream.stack.kafka_jars import ensure_jars
from streams.decode import MISPLACED, Interactions, decode_interactions
from tests.docs_pages import DOCS, blocks
from tests.streams.stream import Sent

EXAMPLES = DOCS / "examples" / "producers"
PAGE = (DOCS / "producers.md").read_text(encoding="utf-8")
PROGRAMS = {"python": "produce.py", "java": "Produce.java", "go": "produce.go"}
#: Numbers and text, long ones and other scripts: enough for every partition of four.
USERS = [
    "7",
    "12345",
    str(2**63),
    "ann",
    "zoë",
    "山田",
    "x" * 128,
    *(f"user-{n}" for n in range(20)),
]


def sent(settings: Settings, topics: Topics, count: int) -> list[Message]:
    """So many messages of the interactions, from the beginning."""
    consumer = Consumer(consumer_config(settings, "test"))
    consumer.subscribe([topics.interactions.name])
    found: list[Message] = []
    deadline = time.monotonic() + 60
    while len(found) < count and time.monotonic() < deadline:
        found += consumer.consume(count - len(found), timeout=1)
    consumer.close()
    assert len(found) == count
    return found


def taken(messages: Sequence[Message], topics: Topics) -> Interactions:
    """What the stream makes of them."""
    records: list[Any] = [
        Sent(m.partition() or 0, m.offset() or 0, m.timestamp()[1], m.key(), m.value())
        for m in messages
    ]
    return decode_interactions(records, topics.interactions.partitions)


def check(settings: Settings, topics: Topics) -> None:
    """Every user's visit lies in the user's partition, and is good."""
    messages = sent(settings, topics, len(USERS))
    got = taken(messages, topics)
    assert [str(error) for _, error in got.bad] == []
    assert sorted(got.user_id) == sorted(USERS)
    assert set(got.partition) == set(range(topics.interactions.partitions))
    for user, partition in zip(got.user_id, got.partition, strict=True):
        assert partition == partition_of(user, topics.interactions.partitions)


def run(command: Sequence[str], settings: Settings, topics: Topics, cwd: Path) -> None:
    """Run a producer for all users."""
    arguments = [settings.kafka_bootstrap, topics.interactions.name, *USERS]
    done = subprocess.run(
        [*command, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2_000:]


def test_the_python_program_reaches_every_users_partition(
    settings: Settings, topics: Topics
) -> None:
    """By librdkafka with murmur2."""
    run([sys.executable, "produce.py"], settings, topics, EXAMPLES)
    check(settings, topics)


@pytest.mark.slow
def test_the_java_program_reaches_every_users_partition(settings: Settings, topics: Topics) -> None:
    """By Kafka's own client, compiled as it is run; its jars are the broker's."""
    java = shutil.which("java")
    if java is None or shutil.which("javac") is None:
        pytest.skip("no Java compiler here: .ci/setup.sh test-all installs one")
    jars = [
        str(path)
        for name in ("kafka-clients-*", "slf4j-api-*", "lz4-java-*")
        for path in ensure_jars().glob(name)
    ]
    encoding = ("-Dfile.encoding=UTF-8", "-Dsun.jnu.encoding=UTF-8")
    run([java, *encoding, "-cp", ":".join(jars), "Produce.java"], settings, topics, EXAMPLES)
    check(settings, topics)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_go_program_reaches_every_users_partition(
    settings: Settings, topics: Topics, tmp_path: Path
) -> None:
    """By franz-go, at the version that go.mod names; fetched on first use."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go toolchain here")
    program = tmp_path / "produce"
    built = subprocess.run(
        [go, "build", "-mod=readonly", "-o", program, "."],
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        check=False,
    )
    if "dial tcp" in built.stderr or "no such host" in built.stderr:
        pytest.skip(f"the Go module proxy is out of reach: {built.stderr[-200:]}")
    assert built.returncode == 0, built.stderr
    run([str(program)], settings, topics, EXAMPLES)
    check(settings, topics)


def test_the_trap_is_a_trap(settings: Settings, topics: Topics) -> None:
    """librdkafka's default sends some users astray; the stream says so, in the page's words."""
    producer = Producer(client_config(settings))
    for user in USERS:
        event = {"user_id": user, "place_id": "p", "event_type": "view", "timestamp": _now()}
        producer.produce(topics.interactions.name, json.dumps(event), key=user)
    producer.flush()
    got = taken(sent(settings, topics, len(USERS)), topics)
    assert got.bad
    assert {error for _, error in got.bad} == {MISPLACED}
    assert "sent to another partition than its own" in str(MISPLACED)
    assert f'field `{MISPLACED.field}` and the reason "sent to another partition' in _line(PAGE)


def test_a_key_of_eight_bytes_or_in_quotes_is_the_same_trap(topics: Topics) -> None:
    """Of a hundred users most would be misplaced."""
    count = topics.interactions.partitions
    users = [str(n) for n in range(100)]
    other = [json.dumps(user).encode() for user in users]
    other_long = [int(user).to_bytes(8, "big") for user in users]
    for keys in (other, other_long):
        astray = [
            user
            for user, key in zip(users, keys, strict=True)
            if partition_of(user, count) != partition_of(key.decode("latin-1"), count)
        ]
        assert len(astray) > 50


@pytest.mark.parametrize("language", PROGRAMS)
def test_what_the_page_shows_is_in_the_program(language: str) -> None:
    """Line by line, but for how far it is indented."""
    program = _flat((EXAMPLES / PROGRAMS[language]).read_text(encoding="utf-8"))
    shown = blocks(PAGE, language)
    assert shown
    for block in shown:
        assert _flat(block.text) in program


def test_the_messages_of_the_page_are_good() -> None:
    """Each decodes as the event that its section is about."""
    interaction, place, context = blocks(PAGE, "json")
    for block, event in (
        (interaction, Interaction),
        (place, PlaceUpdate),
        (context, ContextUpdate),
    ):
        decode(msgspec.json.Decoder(event), block.text.encode())


def test_topics_settings_and_links_exist() -> None:
    """Names of the page are names of the code."""
    named = set(re.findall(r"`placestream\.([\w-]+)\.v1`", PAGE))
    assert {f"placestream.{name}.v1" for name in named} == {t.name for t in Topics().inputs()}
    for name in re.findall(r"PLACESTREAM_([A-Z_]+)", PAGE):
        assert name.lower() in Settings.model_fields


def _flat(text: str) -> str:
    lines = (line.strip() for line in textwrap.dedent(text).splitlines())
    return "\n".join(line for line in lines if line)


def _line(text: str) -> str:
    return " ".join(text.split())


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
