"""The model server as a process, and in process for tests and the local stack."""

import gc
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import FrameType, TracebackType
from typing import Any, Final

import grpc
import structlog
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from contracts.settings import Settings
from inference.model_server.batching_config import read_batching
from inference.model_server.config import BadConfigFile, read_config
from inference.model_server.core import ServerCore
from inference.model_server.errors import ServingError
from inference.model_server.grpc_service import ModelService, PredictionService
from inference.model_server.health import Health
from inference.model_server.metrics import Metrics
from inference.model_server.requests import Requests
from inference.model_server.rest import RestApi, RestServer

log = structlog.get_logger(__name__)

_GRPC_OPTIONS: Final = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A second server on the port must fail, not share it.
    ("grpc.so_reuseport", 0),
]
# Seconds for requests in flight when the server is told to end.
DRAIN_S: Final = 10.0
# A version that loads keeps Python's threads busy for half a second; they give way to calls within
# this time, not within Python's 5 ms.
GIVE_WAY_S: Final = 0.0005
# Seconds between "send me no more calls" and refusing them: clients of several servers turn away.
NOTICE_S: Final = 0.5


def default_threads() -> int:
    """Threads for gRPC calls: twice the cores, and some to spare for calls that wait."""
    return 2 * (os.cpu_count() or 1) + 2


class ModelServer:
    """The embedded model server.

    Args:
        settings: addresses (`model_server` may end in `:0` for any free port), configuration file,
            polling, threads and the form of answers.
        rest_port: instead of the setting's; 0 for any free one.
        grpc_threads: calls that are worked on at once; the others queue.
        allow_version_labels_for_unavailable_models: see `ServerCore`.

    Raises:
        FileNotFoundError, BadConfigFile: the batching parameters cannot be read.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        rest_port: int | None = None,
        grpc_threads: int | None = None,
        allow_version_labels_for_unavailable_models: bool = True,
    ) -> None:
        self._settings = settings
        self._rest_port = settings.model_server_rest_port or None
        if rest_port is not None:
            self._rest_port = rest_port
        self.metrics = Metrics()
        self._health = Health()
        batching = settings.model_batching_file
        self._core = ServerCore(
            poll_s=settings.model_poll_s,
            threads=settings.model_threads,
            metrics=self.metrics,
            batching=read_batching(batching) if batching is not None else None,
            on_settled=self._health.serving,
            allow_version_labels_for_unavailable_models=allow_version_labels_for_unavailable_models,
        )
        self._requests = Requests(self._core, self.metrics, settings.model_tensor_content)
        self._grpc: Any = grpc.server(
            ThreadPoolExecutor(grpc_threads or default_threads(), "model-server-grpc"),
            options=_GRPC_OPTIONS,
        )
        self._rest: RestServer | None = None
        self._stopping = threading.Event()
        self._config_waiter: threading.Thread | None = None
        self.grpc_port = 0
        """Port of the gRPC API, once started."""

    @property
    def rest_port(self) -> int:
        """Port of the REST API; 0 if it is off."""
        return self._rest.port if self._rest else 0

    def start(self) -> None:
        """Open the ports and begin to load models.

        Raises:
            BadConfigFile: the configuration file cannot be read.
            ServingError: the configuration is refused.
            RuntimeError: gRPC's port is taken.
            OSError: REST's port is taken.
        """
        if not self._configure():
            self._config_waiter = threading.Thread(
                target=self._wait_for_config, name="model-config", daemon=True
            )
        self._open_ports()
        self._core.start()
        if self._config_waiter is not None:
            self._config_waiter.start()
        log.info("model_server_started", grpc_port=self.grpc_port, rest_port=self.rest_port)

    def give_notice(self) -> None:
        """Say NOT_SERVING, and go on answering for a moment."""
        self._health.ending()
        self._stopping.wait(NOTICE_S)

    def stop(self, grace_s: float = DRAIN_S) -> None:
        """Refuse new calls, let those in flight end, unload everything."""
        self._stopping.set()
        self._health.ending()
        self._core.stop_following()
        self._grpc.stop(grace_s).wait()
        if self._rest is not None:
            self._rest.close()
        if self._config_waiter is not None and self._config_waiter.ident is not None:
            self._config_waiter.join()
        self._core.stop(grace_s)
        log.info("model_server_stopped")

    def __enter__(self) -> "ModelServer":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _open_ports(self) -> None:
        address = self._settings.model_server
        if self._rest_port is not None:
            host = address.rpartition(":")[0].strip("[]")
            self._rest = RestServer(RestApi(self._requests, self.metrics), host, self._rest_port)
        prediction = PredictionService(self._requests, self.metrics)
        models = ModelService(self._core, self._requests, self.metrics)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, self._grpc)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(models, self._grpc)
        self._health.add_to(self._grpc)
        try:
            self.grpc_port = self._grpc.add_insecure_port(address)
        except RuntimeError:
            if self._rest is not None:
                self._rest.close()
            raise
        self._grpc.start()

    def _configure(self) -> bool:
        """Read the configuration file and put it in force; false if there is no such file."""
        path = self._settings.model_config_file
        try:
            config = read_config(path)
        except FileNotFoundError:
            return False
        self._core.configure(config.model_config_list.config)
        return True

    def _wait_for_config(self) -> None:
        """Look for the file until it is there: on a new machine the trainer has yet to write it."""
        path = self._settings.model_config_file
        log.warning("waiting_for_model_config", path=str(path.absolute()))
        problem = ""
        while not self._stopping.wait(self._settings.model_poll_s):
            try:
                if self._core.configured or self._configure():
                    return
            except (BadConfigFile, ServingError) as error:
                if str(error) != problem:
                    problem = str(error)
                    log.error("bad_model_config", path=str(path.absolute()), error=problem)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Call it from the main thread.

    Raises:
        BadConfigFile, ServingError: the configuration cannot be used.
        RuntimeError, OSError: a port is taken.
    """
    ended = threading.Event()

    def end(signum: int, _frame: FrameType | None) -> None:
        log.info("model_server_ending", signal=signal.Signals(signum).name)
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    sys.setswitchinterval(GIVE_WAY_S)
    # TensorFlow's 400,000 objects live for ever; one look at all of them takes 240 ms.
    gc.collect()
    gc.freeze()
    with ModelServer(settings) as server:
        ended.wait()
        server.give_notice()
