"""The `dlq` commands on a real Kafka and Redis: what a person types, and what comes of it."""

import json
import random
from pathlib import Path

import msgspec
import pytest
from confluent_kafka.admin import AdminClient

from contracts.kafka import client_config
from contracts.settings import Settings
from contracts.topics import Topics, create_topics
from placestream.dlq.letters import TopicName
from placestream.stack.ports import free_port
from tests.placestream.dlq.putting_aside import dead, messages_of, put_aside, run, visit

INTERACTIONS, PLACES, CONTEXT, *_ = TopicName


@pytest.fixture
def letters(settings: Settings, topics: Topics) -> Settings:
    """An installation with a good letter (0), a bad one (1), one more good, and one of a place."""
    name = topics.interactions.name
    bad = dead(name, 1, visit(place_id=""), field="place_id", reason="an id must not be empty")
    put_aside(
        settings,
        INTERACTIONS,
        [
            dead(name, 0, visit(), key=b"8", headers=[("trace", b"t"), ("placestream-dlq", b"x")]),
            bad,
            dead(name, 2, visit(user_id="zoë"), key=None),
        ],
    )
    update = msgspec.json.encode({"place_id": 5, "updates": {}})
    put_aside(settings, PLACES, [dead(topics.place_updates.name, 7, update, key=b"6")])
    return settings


def test_list_counts_and_names_what_it_was_asked_for(letters: Settings) -> None:
    """All topics, or some; by text; by time."""
    result = run(letters, "list")
    assert result.exit_code == 0, result.output
    assert "interactions:0:2" in result.output
    for options, ids in (
        ([], ["place-updates:0:0", "interactions:0:2", "interactions:0:1", "interactions:0:0"]),
        (["--topic", "place-updates", "--topic", "context"], ["place-updates:0:0"]),
        (["--topic", "context"], []),
        (["--reason", "Must Not"], ["interactions:0:1"]),
        (["--since", "2025-01-31T12:02"], ["place-updates:0:0", "interactions:0:2"]),
        (["--since", "2025-01-31T14:07:00+02:00"], ["place-updates:0:0"]),
        (["--newest", 1], ["place-updates:0:0"]),
    ):
        found = json.loads(run(letters, "list", "--json", *options).output)
        assert [line["id"] for line in found["newest"]] == ids


def test_show_prints_one_and_writes_its_bytes(letters: Settings, tmp_path: Path) -> None:
    """To a file or to standard output, nothing beside them."""
    result = run(letters, "show", "interactions:0:2")
    assert result.exit_code == 0, result.output
    assert '"user_id": "zoë"' in result.output
    file = tmp_path / "event.json"
    assert run(letters, "show", "interactions:0:2", "--raw", file).output == ""
    assert file.read_bytes() == visit(user_id="zoë")
    assert run(letters, "show", "interactions:0:0", "--raw", "-").stdout_bytes == visit()


@pytest.mark.parametrize(
    ("letter_id", "why"),
    [
        ("interactions:0:3", "holds offsets 0 to 2"),
        ("interactions:1:0", "has no partition 1"),
        ("context:0:0", "is empty"),
    ],
)
def test_an_id_that_is_none_is_said_to_be_none(letters: Settings, letter_id: str, why: str) -> None:
    """With what there is; to replay a good one beside it sends nothing."""
    result = run(letters, "show", letter_id)
    assert (result.exit_code, why in result.stderr) == (1, True)
    result = run(letters, "replay", "--yes", "interactions:0:0", letter_id)
    assert (result.exit_code, why in result.stderr) == (1, True)
    assert messages_of(letters, letters.topics.interactions.name) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "taxis:0:1"],
        ["show"],
        ["replay", "17"],
        ["replay", "context:0:1", "--topic", "context"],
        ["replay", "context:0:1", "--reason", "x"],
        ["replay", "--edit", __file__],
        ["replay", "context:0:1", "context:0:2", "--edit", __file__],
        ["replay", "context:0:1", "--edit", "nowhere.json"],
        ["list", "--topic", "taxis"],
        ["list", "--since", "yesterday"],
        ["list", "--newest", "-1"],
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(arguments: list[str]) -> None:
    """With exit code 2, before anything is read."""
    result = run(Settings(_env_file=None, kafka_bootstrap="127.0.0.1:1"), *arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def test_replay_sends_what_is_good_once_to_its_owner(letters: Settings, topics: Topics) -> None:
    """Bytes as they were, keyed anew, with where they come from in a header."""
    result = run(letters, "replay", "--yes")
    assert result.exit_code == 1, "one is still bad"
    assert "3 letters to send" in result.output
    assert "1 letter still bad" in result.output
    assert "an id must not be empty" in result.output
    assert result.output.endswith("3 letters sent\n")
    sent = {m.key(): m for m in messages_of(letters, topics.interactions.name)}
    assert {key: m.value() for key, m in sent.items()} == {
        b"7": visit(),
        "zoë".encode(): visit(user_id="zoë"),
    }
    assert sent[b"7"].headers() == [("trace", b"t"), ("placestream-dlq", b"interactions:0:0")]
    (place,) = messages_of(letters, topics.place_updates.name)
    assert place.key() == b"5"
    assert place.timestamp()[1] == 1_738_325_220_000  # 2025-01-31 12:07, when it was put aside
    result = run(letters, "replay", "--yes")
    assert "0 letters to send" in result.output
    assert "3 letters replayed before" in result.output
    assert len(messages_of(letters, topics.interactions.name)) == 2
    assert run(letters, "replay", "--yes", "--again", "interactions:0:0").exit_code == 0
    assert len(messages_of(letters, topics.interactions.name)) == 3


@pytest.mark.parametrize(
    ("options", "answer", "code", "sent"),
    [
        (["--dry-run"], "", 0, 0),
        (["--dry-run", "--yes"], "", 0, 0),
        ([], "n\n", 1, 0),
        ([], "", 1, 0),
        ([], "y\n", 0, 2),
        (["--since", "2025-01-31T12:01"], "y\n", 0, 1),
    ],
)
def test_replay_asks_first(
    letters: Settings, options: list[str], answer: str, code: int, sent: int
) -> None:
    """No answer is a no, and a dry run does not ask."""
    result = run(letters, "replay", "--reason", "another partition", *options, answer=answer)
    # Of the three that match, one is of a place.
    assert result.exit_code == code, result.output
    assert len(messages_of(letters, letters.topics.interactions.name)) == sent
    assert ("Send " in result.output) == ("--dry-run" not in options)


def test_a_mended_event_is_sent_in_place_of_a_bad_one(letters: Settings, tmp_path: Path) -> None:
    """Keyed by what it says now; a file that mends nothing is refused."""
    file = tmp_path / "event.json"
    file.write_bytes(visit(user_id=9, rating=7, event_type="rate"))
    result = run(letters, "replay", "interactions:0:1", "--edit", file, "--yes")
    assert (result.exit_code, "rating" in result.output) == (1, True)
    file.write_bytes(visit(user_id=9))
    assert run(letters, "replay", "interactions:0:1", "--edit", file, "--yes").exit_code == 0
    (message,) = messages_of(letters, letters.topics.interactions.name)
    assert (message.key(), message.value()) == (b"9", visit(user_id=9))


def test_an_event_can_be_mended_in_a_pipe(letters: Settings) -> None:
    """In a container there is no file at hand."""
    mended = visit(user_id=9)
    options = ["replay", "interactions:0:1", "--edit", "-", "--yes"]
    assert run(letters, *options, answer=mended.decode()).exit_code == 0
    (message,) = messages_of(letters, letters.topics.interactions.name)
    assert message.value() == mended


def test_an_event_that_kafka_refuses_is_named(letters: Settings) -> None:
    """Those before it are sent, noted, and not sent again."""
    name = letters.topics.interactions.name
    noise = random.Random(1).randbytes(750_000).hex()  # above a megabyte, as LZ4 packs it too
    put_aside(letters, INTERACTIONS, [dead(name, 3, visit(note=noise))])
    result = run(letters, "replay", "--topic", INTERACTIONS, "--yes")
    assert result.exit_code == 1
    assert "did not take interactions:0:3" in result.stderr
    assert "2 letters sent" in result.output
    assert "1 letter to send" in run(letters, "replay", "--dry-run", "interactions:0:3").output
    assert "2 letters replayed before" in run(letters, "replay", "--dry-run").output


def test_what_comes_while_it_reads_waits_for_the_next_time(letters: Settings) -> None:
    """Letters that come back at once do not go round in circles."""
    from placestream.dlq.reader import DeadLetterReader

    with DeadLetterReader(letters, [INTERACTIONS]) as reader:
        put_aside(letters, INTERACTIONS, [dead(letters.topics.interactions.name, 3, visit())])
        assert [letter.id.offset for letter in reader] == [0, 1, 2]
        assert [letter.id.offset for letter in reader] == [0, 1, 2], "and it can be read again"
    assert (
        json.loads(run(letters, "list", "--json", "--topic", INTERACTIONS).output)["letters"] == 4
    )


def test_reading_moves_nobodys_offsets(letters: Settings) -> None:
    """No group of ours is known to the broker afterwards."""
    run(letters, "list")
    groups = AdminClient(client_config(letters)).list_consumer_groups().result(10).valid
    assert not [g.group_id for g in groups if g.group_id.startswith(letters.topic_prefix)]


def test_messages_that_are_no_letters_are_listed_and_stay(letters: Settings) -> None:
    """Nothing stumbles over them."""
    put_aside(letters, CONTEXT, [b"not json", b"\xff"])
    found = json.loads(run(letters, "list", "--json", "--topic", CONTEXT).output)
    assert found["letters"] == 2
    assert "ff" in run(letters, "show", "context:0:1").output
    result = run(letters, "replay", "--topic", CONTEXT, "--yes")
    assert (result.exit_code, "not a dead letter" in result.output) == (1, True)


def test_a_topic_that_is_not_there_is_named(settings: Settings) -> None:
    """As after a slip in the prefix."""
    result = run(settings, "list")
    assert result.exit_code == 1
    assert f"has no topic {settings.topic_prefix}.interactions.v1.dlq" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_without_redis_nothing_is_replayed(letters: Settings) -> None:
    """What was replayed before cannot be told; the reason is a line."""
    from pydantic import SecretStr

    gone = letters.model_copy(
        update={"redis_url": SecretStr(f"redis://:swordfish@127.0.0.1:{free_port()}/0")}
    )
    assert run(gone, "list").exit_code == 0
    result = run(gone, "replay", "--yes")
    assert result.exit_code == 1
    assert "Redis does not say what was replayed" in result.stderr
    assert "swordfish" not in result.output
    assert messages_of(letters, letters.topics.interactions.name) == []


def test_topics_are_looked_for_one_by_one(settings: Settings) -> None:
    """Who asks for one topic is not held up by another that is missing."""
    admin = AdminClient(client_config(settings))
    only = settings.topics.dlq(settings.topics.context)
    create_topics(admin, [only], replication=1)
    assert run(settings, "list", "--topic", "context").output == "no dead letters\n"
    assert run(settings, "list").exit_code == 1
    admin.delete_topics([only.name])
