"""Ask a role in the same container whether it is well; exit code 0 says yes.

    python healthcheck.py http http://127.0.0.1:9101/metrics
    python healthcheck.py grpc 127.0.0.1:8600

`http` wants status 200. `grpc` wants SERVING from the standard health service (grpc.health.v1),
which `serve` gives only once its stores, its models and its warm-up have answered.
"""

import sys
import urllib.request

TIMEOUT_S = 3.0


def http_ok(url: str) -> bool:
    """Whether a GET of `url` is answered with status 200.

    Raises:
        OSError: nobody answers, or with an error status.
    """
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
        return bool(answer.status == 200)


def grpc_serving(address: str) -> bool:
    """Whether the server at `address` (host:port) says SERVING for itself as a whole.

    Raises:
        grpc.RpcError: nobody answers, or the server has no health service.
    """
    import grpc  # here, so that the other probe does not pay for it
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(address) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S
        )
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


PROBES = {"http": http_ok, "grpc": grpc_serving}


def main(arguments: list[str]) -> int:
    """Exit code for `kind target`: 0 well, 1 not, 2 asked wrongly."""
    if len(arguments) != 2 or arguments[0] not in PROBES:
        sys.stderr.write(f"usage: healthcheck.py {{{'|'.join(PROBES)}}} target\n")
        return 2
    kind, target = arguments
    try:
        well = PROBES[kind](target)
    except Exception as error:  # whatever it is, the role cannot be called well
        sys.stderr.write(f"{kind} {target}: {error}\n")
        return 1
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
