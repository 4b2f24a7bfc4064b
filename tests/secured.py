"""Kafka and Redis that let in only who has a certificate, a user and a password."""

import ssl
from pathlib import Path

from placestream.stack.child import Child
from placestream.stack.kafka import START_TIMEOUT_S, KafkaBroker
from placestream.stack.ports import LOCALHOST, free_port
from tests.certificates import Authority

USER, PASSWORD = "ann", "tr0ub4dor"
_LOGIN = "org.apache.kafka.common.security"


class SecureKafka(KafkaBroker):
    """A real broker with a listener for itself, and one with TLS and SASL for clients."""

    def __init__(self, run_dir: Path, authority: Authority, mechanism: str, **options: bool):
        super().__init__(run_dir, **options)
        run_dir.mkdir(parents=True, exist_ok=True)
        self.secure_port = free_port()
        self._mechanism = mechanism
        pair = authority.issue("kafka")
        # One file with both, as Kafka wants it.
        self._own, self._ca = run_dir / "kafka.pem", authority.write(run_dir)
        self._own.write_bytes(pair.key + pair.certificate)

    @property
    def secure_bootstrap(self) -> str:
        """`host:port` for clients that can show who they are."""
        return f"{LOCALHOST}:{self.secure_port}"

    def _properties(self) -> str:
        own, secure = self.bootstrap, self.secure_bootstrap
        listener = f"listener.name.secure.{self._mechanism.lower()}.sasl.jaas.config"
        login = (
            f'{_LOGIN}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
            if self._mechanism == "PLAIN"
            else f"{_LOGIN}.scram.ScramLoginModule required;"
        )
        # Of two lines with one name Java takes the last.
        return super()._properties() + "\n".join(
            [
                f"listeners=PLAINTEXT://{own},SECURE://{secure},"
                f"CONTROLLER://{LOCALHOST}:{self._controller_port}",
                f"advertised.listeners=PLAINTEXT://{own},SECURE://{secure}",
                "listener.security.protocol.map="
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
                f"sasl.enabled.mechanisms={self._mechanism}",
                f"{listener}={login}",
                "ssl.keystore.type=PEM",
                f"ssl.keystore.location={self._own}",
                "ssl.truststore.type=PEM",
                f"ssl.truststore.location={self._ca}",
                "listener.name.secure.ssl.client.auth=required",
                "",
            ]
        )

    def _format(self, tool: list[str], config: Path) -> None:
        if self._mechanism == "PLAIN":
            super()._format(tool, config)
            return
        user = f"{self._mechanism}=[name={USER},password={PASSWORD}]"
        command = [*tool, "format", "--cluster-id", "p" + "A" * 21, "--config", str(config)]
        Child.spawn(
            "kafka-storage", [*command, "--add-scram", user], self._dir / "kafka-storage.log"
        ).wait_done(START_TIMEOUT_S)


def server_tls(authority: Authority, folder: Path) -> ssl.SSLContext:
    """What a server asks of its clients: TLS, and a certificate of the authority."""
    folder.mkdir(parents=True, exist_ok=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.write(folder))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(*authority.issue("redis").write(folder, "server"))
    return context
