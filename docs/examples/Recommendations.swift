// A Swift backend that asks placestream, with grpc-swift 2: one connection, a deadline for each call,
// retries, feedback. Stubs: protoc-gen-swift and protoc-gen-grpc-swift-2 (or the build plugin of
// grpc-swift-protobuf), from contracts/placestream/v1/recommendation.proto.
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2
import GRPCProtobuf

struct Recommendations<Transport: ClientTransport> {
  private let service: Placestream_V1_RecommendationService.Client<Transport>
  private var metadata: Metadata = [:]

  init(_ client: GRPCClient<Transport>, token: String? = nil) {
    service = Placestream_V1_RecommendationService.Client(wrapping: client)
    if let token { metadata.addString("Bearer \(token)", forKey: "authorization") }
  }

  /// Every method may be repeated: three only read, and an event counts once by its event id.
  private func within(_ timeout: Duration) -> CallOptions {
    var options = CallOptions.defaults
    options.timeout = timeout
    options.executionPolicy = .retry(
      RetryPolicy(
        maxAttempts: 3,
        initialBackoff: .milliseconds(50),
        maxBackoff: .milliseconds(500),
        backoffMultiplier: 2,
        retryableStatusCodes: [.unavailable]
      )
    )
    return options
  }

  /// Open places near by; with what was just told of the user in them.
  func nearby(
    user: String, lat: Double, lng: Double, justTold: [Placestream_V1_EventPosition] = []
  ) async throws -> Placestream_V1_RecommendResponse {
    let request = Placestream_V1_RecommendRequest.with {
      $0.userID = user
      $0.location = .with { $0.lat = lat; $0.lng = lng }
      $0.limit = 10
      $0.filters = .with { $0.openNow = true; $0.maxPriceLevel = 3 }
      $0.explain = true
      $0.written = justTold
    }
    return try await service.recommend(
      request, metadata: metadata, options: within(.milliseconds(200)))
  }

  /// The page after an answer; nil where there is none.
  func page(
    after answer: Placestream_V1_RecommendResponse, of request: Placestream_V1_RecommendRequest
  ) async throws -> Placestream_V1_RecommendResponse? {
    if answer.nextPageToken.isEmpty { return nil }
    var next = request
    next.pageToken = answer.nextPageToken
    return try await service.recommend(next, metadata: metadata, options: within(.milliseconds(200)))
  }

  /// Kafka has the visit when this returns; hand the position to the next `nearby`.
  func visited(
    user: String, place: String, requestID: String
  ) async throws -> Placestream_V1_EventPosition {
    let visit = Placestream_V1_Interaction.with {
      $0.userID = user
      $0.placeID = place
      $0.eventType = .visit
      $0.eventID = UUID().uuidString  // the same in every retry
      $0.requestID = requestID
    }
    let told = try await service.feedback(
      .with { $0.events = [visit] }, metadata: metadata, options: within(.seconds(2)))
    return told.receipts[0].position
  }
}

@main
struct Example {
  static func main() async throws {
    // One client for the life of the process; with TLS: transportSecurity: .tls
    try await withGRPCClient(
      transport: .http2NIOPosix(
        target: .dns(host: "localhost", port: 8600), transportSecurity: .plaintext)
    ) { client in
      let recommendations = Recommendations(client)
      do {
        let answer = try await recommendations.nearby(user: "42", lat: 40.73, lng: -73.99)
        for place in answer.places {
          print(place.name, place.distanceM, place.reasons.map(\.text))
        }
      } catch let error as RPCError {
        print(error.code, error.message)
      }
    }
  }
}
