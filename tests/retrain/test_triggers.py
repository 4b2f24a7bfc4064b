"""When a training is asked for: pure decisions, with the clock in hand."""

from itertools import count
from typing import Any

import msgspec
import pytest

from contracts.events import RetrainRequested
from contracts.settings import Settings
from retrain.triggers import Observation, Policy, TriggerState, decide

POLICY = Policy(psi=0.2, psi_rearm=0.1, cooldown_s=3_600)
DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
NOW_S = 1_700_000_000.0


class Asked:
    """Plays observations one after another, as the monitor would; requests reach Kafka at once."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.state = TriggerState()
        self.ended: set[str] = set()
        self._policy = policy
        self._ids = (f"audit-{i}" for i in count())

    def look(self, now_s: float, seen: Observation) -> RetrainRequested | None:
        self.state = decide(
            seen,
            self.state,
            self._policy,
            now_s,
            lambda: next(self._ids),
            self.ended.__contains__,
        )
        request = self.state.pending
        self.state = msgspec.structs.replace(self.state, pending=None)
        return request

    def asked(self, now_s: float, seen: Observation) -> bool:
        return self.look(now_s, seen) is not None


def psi(version: int = 1, /, **columns: float) -> Observation:
    return Observation(columns, samples_since_training=0, trained_at_s=NOW_S, version=version)


def test_nothing_is_asked_for_without_a_cause() -> None:
    """Stable columns, few samples, a young model."""
    seen = Observation({"distance": 0.19}, samples_since_training=999_999, trained_at_s=NOW_S)
    assert Asked().look(NOW_S + WEEK_S - 1, seen) is None


def test_psi_above_the_mark_asks_with_its_evidence() -> None:
    """The request says which column, by how much, and carries the id it was given."""
    request = Asked().look(NOW_S, psi(distance=0.31, rating=0.05))
    assert request is not None
    assert (request.audit_id, request.reason) == ("audit-0", "psi")
    assert request.requested_at.timestamp() == NOW_S
    assert request.evidence["psi"] == {"distance": 0.31}
    assert request.evidence["causes"] == ["psi:distance"]


def test_what_is_chosen_has_a_mark_of_its_own() -> None:
    """Above the columns' mark and below its own it does not ask; above its own it does, once."""
    asked = Asked(Policy(psi=0.2, psi_rearm=0.1, cooldown_s=0, target_psi=0.4))
    values = [0.3, 0.5, 0.3, 0.5, 0.1, 0.5]
    requests = [asked.look(NOW_S + i, psi(target=v)) for i, v in enumerate(values)]
    assert [r is not None for r in requests] == [False, True, False, False, False, True]
    request = requests[1]
    assert request is not None
    assert request.evidence["causes"] == ["psi:target"]
    assert request.evidence["target_psi_threshold"] == 0.4


def test_one_cause_gives_one_event() -> None:
    """A column that stays up, or hovers around the mark, asks once, cool-down or not."""
    asked = Asked()
    values = [0.3, 0.3, 0.19, 0.21, 0.11, 0.25, 0.3]
    requests = [asked.look(NOW_S + i * DAY_S / 2, psi(a=v)) for i, v in enumerate(values)]
    assert [r is not None for r in requests] == [True] + [False] * 6


def test_a_column_that_came_down_may_ask_again() -> None:
    """Below half the mark it is armed again."""
    asked = Asked()
    requests = [asked.look(NOW_S + i * 4_000, psi(a=v)) for i, v in enumerate([0.3, 0.09, 0.3])]
    assert [r is not None for r in requests] == [True, False, True]


def test_a_second_cause_waits_for_the_cool_down_and_is_not_lost() -> None:
    """Another column drifts a minute later: asked for when the hour is over."""
    asked = Asked()
    assert asked.look(NOW_S, psi(a=0.3)) is not None
    assert asked.look(NOW_S + 60, psi(a=0.3, b=0.4)) is None
    assert asked.look(NOW_S + 3_599, psi(a=0.3, b=0.4)) is None
    late = asked.look(NOW_S + 3_600, psi(a=0.3, b=0.4))
    assert late is not None
    assert late.evidence["causes"] == ["psi:b"]


def test_a_cause_that_passes_during_the_cool_down_asks_for_nothing() -> None:
    """What is over when the cool-down ends needs no training."""
    asked = Asked()
    asked.look(NOW_S, psi(a=0.3))
    assert asked.look(NOW_S + 60, psi(a=0.3, b=0.4)) is None
    assert asked.look(NOW_S + 4_000, psi(a=0.3, b=0.05)) is None


def test_causes_that_are_due_together_share_one_request() -> None:
    """PSI, samples and age at once: one event that names all."""
    seen = Observation({"a": 0.5}, samples_since_training=1_000_000, trained_at_s=NOW_S - WEEK_S)
    asked = Asked()
    request = asked.look(NOW_S, seen)
    assert request is not None
    assert request.reason == "psi"
    assert request.evidence["causes"] == ["psi:a", "samples", "schedule"]
    assert asked.look(NOW_S + DAY_S, seen) is None


@pytest.mark.parametrize(("samples", "due"), [(999_999, False), (1_000_000, True)])
def test_a_million_samples(samples: int, due: bool) -> None:
    """At the mark, not before."""
    request = Asked().look(NOW_S, Observation({}, samples, NOW_S))
    assert (request is not None and request.reason == "samples") is due


def test_a_rejected_training_is_asked_for_again_only_at_the_next_million() -> None:
    """Samples go on growing because no new model came of it; each million asks once."""
    asked = Asked()
    counts = [1_000_000, 1_500_000, 1_999_999, 2_000_000, 2_100_000]
    requests = [
        asked.look(NOW_S + i * DAY_S / 4, Observation({}, n, NOW_S)) for i, n in enumerate(counts)
    ]
    assert [r is not None for r in requests] == [True, False, False, True, False]


def test_a_new_model_starts_the_count_again() -> None:
    """After a training the samples fall, and the next million counts."""
    asked = Asked()
    counts = [1_000_000, 10, 1_000_000]
    requests = [
        asked.look(NOW_S + i * DAY_S, Observation({}, n, NOW_S + i * DAY_S))
        for i, n in enumerate(counts)
    ]
    assert [r is not None for r in requests] == [True, False, True]


def test_weekly_at_the_latest_also_without_any_model() -> None:
    """The week counts from the training, or from the first look where there was none."""
    asked = Asked()
    days = [0, 6.9, 7, 8, 13.9, 14]
    requests = [asked.look(NOW_S + day * DAY_S, Observation()) for day in days]
    assert [r is not None for r in requests] == [False, False, True, False, False, True]
    assert requests[2] is not None
    assert requests[2].reason == "schedule"


def test_a_request_that_was_not_sent_is_kept_and_no_other_is_made() -> None:
    """Until Kafka has it, the state holds it under its id."""
    first = decide(psi(a=0.3), TriggerState(), POLICY, NOW_S, lambda: "one")
    later = decide(psi(a=0.3, b=0.9), first, POLICY, NOW_S + DAY_S, lambda: "two")
    assert first.pending is not None
    assert later.pending == first.pending


def test_the_policy_comes_from_the_settings() -> None:
    """The mark is the setting; half of it arms again."""
    policy = Policy.of(Settings(psi_retrain=0.3, retrain_cooldown_s=5, retrain_again_s=7))
    assert (policy.psi, policy.psi_rearm) == (0.3, 0.15)
    assert (policy.cooldown_s, policy.again_s) == (5, 7)


def accuracy(value: float | None) -> Observation:
    return Observation({}, 0, NOW_S, accuracy=value)


def test_an_accuracy_below_the_mark_asks_once() -> None:
    """It may hover around the mark; only after it rose well above it, it may ask again."""
    asked = Asked()
    values = [None, 0.80, 0.79, 0.7, 0.81, 0.79, 0.83, 0.79]
    requests = [asked.look(NOW_S + i * 4_000, accuracy(v)) for i, v in enumerate(values)]
    assert [i for i, request in enumerate(requests) if request is not None] == [2, 7]
    first = requests[2]
    assert first is not None
    assert (first.reason, first.evidence["causes"]) == ("accuracy", ["accuracy"])
    assert (first.evidence["accuracy"], first.evidence["accuracy_threshold"]) == (0.79, 0.8)


@pytest.mark.parametrize(("high", "asks"), [(0.81, False), (0.79, True), (float("nan"), False)])
def test_an_accuracy_asks_when_it_is_surely_below_the_mark(high: float, asks: bool) -> None:
    """Not where the truth may lie above, nor where nobody can tell."""
    seen = Observation({}, 0, NOW_S, accuracy=0.78, accuracy_high=high)
    request = Asked().look(NOW_S, seen)
    assert (request is not None) is asks
    if request is not None:
        assert request.evidence["accuracy_high"] == high


def test_an_accuracy_that_is_unknown_for_a_while_has_not_recovered() -> None:
    """A restart of the monitor knows no choices yet: the cause stays answered."""
    asked = Asked()
    looks = [accuracy(0.7), accuracy(None), accuracy(0.7)]
    requests = [asked.look(NOW_S + i * 4_000, seen) for i, seen in enumerate(looks)]
    assert [request is not None for request in requests] == [True, False, False]


@pytest.mark.parametrize(
    "cause",
    [{"psi": {"a": 0.5}}, {"psi": {"target": 0.5}}, {"accuracy": 0.7}],
    ids=["column", "target", "accuracy"],
)
def test_a_cause_that_a_new_pair_did_not_mend_asks_once_more(cause: dict[str, Any]) -> None:
    """Of each version once, when what was asked for has ended and the cool-down is over."""
    asked = Asked()
    first, second = (Observation(**cause, trained_at_s=NOW_S, version=v) for v in (1, 2))
    assert asked.asked(NOW_S, first)
    # A pair of before came into service; the one that was asked for is still being trained.
    assert not asked.asked(NOW_S + 3_600, second)
    asked.ended.add("audit-0")
    assert asked.asked(NOW_S + 3_601, second)
    asked.ended.add("audit-1")
    assert not any(asked.asked(NOW_S + 3_601 + hour * 3_600, second) for hour in range(24))


def test_a_new_pair_that_drifts_at_once_waits_for_the_cool_down() -> None:
    """It was trained and promoted within minutes."""
    asked = Asked()
    assert asked.asked(NOW_S, psi(a=0.5))
    asked.ended.add("audit-0")
    assert not asked.asked(NOW_S + 3_599, psi(2, a=0.5))
    assert asked.asked(NOW_S + 3_600, psi(2, a=0.5))


@pytest.mark.parametrize("seen", [{"psi": {"a": 0.5}}, {"accuracy": 0.7}], ids=["psi", "accuracy"])
def test_a_cause_whose_training_came_to_nothing_asks_once_a_day(seen: dict[str, Any]) -> None:
    """Rejected, failed or rolled back: the version stays, the cause stands, the data have grown."""
    asked = Asked()
    stands = Observation(**seen, trained_at_s=NOW_S, version=1)
    found = []
    for hour in range(50):
        if asked.asked(NOW_S + hour * 3_600, stands):
            found.append(hour)
            asked.ended.add(f"audit-{len(found) - 1}")
    assert found == [0, 24, 48]


def test_a_cause_waits_for_the_trial_of_its_pair() -> None:
    """A canary takes a week; when it was rolled back, the cause may ask again."""
    asked = Asked()
    assert asked.asked(NOW_S, psi(a=0.5))
    assert not any(asked.asked(NOW_S + day * DAY_S, psi(a=0.5)) for day in range(1, 7))
    asked.ended.add("audit-0")
    assert asked.asked(NOW_S + 6.5 * DAY_S, psi(a=0.5))


def test_a_column_that_hovers_after_a_failure_asks_for_nothing() -> None:
    """It is armed again after a day, and asks when it passes the mark."""
    asked = Asked()
    assert asked.asked(NOW_S, psi(a=0.5))
    asked.ended.add("audit-0")
    assert not asked.asked(NOW_S + DAY_S, psi(a=0.19))
    assert asked.asked(NOW_S + DAY_S + 5, psi(a=0.21))


def test_a_psi_that_chance_may_reach_asks_for_nothing() -> None:
    """Above the mark, but not above what sampling alone gives."""
    unsure = Observation({"a": 0.3}, 0, NOW_S, chance={"a": 0.35})
    assert Asked().look(NOW_S, unsure) is None
    sure = Observation({"a": 0.3}, 0, NOW_S, chance={"a": 0.05})
    request = Asked().look(NOW_S, sure)
    assert request is not None
    assert request.evidence["psi_chance"] == {"a": 0.05}


def test_a_request_carries_its_window_and_the_schema_of_the_event() -> None:
    """Since when it was looked at, and until when; `schema` tells readers what to expect."""
    seen = Observation({"a": 0.3}, 0, NOW_S, window_s=(NOW_S - 60, NOW_S))
    request = Asked().look(NOW_S, seen)
    assert request is not None
    assert request.window is not None
    assert request.window.since.timestamp() == NOW_S - 60
    assert request.window.until.timestamp() == NOW_S
    assert request.schema == 2
