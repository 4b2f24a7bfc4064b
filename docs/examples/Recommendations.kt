// A Kotlin backend that asks placestream: one channel, a deadline for each call, retries, feedback.
// Stubs: protoc with grpc-java and grpc-kotlin, from contracts/placestream/v1/recommendation.proto.
package example

import io.grpc.ManagedChannel
import io.grpc.ManagedChannelBuilder
import io.grpc.Metadata
import io.grpc.Status
import io.grpc.StatusException
import io.grpc.protobuf.StatusProto
import io.grpc.stub.MetadataUtils
import com.google.rpc.BadRequest
import java.util.UUID
import java.util.concurrent.TimeUnit
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import placestream.v1.Recommendation.BatchRecommendRequest
import placestream.v1.Recommendation.BatchRecommendResult
import placestream.v1.Recommendation.EventPosition
import placestream.v1.Recommendation.EventType
import placestream.v1.Recommendation.FeedbackRequest
import placestream.v1.Recommendation.Filters
import placestream.v1.Recommendation.Interaction
import placestream.v1.Recommendation.LatLng
import placestream.v1.Recommendation.RecommendRequest
import placestream.v1.Recommendation.RecommendResponse
import placestream.v1.RecommendationServiceGrpcKt.RecommendationServiceCoroutineStub

class Recommendations(host: String, port: Int, token: String? = null) : AutoCloseable {
    // Every method may be repeated: three only read, and an event counts once by its event_id.
    private val retries = mapOf(
        "methodConfig" to listOf(
            mapOf(
                "name" to listOf(mapOf("service" to "placestream.v1.RecommendationService")),
                "retryPolicy" to mapOf(
                    "maxAttempts" to 3.0,
                    "initialBackoff" to "0.05s",
                    "maxBackoff" to "0.5s",
                    "backoffMultiplier" to 2.0,
                    "retryableStatusCodes" to listOf("UNAVAILABLE"),
                ),
            ),
        ),
    )

    // One for the life of the process. With TLS: useTransportSecurity() in place of usePlaintext().
    private val channel: ManagedChannel = ManagedChannelBuilder.forAddress(host, port)
        .usePlaintext()
        .defaultServiceConfig(retries)
        .enableRetry()
        .build()

    private val stub = RecommendationServiceCoroutineStub(channel).let { plain ->
        if (token == null) return@let plain
        val headers = Metadata()
        val authorization = Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER)
        headers.put(authorization, "Bearer $token")
        plain.withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))
    }

    private fun within(millis: Long) = stub.withDeadlineAfter(millis, TimeUnit.MILLISECONDS)

    /** Open places near by; with what was just told of the user in them. */
    suspend fun nearby(
        user: String, lat: Double, lng: Double, justTold: List<EventPosition> = emptyList(),
    ): RecommendResponse = within(200).recommend(question(user, lat, lng, justTold))

    /** All pages, each asked for when it is wanted. */
    fun pages(user: String, lat: Double, lng: Double): Flow<RecommendResponse> = flow {
        var request = question(user, lat, lng, emptyList())
        while (true) {
            val page = within(200).recommend(request)
            emit(page)
            if (page.nextPageToken.isEmpty()) return@flow
            request = request.toBuilder().setPageToken(page.nextPageToken).build()
        }
    }

    /** The shelves of a home page in one call; null where the service refused one. */
    suspend fun shelves(requests: List<RecommendRequest>): List<RecommendResponse?> {
        val batch = BatchRecommendRequest.newBuilder().addAllRequests(requests).build()
        return within(400).batchRecommend(batch).resultsList.map {
            if (it.resultCase == BatchRecommendResult.ResultCase.ANSWER) it.answer else null
        }
    }

    /** Kafka has the visit when this returns; hand the position to the next `nearby`. */
    suspend fun visited(user: String, place: String, requestId: String): EventPosition {
        val visit = Interaction.newBuilder()
            .setUserId(user).setPlaceId(place)
            .setEventType(EventType.EVENT_TYPE_VISIT)
            .setEventId(UUID.randomUUID().toString()) // the same in every retry
            .setRequestId(requestId)
            .build()
        val told = FeedbackRequest.newBuilder().addEvents(visit).build()
        return within(2_000).feedback(told).getReceipts(0).position
    }

    private fun question(
        user: String, lat: Double, lng: Double, justTold: List<EventPosition>,
    ): RecommendRequest = RecommendRequest.newBuilder()
        .setUserId(user)
        .setLocation(LatLng.newBuilder().setLat(lat).setLng(lng))
        .setLimit(10)
        .setFilters(Filters.newBuilder().setOpenNow(true).setMaxPriceLevel(3))
        .setExplain(true)
        .addAllWritten(justTold)
        .build()

    override fun close() {
        channel.shutdown().awaitTermination(5, TimeUnit.SECONDS)
    }
}

/** What is wrong with a request, field by field; empty for any other error. */
fun faults(error: StatusException): List<String> {
    if (error.status.code != Status.Code.INVALID_ARGUMENT) return emptyList()
    val status = StatusProto.fromThrowable(error) ?: return emptyList()
    return status.detailsList
        .filter { it.`is`(BadRequest::class.java) }
        .flatMap { it.unpack(BadRequest::class.java).fieldViolationsList }
        .map { "${it.field}: ${it.description}" }
}
