"""Ask a role in the same container whether it is well; exit code 0 says yes.

    python healthcheck.py http http://127.0.0.1:9101/metrics
    python healthcheck.py grpc 127.0.0.1:8600

`http` wants status 200. `grpc` wants SERVING from the standard health service (grpc.health.v1),
which `serve` gives only once its stores, its models and its warm-up have answered. Where `serve`
speaks TLS, the probe reads the settings `PLACESTREAM_CLIENT_*` that `placestream recommend` reads.
"""

import os
import sys
import urllib.request
from pathlib import Path
from typing import Any

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
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with _channel(address) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S
        )
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _channel(address: str) -> Any:
    """A channel in plain text, or with TLS where the environment names a CA."""
    import grpc  # here, so that the other probe does not pay for it

    ca, key, certificate = map(_pem, ("CA_FILE", "TLS_KEY", "TLS_CERTIFICATE"))
    if ca is None:
        return grpc.insecure_channel(address)
    name = os.environ.get("PLACESTREAM_CLIENT_TLS_NAME", "")
    options = [("grpc.ssl_target_name_override", name)] if name else []
    return grpc.secure_channel(
        address, grpc.ssl_channel_credentials(ca, key, certificate), options=options
    )


def _pem(setting: str) -> bytes | None:
    path = os.environ.get(f"PLACESTREAM_CLIENT_{setting}", "")
    return Path(path).read_bytes() if path else None


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
