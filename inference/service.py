"""The RPCs: check, answer within the deadline, tell errors as the protocol does, count."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError, Message

from contracts.experiment import CANARY
from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from inference import errors
from inference.admission import Admission, Admitted, Overloaded
from inference.answer import Answer, following, response
from inference.challenger import Challenger
from inference.checks import NOT_A_MESSAGE, BadRequest, Violation
from inference.deadline import Budget, Clock
from inference.feedback import parse_feedback
from inference.feedback_log import FeedbackLog
from inference.impressions import ImpressionLog
from inference.lookup import FeatureLookup
from inference.metrics import Metrics
from inference.paging import PageTokens
from inference.pipeline import Pipeline
from inference.query import Query
from inference.validation import check_batch, parse_features, parse_recommend

M = TypeVar("M", bound=Message)
Context = grpc.aio.ServicerContext[Any, Any]

log = structlog.get_logger(__name__)
#: Kafka's acknowledgement takes longer than an answer may, when a broker has just changed.
FEEDBACK_DEADLINE_S = 2.0
#: Features are looked up one call at a time: 200 places take some 20 ms of the processor, in which
#: nobody else is answered. Whoever comes meanwhile is told to come back after so long.
LOOK_UP_S = 0.05
SERVICE = pb.DESCRIPTOR.services_by_name["RecommendationService"].full_name


class RecommendationService:
    """Answers `placestream.v1.RecommendationService`."""

    def __init__(
        self,
        settings: Settings,
        pipeline: Pipeline,
        lookup: FeatureLookup,
        impressions: ImpressionLog,
        feedback: FeedbackLog,
        metrics: Metrics,
        *,
        clock: Clock,
        monotonic: Clock,
        new_id: Callable[[], str],
        challenger: Challenger | None = None,
    ) -> None:
        """Join the parts; without a challenger one pair of models answers everybody."""
        self._settings = settings
        self._clock = clock
        self._pages = PageTokens(settings.topic_prefix, clock)
        self._pipeline = pipeline
        self._lookup = lookup
        self._impressions = impressions
        self._feedback = feedback
        self._metrics = metrics
        self._monotonic = monotonic
        self._new_id = new_id
        #: The pair on trial, if there can be one.
        self.challenger = challenger
        self._admission = Admission(
            settings.serve_objective_ms / 1_000, settings.serve_patience_ms / 1_000, monotonic
        )
        self._versions: dict[str, int] = {}
        self._looking_up = False
        #: Until the catalogue is loaded, "no places near" would not be true.
        self.catalogue_loaded = False

    async def recommend(
        self, request: pb.RecommendRequest | None, context: Context
    ) -> pb.RecommendResponse:
        """What should this user see here, now?"""

        async def answer(budget: Budget) -> pb.RecommendResponse:
            return await self._recommended(_message(request), budget)

        return await self._answered("Recommend", context, answer)

    async def _recommended(
        self, request: pb.RecommendRequest, budget: Budget
    ) -> pb.RecommendResponse:
        query = parse_recommend(
            request,
            max_radius_m=self._settings.max_radius_m,
            interactions=self._settings.topics.interactions,
            new_id=self._new_id,
            pages=self._pages,
            explore_slots=self._settings.explore_slots,
        )
        if not self.catalogue_loaded:
            raise errors.NotNow(errors.CATALOGUE_LOADING, "the catalogue is still loading")
        with self._admission.enter(budget) as admitted:
            answered = await self._answer(query, budget, admitted)
        # After this answer is on its way.
        asyncio.get_running_loop().call_soon(self._note, query, answered, admitted.share < 1)
        next_page = self._pages.write(following(query, answered), request) if answered.more else ""
        return response(answered, query.request_id, next_page)

    async def _answer(self, query: Query, budget: Budget, admitted: Admitted) -> Answer:
        """By the pair that the user has; a rollout must hear of an error of the new one, too."""
        pipeline, variant = self._pipeline, self._settings.model_label
        if self.challenger is not None and self.challenger.answers(query.user_id):
            pipeline, variant = self.challenger.pipeline, CANARY
        try:
            return await pipeline.recommend(query, budget, admitted.share, aside=admitted.aside)
        except Exception:
            self._impressions.failed(query, variant, self._clock())
            raise

    async def batch_recommend(
        self, request: pb.BatchRecommendRequest | None, context: Context
    ) -> pb.BatchRecommendResponse:
        """Several answers at once, within one deadline."""

        async def answer(budget: Budget) -> pb.BatchRecommendResponse:
            batch = _message(request)
            check_batch(batch)
            results = await asyncio.gather(*(self._result(one, budget) for one in batch.requests))
            return pb.BatchRecommendResponse(results=results)

        return await self._answered("BatchRecommend", context, answer)

    async def _result(
        self, request: pb.RecommendRequest, budget: Budget
    ) -> pb.BatchRecommendResult:
        try:
            result = pb.BatchRecommendResult(answer=await self._recommended(request, budget))
            code = "OK"
        except Exception as error:
            status = self._status_of(error, "BatchRecommend")
            result = pb.BatchRecommendResult(error=errors.as_message(status))
            code = status.code.name
        self._metrics.batch_items.labels(code).inc()
        return result

    async def feedback(
        self, request: pb.FeedbackRequest | None, context: Context
    ) -> pb.FeedbackResponse:
        """Bring what users did to Kafka."""

        async def answer(budget: Budget) -> pb.FeedbackResponse:
            told = parse_feedback(_message(request), received_s=self._clock(), new_id=self._new_id)
            outcome = self._metrics.feedback
            try:
                positions = await self._feedback.send(told, budget.left_s())
            except BaseException:
                outcome.labels("unsure").inc(len(told))
                raise
            outcome.labels("acknowledged").inc(len(told))
            receipts = (
                pb.FeedbackReceipt(event_id=event.event_id, position=position)
                for event, position in zip(told, positions, strict=True)
            )
            return pb.FeedbackResponse(receipts=receipts)

        return await self._answered("Feedback", context, answer, own_s=FEEDBACK_DEADLINE_S)

    async def get_features(
        self, request: pb.GetFeaturesRequest | None, context: Context
    ) -> pb.GetFeaturesResponse:
        """The features of a user and of places as a request would see them now."""

        async def answer(budget: Budget) -> pb.GetFeaturesResponse:
            query = parse_features(_message(request))
            if self._looking_up:
                raise Overloaded(LOOK_UP_S)
            self._looking_up = True
            try:
                return await self._lookup.answer(query, budget)
            finally:
                self._looking_up = False

        return await self._answered("GetFeatures", context, answer)

    async def _answered(
        self,
        method: str,
        context: Context,
        answer: Callable[[Budget], Awaitable[M]],
        *,
        own_s: float | None = None,
    ) -> M:
        with self._metrics.request(method, self._monotonic) as outcome:
            try:
                own_s = own_s or self._settings.serve_deadline_ms / 1_000
                budget = Budget.of(context.time_remaining(), own_s, self._monotonic)
                answered = await answer(budget)
                outcome.code = "OK"
                return answered
            except Exception as error:
                status = self._status_of(error, method)
                outcome.code = status.code.name
        await context.abort_with_status(status)
        raise AssertionError("abort_with_status returned")

    def _status_of(self, error: Exception, method: str) -> grpc.Status:
        if isinstance(error, BadRequest):
            return errors.bad_request(error)
        if isinstance(error, errors.NotNow):
            return errors.not_now(error)
        if isinstance(error, Overloaded):
            busy = grpc.StatusCode.RESOURCE_EXHAUSTED
            return errors.refused(busy, errors.OVERLOADED, str(error), error.retry_s)
        logged_as = self._new_id()
        log.error("request_failed", method=method, logged_as=logged_as, exc_info=error)
        return errors.internal(logged_as)

    def _note(self, query: Query, answer: Answer, busy: bool) -> None:
        """Count and log an answer; a pair on trial may be asked for it too."""
        metrics = self._metrics
        for stage, seconds in answer.stage_s.items():
            metrics.stage_s.labels(stage).observe(seconds)
        if answer.level_name != "none":
            metrics.degraded.labels(answer.level_name).inc()
        if answer.read_your_writes != pb.READ_YOUR_WRITES_UNSPECIFIED:
            seen = answer.read_your_writes == pb.READ_YOUR_WRITES_SEEN
            metrics.own_writes.labels("seen" if seen else "not_seen").inc()
        if answer.reasons_by != pb.REASONS_BY_UNSPECIFIED:
            by_model = answer.reasons_by == pb.REASONS_BY_MODEL
            metrics.reasons.labels("model" if by_model else "features").inc()
        if answer.feature_age_s is not None:
            metrics.feature_age_s.observe(answer.feature_age_s)
        if answer.variant == self._settings.model_label and answer.model_versions != self._versions:
            self._note_versions(answer.model_versions)
        self._impressions.record(query, answer)
        if self.challenger is not None and answer.variant == self._settings.model_label:
            self.challenger.beside(query, answer, busy=busy)

    def _note_versions(self, versions: dict[str, int]) -> None:
        for model, version in versions.items():
            if self._versions.get(model) != version:
                before = self._versions.get(model)
                log.info("model_version_in_service", model=model, version=version, before=before)
                self._versions[model] = version
                self._metrics.model_version.labels(model).set(version)


def _message(request: M | None) -> M:
    if request is None:
        raise BadRequest([Violation("", NOT_A_MESSAGE, "the bytes are not this method's request")])
    return request


def add_to_server(service: RecommendationService, server: grpc.aio.Server) -> None:
    """Register the RPCs.

    By hand and not by the generated function, whose handlers answer bytes that are no message
    with INTERNAL, as if the fault were ours.
    """
    methods: dict[str, tuple[Callable[..., Any], type[Message]]] = {
        "Recommend": (service.recommend, pb.RecommendRequest),
        "BatchRecommend": (service.batch_recommend, pb.BatchRecommendRequest),
        "Feedback": (service.feedback, pb.FeedbackRequest),
        "GetFeatures": (service.get_features, pb.GetFeaturesRequest),
    }
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        name: grpc.unary_unary_rpc_method_handler(
            _behaviour(method),
            request_deserializer=tolerant(request),
            response_serializer=_serialized,
        )
        for name, (method, request) in methods.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


def _behaviour(method: Callable[..., Any]) -> Any:
    """A coroutine function is what grpc.aio wants; its type stubs only know the threaded kind."""
    return method


def tolerant(message: type[M]) -> Callable[[bytes], M | None]:
    """Reads a message; None where the bytes are none."""

    def parse(raw: bytes) -> M | None:
        try:
            return message.FromString(raw)
        except DecodeError:
            return None

    return parse


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()
