"""The REST API and the page of metrics, on one HTTP port.

Source: http_server.cc, http_rest_api_handler.cc, http_rest_api_util.cc.
"""

import json
import re
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import unquote

import grpc
import structlog
from google.protobuf import json_format
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
    regression_pb2,
)

from inference.model_server.errors import ServingError, from_exception, invalid_argument
from inference.model_server.metrics import PATH as METRICS_PATH
from inference.model_server.metrics import Metrics
from inference.model_server.requests import SIGNATURE_DEF, Requests, counted
from inference.model_server.rest_examples import (
    classification_answer,
    fill_examples,
    regression_answer,
)
from inference.model_server.rest_json import (
    fill_predict,
    fill_signature,
    predict_answer,
    reading,
)

log = structlog.get_logger(__name__)

_VERSION: Final = r"(?:(?:/versions/(?P<version>\d+))|(?:/labels/(?P<label>[^/:]+)))?"
_INFER: Final = re.compile(
    rf"/v1/models/(?P<model>[^/:]+){_VERSION}:(?P<method>classify|regress|predict)", re.IGNORECASE
)
_ASK: Final = re.compile(
    rf"/v1/models(?:/(?P<model>[^/:]+))?{_VERSION}(?:/(?P<part>metadata))?", re.IGNORECASE
)
_API: Final = re.compile(r"/v1/.*", re.IGNORECASE)
# What a proxy puts before the path.
_HOST: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#]*", re.IGNORECASE)
_QUERY: Final = re.compile(r"[?#].*", re.DOTALL)

_HTTP_STATUS: Final = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
_REQUEST: Final[dict[str, Any]] = {
    "predict": predict_pb2.PredictRequest,
    "classify": classification_pb2.ClassificationRequest,
    "regress": regression_pb2.RegressionRequest,
}
_MAX_VERSION: Final = 2**63 - 1
# An idle connection is closed after this; its thread with it.
_IDLE_S: Final = 120


class RestApi:
    """Turns an HTTP request into a status and a body."""

    def __init__(self, requests: Requests, metrics: Metrics) -> None:
        self._requests = requests
        self._metrics = metrics
        self._infer: dict[str, Callable[[Any, bytes], dict[str, Any]]] = {
            "predict": self._predict,
            "classify": self._classify,
            "regress": self._regress,
        }

    def answer(self, verb: str, path: str, body: bytes) -> tuple[int, str, str]:
        """Answer a request with HTTP status, content type and body.

        Args:
            verb: GET, POST...
            path: with its query, which belongs to it for the real server: no path has one.
            body: of a POST.
        """
        if _QUERY.sub("", path) == METRICS_PATH:
            if path != METRICS_PATH:
                return 400, "text/plain", f"Unexpected path: {path}. Should be {METRICS_PATH}"
            return 200, "text/plain", self._metrics.page()
        if not _API.fullmatch(path):
            return 404, "text/plain", "Not Found"
        pattern = {"POST": _INFER, "GET": _ASK}.get(verb)
        match = pattern.fullmatch(path) if pattern else None
        parts = {k: v for k, v in match.groupdict().items() if v} if match else {}
        model = unquote(parts.get("model", ""))
        try:
            with counted(self._metrics, parts.get("method", ""), "REST", lambda: model):
                # Any case matches the pattern, but the real server goes on with lower case only.
                if match is None or parts.get("method", "predict") not in self._infer:
                    raise invalid_argument(f"Malformed request: {verb} {path}")
                process = self._infer_json if verb == "POST" else self._ask
                return 200, "application/json", process(model, parts, body)
        except Exception as error:
            if not isinstance(error, ServingError):
                log.exception("rest_request_failed", path=path)
            failure = from_exception(error)
            status = _HTTP_STATUS.get(failure.code, 500)
            return status, "application/json", json.dumps({"error": failure.message})

    def _infer_json(self, model: str, parts: dict[str, str], body: bytes) -> str:
        method = parts["method"]
        request = _REQUEST[method]()
        _fill_spec(request.model_spec, model, parts)
        return json.dumps(self._infer[method](request, body))

    def _ask(self, model: str, parts: dict[str, str], _body: bytes) -> str:
        if not model:
            raise invalid_argument("Missing model name in request.")
        is_metadata = parts.get("part") == "metadata"
        return self._metadata(model, parts) if is_metadata else self._status(model, parts)

    def _predict(self, request: Any, body: bytes) -> dict[str, Any]:
        with reading(body) as document:
            form = fill_predict(document, request, self._requests.signature_inputs)
        return predict_answer(self._requests.predict(request), form)

    def _classify(self, request: Any, body: bytes) -> dict[str, Any]:
        _read_examples(body, request)
        return classification_answer(self._requests.classify(request))

    def _regress(self, request: Any, body: bytes) -> dict[str, Any]:
        _read_examples(body, request)
        return regression_answer(self._requests.regress(request))

    def _status(self, model: str, parts: dict[str, str]) -> str:
        request = get_model_status_pb2.GetModelStatusRequest()
        _fill_spec(request.model_spec, model, parts)
        response = self._requests.status(request)
        return str(json_format.MessageToJson(response, always_print_fields_with_no_presence=True))

    def _metadata(self, model: str, parts: dict[str, str]) -> str:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=[SIGNATURE_DEF])
        _fill_spec(request.model_spec, model, parts)
        response = self._requests.metadata(request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata[SIGNATURE_DEF].Unpack(signatures)

        def as_dict(message: Any) -> Any:
            return json_format.MessageToDict(
                message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )

        return json.dumps(
            {
                "model_spec": as_dict(response.model_spec),
                "metadata": {SIGNATURE_DEF: as_dict(signatures)},
            }
        )


def _read_examples(body: bytes, request: Any) -> None:
    with reading(body) as document:
        fill_signature(document, request.model_spec)
        fill_examples(document, request.input)


def _fill_spec(spec: Any, model: str, parts: dict[str, str]) -> None:
    spec.name = model
    if "version" in parts:
        spec.version.value = _version(parts["version"])
    if "label" in parts:
        spec.version_label = unquote(parts["label"])


def _version(digits: str) -> int:
    # Thousands of digits are no number for Python, and too large a one anyway.
    significant = digits.lstrip("0")[: len(str(_MAX_VERSION)) + 1]
    if (version := int(significant or "0")) > _MAX_VERSION:
        raise invalid_argument(f"Failed to convert version: {digits} to numeric.")
    return version


class _Server(ThreadingHTTPServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class RestServer:
    """Serves a `RestApi` until closed.

    Args:
        api: what answers.
        host: address to listen on.
        port: port to listen on, 0 for any free one.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, api: RestApi, host: str, port: int) -> None:
        server = _Server6 if ":" in host else _Server
        self._http = server((host, port), _handler_of(api))
        self.port: int = self._http.server_address[1]
        self._thread = threading.Thread(
            target=self._http.serve_forever, name="model-server-rest", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening; a request that is being answered ends by itself."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def _without_host(target: str) -> str:
    host = _HOST.match(target)
    return target[host.end() :] if host else target


def _handler_of(api: RestApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _IDLE_S
        # Head and body go out as two writes; the second must not wait for the first's ACK.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._respond("GET", b"")

        def do_POST(self) -> None:
            self._with_body("POST")

        def do_PUT(self) -> None:
            self._with_body("PUT")

        def do_DELETE(self) -> None:
            self._with_body("DELETE")

        def do_PATCH(self) -> None:
            self._with_body("PATCH")

        def _with_body(self, verb: str) -> None:
            length = self.headers.get("Content-Length", "0")
            if not length.isdigit() or "Transfer-Encoding" in self.headers:
                self.close_connection = True
                self.send_error(411)
                return
            self._respond(verb, self.rfile.read(int(length)))

        def _respond(self, verb: str, body: bytes) -> None:
            status, content_type, text = api.answer(verb, _without_host(self.path), body)
            payload = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: Any) -> None:
            log.debug("rest_request", line=format % args)

    return Handler
