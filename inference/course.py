"""What happened on the way to an answer: time per stage, who answered, what stood in."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from contracts.placestream.v1 import recommendation_pb2 as pb
from inference.deadline import Budget, Clock, PartFailed
from inference.query import Query

#: Only where the caller named events that the answer is to reflect.
OWN_WRITES = "own_writes"
#: Only where the caller asked why.
REASONS = "reasons"
STAGES = ("near", "candidates", "features", "ranking", "post_processing")
#: Those in which models are asked.
MODEL_STAGES = ("candidates", "ranking")


class Course:
    """Filled in while a request goes through the stages.

    Attributes:
        stage_s: seconds spent in each stage so far.
        model_versions: version that answered, by model.
        causes: why parts were stood in for, each once.
        read_your_writes: whether the user's features hold what the caller has just sent.
        reasons_by: what the reasons were judged by.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.stage_s = dict.fromkeys(STAGES, 0.0)
        self.model_versions: dict[str, int] = {}
        self.causes: list[str] = []
        self.read_your_writes: pb.ReadYourWrites.ValueType = pb.READ_YOUR_WRITES_UNSPECIFIED
        self.reasons_by: pb.ReasonsBy.ValueType = pb.REASONS_BY_UNSPECIFIED

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside towards a stage; a stage may be entered again."""
        started_s = self._clock()
        try:
            yield
        finally:
            spent_s = self._clock() - started_s
            self.stage_s[name] = self.stage_s.get(name, 0.0) + spent_s

    def stood_in(self, failure: PartFailed) -> None:
        """Note that a part was stood in for."""
        if str(failure) not in self.causes:
            self.causes.append(str(failure))

    def held_back(self, keep: int) -> None:
        """Note that fewer candidates were looked at than usual."""
        self.causes.append(f"busy: only {keep} candidates")

    @property
    def level(self) -> pb.Degradation.ValueType:
        """The step of the ladder on which the order of the places stands."""
        if "ranker" in self.model_versions:
            return self.best_level
        if "candidates" in self.model_versions:
            return pb.DEGRADATION_CANDIDATE_ORDER
        return pb.DEGRADATION_POPULARITY

    @property
    def best_level(self) -> pb.Degradation.ValueType:
        """The highest step that is still true: an empty answer has no order to speak of."""
        return pb.DEGRADATION_PARTIAL if self.causes else pb.DEGRADATION_NONE


@dataclass(frozen=True)
class Ask:
    """One request on its way through the stages.

    Attributes:
        query: what is wanted.
        now_s: the moment it is answered for, Unix seconds.
        budget: the time it has.
        course: what happens to it.
        seed: of all that is random in its answer.
        share: of the candidates that may be looked at, up to 1; less while the service is busy.
        aside: around a wait that takes nothing from other requests, see `inference.admission`.
    """

    query: Query
    now_s: float
    budget: Budget
    course: Course
    seed: int
    share: float = 1.0
    aside: Callable[[], AbstractContextManager[object]] = nullcontext
