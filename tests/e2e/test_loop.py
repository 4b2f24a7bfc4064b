"""The whole loop on real parts: event in, feature in Redis, recommendation out, model renewed."""

import io
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest
from confluent_kafka import Producer
from rich.console import Console

from contracts.events import Impression, encode
from contracts.ids import canonical_id
from contracts.kafka import producer_config
from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.signatures import PARTS
from models.shown_features import ServedAnswers
from online_features.context import ContextLog
from online_features.impressions import read_impressions
from online_features.request import RANKING_COLUMNS
from placestream import ask, replay
from placestream.skew import comparison as skew
from tests.e2e.loop import Loop, running
from tests.streams.stream import read_topic


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """A running stack without trials of new pairs: on so few users nothing can be proven."""
    with running(tmp_path_factory.mktemp("loop"), rollout_direct=True) as loop:
        yield loop


def test_fresh_events_change_the_answer(loop: Loop) -> None:
    """Three events through Kafka, and the next answers know them: newer features, other scores."""
    before = loop.answer()
    assert before.degradation == pb.DEGRADATION_NONE
    assert dict(before.model_versions) == {"candidates": 1, "ranker": 1}
    assert before.user_known
    assert before.places
    events = loop.story.events(time.time())
    producer = Producer({**producer_config(loop.stack.settings)})
    for event in events:
        producer.produce(
            loop.stack.settings.topics.interactions.name,
            key=canonical_id(loop.story.user_id).encode(),
            value=encode(event),
        )
    assert producer.flush(10) == 0
    newest_s = datetime.fromisoformat(str(events[-1]["timestamp"])).timestamp()
    deadline = time.monotonic() + 30
    while True:
        after = loop.answer()
        known_s = (after.answered_at.ToNanoseconds() - after.feature_age.ToNanoseconds()) / 1e9
        if known_s >= newest_s - 0.01:
            break
        assert time.monotonic() < deadline, "no answer knew the fresh events"
    scores = {place.place_id: place.score for place in before.places}
    assert [(p.place_id, p.score) for p in after.places] != list(scores.items())
    assert any(place.reasons for place in after.places)
    assert {stage.stage for stage in after.stages} == {
        "near",
        "candidates",
        "features",
        "ranking",
        "post_processing",
        "reasons",
    }


def test_an_event_brings_a_new_version_into_service_without_a_restart(loop: Loop) -> None:
    """A second request to retrain leads to version 2 in the answers of the same processes."""
    processes = loop.processes()
    steps = loop.renewed(2)
    assert [s.step for s in steps if 2 in s.versions.values()] == ["trained", "promoted"]
    deadline = time.monotonic() + 30
    while dict(loop.answer().model_versions) != {"candidates": 2, "ranker": 2}:
        assert time.monotonic() < deadline, "the service still answers with the old version"
        time.sleep(0.1)
    assert loop.answer().degradation == pb.DEGRADATION_NONE
    assert loop.processes() == processes


def test_features_equal_the_replay_of_the_archive(loop: Loop) -> None:
    """What `placestream replay` says after all of this: every user and every place agrees."""
    loop.follow()
    out = io.StringIO()
    assert replay.run(loop.stack.settings, Console(file=out, width=120)), out.getvalue()


def test_impressions_hold_what_the_ranker_saw(loop: Loop) -> None:
    """Every answer is in Kafka, and then in the archive, with features, parts, versions and id."""
    answer = loop.answer()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        messages = read_topic(loop.stack.settings, loop.stack.settings.topics.impressions.name)
        found = [msgspec.json.decode(m.value or b"", type=Impression) for m in messages]
        mine = [i for i in found if i.request_id == answer.request_id]
        if mine:
            break
    assert [p.place_id for p in mine[0].places] == [p.place_id for p in answer.places]
    assert all(len(place.values) == len(RANKING_COLUMNS) for place in mine[0].places)
    assert all(len(place.told) == len(PARTS) for place in mine[0].places)
    assert mine[0].models == dict(answer.model_versions)
    loop.follow()
    settings = loop.stack.settings
    answers = ServedAnswers(
        read_impressions(settings.archive_dir),
        settings.archive_dir,
        settings.models_dir,
        ContextLog([]),
    )
    archived = answers.log.take(answers.log.request_id == answer.request_id)
    assert len(archived) == 1
    logged = answers.as_logged(archived)
    for values, said in ((logged.features, "values"), (logged.parts, "told")):
        expected = [getattr(place, said) for place in mine[0].places]
        np.testing.assert_array_equal(values, np.array(expected))


def test_what_was_served_is_what_the_archive_gives(loop: Loop) -> None:
    """`placestream skew` finds every value of some answers, and none of them wrong."""
    loop.follow()
    began_s = time.time()
    request_ids = {loop.answer().request_id for _ in range(5)}
    deadline = time.monotonic() + 30
    while True:
        try:
            found = skew.run(loop.stack.settings, skew.Asked(since_s=began_s))
            if found.answers == len(request_ids):
                break
        except skew.NothingToCompare:
            pass
        assert time.monotonic() < deadline, "the answers did not come to Kafka"
        time.sleep(0.5)
    for name, column in found.columns.items():
        assert column.match > 0, name
        assert (column.mismatch, column.undecided) == (0, 0), (name, column)
        assert (column.missing, column.extra) == (0, 0), name


def test_an_empty_area_and_a_stranger_are_answers(loop: Loop) -> None:
    """Nobody and nowhere are no errors: the answer says why it is as it is."""
    far = ask.ask(loop.address, ask.Question("stranger", -45.0, -130.0), 5_000)
    assert not far.places
    assert far.shortfall == pb.SHORTFALL_NO_PLACES_NEAR
    stranger = ask.ask(
        loop.address, ask.Question("stranger", loop.story.lat, loop.story.lng), 5_000
    )
    assert stranger.places
    assert not stranger.user_known


def test_bad_requests_name_the_field(loop: Loop) -> None:
    """INVALID_ARGUMENT with the field, as the command line shows it."""
    with pytest.raises(ask.Refused, match=r"INVALID_ARGUMENT[\s\S]*location\.lat"):
        ask.ask(loop.address, ask.Question("1", 95.0, 0.0), 5_000)


def test_logs_of_all_roles_hold_no_error(loop: Loop, tmp_path: Path) -> None:
    """A quiet run is quiet."""
    for log in (loop.stack.run_dir / "logs").glob("*.log"):
        assert "Traceback" not in log.read_text(), log.name
