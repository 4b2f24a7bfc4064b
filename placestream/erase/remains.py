"""Where something of an erased person remains, why, and until when."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from contracts.settings import Settings
from contracts.topics import Topic
from placestream.dlq.letters import TopicName
from placestream.erase.in_letters import Letters
from placestream.erase.in_models import InModels

#: Kafka deletes whole segments; one is closed after a week (`segment.ms`), or at a gigabyte.
SEGMENT = timedelta(days=7)


def remains(
    settings: Settings,
    erased_at: datetime,
    letters: Mapping[TopicName, Letters],
    models: InModels,
) -> tuple[tuple[str, str], ...]:
    """(Where, what stays there and until when)."""
    topics = settings.topics
    events, by_place = topics.interactions, topics.by_place
    return (
        (
            events.name,
            f"their events, until {_until(events, erased_at)}; nothing of them comes back: "
            "workers, trainings and rebuilds go by the list",
        ),
        (
            by_place.name,
            "the same by place, with a 64-bit hash in the place of the id, until "
            + _until(by_place, erased_at),
        ),
        (
            topics.impressions.name,
            f"answers that they were given, until {_until(topics.impressions, erased_at)}",
        ),
        *((topics.dlq(topic.of(topics)).name, _letters(its)) for topic, its in letters.items()),
        (
            "Redis, places",
            "counts, hours, age groups and dwell times, which cannot be taken apart; and of each "
            "of the last 7 days on which a place had at most 32 visitors, 32 bits of a hash of "
            "each, which go when the place is visited later",
        ),
        (
            "Redis, files",
            "what was removed, in the append-only file until it is rewritten (BGREWRITEAOF does "
            "that now), and in the snapshot until the next one",
        ),
        (
            "archive",
            "the positions in Kafka of their interactions, by which a rebuild knows that nothing "
            "is missing",
        ),
        (
            "backfill, tables of places",
            "counts, which cannot be taken apart, until their days are computed again "
            "(`placestream backfill` passes over them)",
        ),
        ("the list", "a salted hash of each id, so that nothing of them comes back"),
        ("models", _models(settings, models)),
        (
            "backups",
            "of Redis, the archive and the backfill's tables that were made before, and tables on "
            "other machines: erase again after playing one back",
        ),
    )


def _until(topic: Topic, erased_at: datetime) -> str:
    kept = timedelta(milliseconds=topic.retention_ms or 0)
    first, last = erased_at + kept, erased_at + kept + SEGMENT
    return f"{first:%Y-%m-%d} to {last:%Y-%m-%d}, by when Kafka has deleted them"


def _letters(letters: Letters) -> str:
    if letters.not_looked:
        return f"not looked at ({letters.not_looked})"
    searched = (
        f" ({letters.unread} letters, of which nobody can read whose they are, were searched for "
        "the bytes of the ids)"
        if letters.unread
        else ""
    )
    if not letters.ids:
        return f"no letter names them{searched}"
    return (
        f"kept for ever: {len(letters.ids)} letters name them{searched}, the last one is "
        f"{letters.ids[-1]}. Kafka cannot delete single messages: `kafka-delete-records.sh` "
        "deletes all up to one"
    )


def _models(settings: Settings, models: InModels) -> str:
    if not (models.knowing or models.silent or models.others):
        return (
            f"none in {models.folder}; if they are elsewhere, mount their folder there and run "
            "this again: else it cannot tell whether one holds anything of single persons"
        )
    said = [
        "what was learned of all, until the next training (`placestream retrain --now erasure`)"
    ]
    if models.knowing:
        which = ", ".join(f"{name} ({n} persons)" for name, n in models.knowing.items())
        said.append(
            "a vector of its own for each person with five or more choices, by a 64-bit hash of "
            f"the id, theirs perhaps among them, in: {which}"
        )
    if models.silent:
        said.append(
            "perhaps something of single persons, in models whose cards do not say that there is "
            f"none: {', '.join(models.silent)}"
        )
    if models.knowing or models.silent:
        said.append(
            "these go when they are neither in service, nor the way back, nor among the newest "
            "three versions; sooner, if after that training you delete their folders once the new "
            "version is in service (there is no way back to them then)"
        )
    else:
        said.append(f"nothing of single persons: so say the cards of all {models.others}")
    if settings.mlflow_uri:
        said.append("the copies in MLflow were not looked at; they go with the versions")
    return f"in {models.folder}: " + "; ".join(said)
