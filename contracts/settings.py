"""Settings of every role, typed, from the environment (`PLACESTREAM_*`) or a `.env` file."""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.topics import Topics


class Settings(BaseSettings):
    """One flat set for all roles; `placestream settings` prints it with secrets hidden.

    Raises:
        pydantic.ValidationError: a value is of the wrong type or out of range; names the setting.
    """

    model_config = SettingsConfigDict(
        env_prefix="PLACESTREAM_", env_file=".env", extra="ignore", frozen=True
    )

    # Kafka
    kafka_bootstrap: str = Field("127.0.0.1:9092", description="host:port[,host:port] of Kafka")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how to talk to Kafka"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism, if SASL is on"
    )
    kafka_username: str = Field("", description="SASL user")
    kafka_password: SecretStr = Field(SecretStr(""), description="SASL password")
    kafka_ca_file: Path | None = Field(None, description="CA of Kafka's certificate, PEM")
    kafka_certificate_file: Path | None = Field(
        None, description="certificate to show Kafka, PEM, where it wants one (mutual TLS)"
    )
    kafka_key_file: Path | None = Field(None, description="its private key, PEM")
    kafka_key_password: SecretStr = Field(
        SecretStr(""), description="password of that key, if it has one"
    )
    kafka_declares_topics: bool = Field(
        True, description="create missing topics at start (off where the broker cannot)"
    )
    topic_prefix: str = Field("placestream", description="first part of every topic's name")
    partitions: int = Field(
        8, ge=1, le=1024, description="partitions of keyed topics = shards of state; fixed for life"
    )
    replication: int = Field(1, ge=1, le=7, description="replicas of each topic")

    # Redis
    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"), description="redis[s]://[user:password@]host:port/db"
    )
    redis_cluster: bool = Field(
        False, description="redis_url names a node of a Redis Cluster, whose others it tells"
    )
    redis_ca_file: Path | None = Field(
        None, description="CA of Redis's certificate, PEM; with a rediss:// URL"
    )
    redis_certificate_file: Path | None = Field(
        None, description="certificate to show Redis, PEM, where it wants one (mutual TLS)"
    )
    redis_key_file: Path | None = Field(None, description="its private key, PEM")
    redis_timeout_ms: int = Field(
        50, ge=1, le=10_000, description="time-out of a read on the serving path, milliseconds"
    )
    key_prefix: str = Field("ps", description="first part of every Redis key")

    # Files
    archive_dir: Path = Field(Path("var/archive"), description="root of the Parquet archive")
    archive_flush_s: float = Field(
        60, gt=0, description="an archive file is written at least so often"
    )
    archive_flush_rows: int = Field(100_000, ge=1, description="... or after so many rows")
    models_dir: Path = Field(Path("var/models"), description="root of the exported SavedModels")

    mlflow_uri: str = Field(
        "", description="tracking server of MLflow; empty: a SQLite file in models_dir/mlflow"
    )

    models_base_path: Path | None = Field(
        None, description="models_dir as the model server sees it, where that differs"
    )

    # Backfill
    backfill_dir: Path = Field(
        Path("var/backfill"), description="root of the tables that `backfill` writes"
    )
    spark_master: str = Field(
        "local[*]", description="where Spark runs: local[*], spark://host:port, yarn, ..."
    )
    spark_memory_mb: int = Field(
        1_024, ge=512, description="heap of Spark's driver (with local[*] of all of it)"
    )

    # Streams
    batch_max_events: int = Field(4_000, ge=1, description="most events in one micro-batch")
    batch_max_bytes: int = Field(
        16 * 2**20,
        ge=2**16,
        description="most bytes of a micro-batch; a worker holds some ten times as many",
    )
    stream_session_s: float = Field(
        10, ge=1, description="a worker silent for so long has lost its partitions, seconds"
    )
    stream_stall_s: float = Field(
        60, gt=0, description="a partition that has events and stands still for so long is stuck"
    )
    stream_metrics_port: int = Field(9101, ge=0, description="Prometheus port of `stream`, 0 = off")

    # Model server
    model_server: str = Field(
        "127.0.0.1:8500",
        description="host:port of TF Serving's gRPC; several: ipv4:HOST:PORT,HOST:PORT",
    )
    model_server_rest_port: int = Field(8501, ge=0, description="REST and metrics port, 0 = off")
    model_config_file: Path = Field(
        Path("var/models/models.config"), description="TF Serving's ModelServerConfig, as text"
    )
    model_poll_s: float = Field(1.0, gt=0, description="how often versions on disk are looked at")
    model_batching_file: Path | None = Field(
        None, description="TF Serving's batching parameters, as text; empty: no batching"
    )
    model_threads: int = Field(1, ge=1, description="TensorFlow threads inside one operation")
    model_tensor_content: bool = Field(
        True, description="answers as bytes, not value by value (as TF Serving does by default)"
    )

    # Service
    serve_host: str = Field("127.0.0.1", description="address that the gRPC service listens on")
    serve_port: int = Field(8600, ge=0, description="its port, 0 = any free one")
    serve_metrics_port: int = Field(9102, ge=0, description="Prometheus port of `serve`, 0 = off")
    serve_reflection: bool = Field(True, description="gRPC server reflection")
    serve_tls_certificate: Path | None = Field(
        None, description="certificate chain of `serve`, PEM; empty: plain text"
    )
    serve_tls_key: Path | None = Field(None, description="its private key, PEM, no password")
    serve_tls_client_ca: Path | None = Field(
        None, description="only callers with a certificate of this CA (mutual TLS)"
    )
    serve_clients_file: Path | None = Field(
        None, description="who may call what (`placestream token`); empty: anybody everything"
    )
    serve_open_health: bool = Field(
        True, description="health checks need no token, where others do"
    )
    serve_deadline_ms: int = Field(
        200, ge=5, le=60_000, description="deadline of a request that brings none, milliseconds"
    )
    serve_patience_ms: int = Field(
        1_000,
        ge=5,
        le=60_000,
        description="whatever deadline a caller brings, no request queues for longer, "
        "and no model and no event is waited for longer, milliseconds",
    )
    # Far above any valid request (500 ids of 128 bytes), far below what could hurt.
    serve_max_request_bytes: int = Field(
        256 * 2**10, ge=2**12, le=2**24, description="largest request that is read, bytes"
    )
    serve_objective_ms: float = Field(
        50, gt=0, description="latency held under load by looking at fewer candidates, milliseconds"
    )
    candidates: int = Field(200, ge=1, le=5_000, description="places that the ranker sees")
    near_places: int = Field(10_000, ge=1, le=50_000, description="places the candidate model sees")
    radius_m: float = Field(
        3_000, gt=0, le=200_000, description="radius of a request that sets none"
    )
    max_radius_m: float = Field(50_000, gt=0, le=500_000, description="how far a thin area widens")
    model_label: str = Field("stable", description="version label that is asked for")
    explore_slots: int = Field(
        0,
        ge=0,
        le=10,
        description="slots of an answer for places of which little is known yet",
    )
    context_stale_s: float = Field(
        10_800, gt=0, description="older weather and traffic are neutral"
    )

    # Callers of the service on this machine: `recommend`, the health probe
    client_ca_file: Path | None = Field(
        None, description="CA of the service's certificate; empty: plain text"
    )
    client_tls_certificate: Path | None = Field(
        None, description="certificate to show where the service wants one (mutual TLS)"
    )
    client_tls_key: Path | None = Field(None, description="its private key")
    client_tls_name: str = Field(
        "", description="name in the service's certificate, where the address is another"
    )
    client_token: SecretStr = Field(SecretStr(""), description="bearer token to send")

    # The console
    console_host: str = Field(
        "127.0.0.1", description="address that the console listens on; its own machine's only"
    )
    console_port: int = Field(8700, ge=1, le=65_535, description="its port")
    console_name: str = Field(
        "", description="host name that browsers may use for it besides this machine's, if any"
    )
    console_token: SecretStr = Field(
        SecretStr(""), description="what the console asks for; empty: made anew at every start"
    )
    console_metrics: str = Field(
        "",
        description="pages of metrics that it reads, role=URL with commas; empty: this machine's",
    )

    # Trainer and drift
    retrain_metrics_port: int = Field(
        9103, ge=0, description="Prometheus port of `retrain`, 0 = off"
    )
    train_epochs: int = Field(50, ge=1, description="most epochs of a training")
    candidate_model: Literal["tables", "two-tower", "matrix-factorisation"] = Field(
        "tables", description="what stands behind the candidate stage"
    )
    ranker_model: Literal["listwise", "wide-and-deep"] = Field(
        "listwise", description="what ranks the candidates"
    )
    train_max_rows: int = Field(2_000_000, ge=1_000, description="newest interactions trained on")
    attribution_visit_s: float = Field(
        86_400, gt=0, description="a visit or rating within so long after an answer came of it"
    )
    attribution_click_s: float = Field(1_800, gt=0, description="the same for a click")
    train_max_impressions: int = Field(
        10_000, ge=0, description="served answers with a visit trained on; 0 = none"
    )
    train_sets: int = Field(
        28_000, ge=100, description="most choice sets that the default models learn from"
    )
    train_sets_from: Literal["replay", "backfill"] = Field(
        "replay", description="who makes them: the training itself, or `backfill --training-sets`"
    )
    train_memory_mb: int = Field(
        2_048, ge=1, description="training rows that take more go through files in models_dir"
    )
    data_max_age_s: float = Field(
        172_800, ge=0, description="training stops if the newest event is older; 0 = any age"
    )
    data_mean_shift: float = Field(
        1.0,
        ge=0,
        description="spreads that a mean of the training data may move between two trainings; "
        "0 = the last one is not compared with",
    )
    gate_auc_loss: float = Field(
        0.01, ge=0, description="AUC that a new pair may lose against the one in service"
    )
    gate_ndcg_loss: float = Field(0.02, ge=0, description="the same for NDCG@10")
    gate_slice_loss: float = Field(
        0.02, ge=0, description="NDCG@10 that it may lose for certain on a slice of the requests"
    )
    refused_kept: int = Field(
        50,
        ge=1,
        le=10_000,
        description="so many newest refused trainings keep their run and their reports",
    )
    refused_kept_days: float = Field(90, gt=0, description="... but none for more days than these")
    psi_retrain: float = Field(0.2, gt=0, description="a PSI above this asks for a retraining")
    target_psi_retrain: float = Field(
        0.2, gt=0, description="the same for what users choose, by the chance the model gave it"
    )
    accuracy_retrain: float = Field(
        0.80, ge=0, le=1, description="an accuracy on served answers surely below this asks for one"
    )
    outcome_answers: int = Field(
        20_000, ge=100, description="newest answers with a known outcome that quality is told of"
    )
    outcome_min_choices: int = Field(
        500, ge=1, description="fewer choices say nothing of accuracy, or of what is chosen"
    )
    target_window_choices: int = Field(
        2_000, ge=100, description="so many newest choices are compared with the training"
    )
    outcome_hold_s: float = Field(
        60,
        ge=0,
        description="clicks, visits and ratings may come so late and still be joined; answers "
        "themselves are logged up to a second late",
    )
    outcome_most_waiting: int = Field(
        200_000, ge=1_000, description="most answers that wait for their outcomes, in memory"
    )
    monitor_rewind_messages: int = Field(
        200_000, ge=0, description="most messages read again at a restart, to fill windows; 0: none"
    )
    drift_window_answers: int = Field(
        4_000, ge=100, description="so many newest answers are compared with the training"
    )
    drift_window_s: float = Field(
        604_800, gt=0, description="... but none older than this before the newest, seconds"
    )
    drift_min_answers: int = Field(1_000, ge=1, description="fewer answers say nothing of drift")
    retrain_cooldown_s: float = Field(3_600, ge=0, description="no second request within this time")
    retrain_again_s: float = Field(
        86_400,
        ge=0,
        description="drift or accuracy that a training did not mend, for it was refused, failed or "
        "rolled back, asks again after this, seconds",
    )
    rollout_direct: bool = Field(
        False, description="a new pair that passed the gate serves everybody at once, on no trial"
    )
    shadow_share: float = Field(
        0.1, gt=0, le=1, description="share of answers that a new pair computes too, unseen"
    )
    shadow_min_answers: int = Field(
        500, ge=1, description="so many are compared before users meet the new pair"
    )
    shadow_max_s: float = Field(
        604_800, gt=0, description="a pair of which fewer were compared by then is rolled back"
    )
    canary_share: float = Field(
        0.1, gt=0, lt=1, description="share of users who are answered by the new pair"
    )
    canary_min_s: float = Field(
        604_800, ge=0, description="least duration of a canary, seconds; whole weeks"
    )
    canary_max_s: float = Field(
        2_419_200, gt=0, description="a canary that has not proven itself by then is rolled back"
    )
    canary_min_users: int = Field(
        10_000, ge=1, description="least users of the new pair and of the one in service"
    )
    canary_alpha: float = Field(
        0.05, gt=0, lt=1, description="chance that a canary is ever judged wrongly, all looks"
    )
    canary_success_loss: float = Field(
        0.05, gt=0, lt=1, description="share of the success that a new pair may lose at most"
    )
    canary_degraded_rise: float = Field(
        0.01, gt=0, lt=1, description="share of answers that may be degraded beyond stable's"
    )
    canary_slow_rise: float = Field(
        0.02, gt=0, lt=1, description="the same for answers slower than serve_objective_ms"
    )
    canary_load_rise: float = Field(
        0.25, gt=0, description="share of model time by which a new pair may be dearer"
    )
    seed: int = Field(17, ge=0, description="seed of everything random")

    # Logs
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="least level"
    )
    log_format: Literal["json", "console"] = Field("console", description="how logs are written")

    @model_validator(mode="after")
    def _no_tls_in_vain(self) -> Self:
        """Refuse certificates that would go unused: who names them does not mean plain text."""
        over_tls = {
            "kafka": self.kafka_security_protocol.endswith("SSL"),
            "redis": self.redis_url.get_secret_value().startswith("rediss://"),
        }
        for server, used in over_tls.items():
            for file in ("ca_file", "certificate_file", "key_file"):
                if getattr(self, f"{server}_{file}") is not None and not used:
                    how = {
                        "kafka": "PLACESTREAM_KAFKA_SECURITY_PROTOCOL=SSL or SASL_SSL",
                        "redis": "a PLACESTREAM_REDIS_URL that begins with rediss://",
                    }[server]
                    variable = f"PLACESTREAM_{server}_{file}".upper()
                    raise ValueError(f"{variable} needs {how}; without it all is plain text")
        return self

    @model_validator(mode="after")
    def _cluster_has_one_database(self) -> Self:
        """Refuse what no Redis Cluster has: a database but the first, a Unix socket."""
        url = urlsplit(self.redis_url.get_secret_value())
        if self.redis_cluster and (url.scheme == "unix" or url.path not in ("", "/", "/0")):
            raise ValueError(
                "PLACESTREAM_REDIS_CLUSTER=true needs a PLACESTREAM_REDIS_URL of a host, with "
                "database 0 or none: a cluster has no other"
            )
        return self

    @property
    def topics(self) -> Topics:
        """The topics of this installation."""
        return Topics(prefix=self.topic_prefix, partitions=self.partitions)
