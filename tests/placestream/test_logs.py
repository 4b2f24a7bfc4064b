"""Logs: structured, in one format, without secrets."""

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator

import pytest
import structlog
from pydantic import SecretStr

from contracts.settings import Settings
from placestream.logs import configure

SETTINGS = Settings(
    _env_file=None,
    log_format="json",
    kafka_password=SecretStr("hunter2"),
    redis_url=SecretStr("redis://ann:swordfish@cache:6379/0"),
)


@pytest.fixture
def configured() -> Iterator[Callable[[Settings], io.StringIO]]:
    """Configure logs into a buffer; all is put back afterwards."""
    root = logging.getLogger()
    before = (root.handlers, root.level)

    def start(settings: Settings) -> io.StringIO:
        buffer = io.StringIO()
        configure(settings, "serve", buffer)
        return buffer

    yield start
    root.handlers, root.level = before
    structlog.reset_defaults()


Configured = Callable[[Settings], io.StringIO]


def test_one_json_object_a_line(configured: Configured) -> None:
    """With the event's name, its fields, its level, its logger, and a time in UTC."""
    out = configured(SETTINGS)
    structlog.get_logger("streams.worker").info("batch", events=17)
    (line,) = map(json.loads, out.getvalue().splitlines())
    assert (line["event"], line["events"], line["level"]) == ("batch", 17, "info")
    assert line["logger"] == "streams.worker"
    assert line["timestamp"].endswith("Z")


def test_libraries_log_in_the_same_format(configured: Configured) -> None:
    """What goes through the standard library comes out alike, extra fields too."""
    out = configured(SETTINGS)
    logging.getLogger("somebody").warning("slow %s", "disk", extra={"ms": 12})
    line = json.loads(out.getvalue())
    assert (line["event"], line["level"], line["ms"]) == ("slow disk", "warning", 12)


def test_the_role_is_on_every_line(configured: Configured) -> None:
    """On ours and on libraries', in every thread."""
    out = configured(SETTINGS)
    structlog.get_logger("a").info("x")
    thread = threading.Thread(target=logging.getLogger("b").warning, args=("y",))
    thread.start()
    thread.join()
    assert [json.loads(line)["role"] for line in out.getvalue().splitlines()] == ["serve"] * 2


def test_lines_below_the_level_are_left_out(configured: Configured) -> None:
    """And libraries that talk about themselves are heard from WARNING on."""
    out = configured(SETTINGS)
    structlog.get_logger("a").debug("detail")
    logging.getLogger("a").debug("detail")
    logging.getLogger("aiokafka.consumer").info("joined")
    logging.getLogger("aiokafka.consumer").warning("lost")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["lost"]


def test_with_debug_everything_is_heard(configured: Configured) -> None:
    """For whoever looks for a fault."""
    out = configured(SETTINGS.model_copy(update={"log_level": "DEBUG"}))
    structlog.get_logger("a").debug("detail")
    logging.getLogger("aiokafka.consumer").debug("poll")
    assert len(out.getvalue().splitlines()) == 2


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_is_written(configured: Configured, log_format: str) -> None:
    """By name, by value, in URLs, in nested values, in exceptions, through any library."""
    out = configured(SETTINGS.model_copy(update={"log_format": log_format}))
    log = structlog.get_logger("a")
    url = SETTINGS.redis_url.get_secret_value()
    log.info("field", password="tops3cret", api_key="tops3cret", nested={"auth_token": "tops3cret"})
    log.info(
        "value", config={"sasl.password": "hunter2"}, words=["x", "hunter2"], pair=("hunter2",)
    )
    log.info(f"connecting to {url}", url=url, query="redis://cache/0?password=swordfish&db=1")
    log.info("settings", settings=SETTINGS, error=ValueError(f"bad {url}"), raw=b"hunter2")
    logging.getLogger("b").error("could not reach %s with %s", url, "hunter2")
    try:
        raise ConnectionError(f"refused: {url} hunter2")
    except ConnectionError:
        log.exception("failed")
        logging.getLogger("b").exception("failed")
    text = out.getvalue()
    assert "refused" in text
    assert "cache:6379" in text  # where it is, people need to know
    for secret in ("tops3cret", "hunter2", "swordfish"):
        assert secret not in text


TOKEN = "pst_4hMu9lIuWhldbDjGZcXA-QzAYPyaGIaWxhwlP2urJ-Q"


def test_tokens_and_keys_are_known_by_their_looks(configured: Configured) -> None:
    """Nobody has set them up as secrets: they come from callers, or out of files."""
    out = configured(SETTINGS)
    log = structlog.get_logger("a")
    log.info("call", metadata=(("user-agent", "x"), ("authorization", f"Bearer {TOKEN}")))
    log.info("call", metadata={"authorization": "Basic dXNlcjpwdw"}, headers=[("cookie", "s3ss")])
    log.info(f"no such token {TOKEN}", error=ValueError(f"authorization: bearer {TOKEN[4:]}"))
    log.info(
        "pem", text="-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\nafter"
    )
    logging.getLogger("b").warning("%r", ("authorization", f"Bearer {TOKEN}"))
    text = out.getvalue()
    for secret in (TOKEN, TOKEN[4:], "dXNlcjpwdw", "s3ss", "MHcC"):
        assert secret not in text
    assert text.count("***") >= 6
    assert "after" in text
    assert "user-agent" in text


def test_a_password_is_hidden_without_its_url(configured: Configured) -> None:
    """A server's complaint may name it alone; in a URL it may stand encoded."""
    url = SecretStr("rediss://ann:p%40ss-w0rd@cache:6379/0")
    out = configured(SETTINGS.model_copy(update={"redis_url": url}))
    structlog.get_logger("a").info("refused", cause="no user with p@ss-w0rd or p%40ss-w0rd")
    logging.getLogger("b").error("AUTH ann p@ss-w0rd")
    assert "w0rd" not in out.getvalue()
    assert "AUTH ann ***" in out.getvalue()


def test_where_somebody_is_is_blurred(configured: Configured) -> None:
    """To a hundredth of a degree, about a kilometre, in fields and in texts of every kind."""
    out = configured(SETTINGS)
    log = structlog.get_logger("a")
    where = {"lat": 40.748817, "lng": -73.985428}
    log.info("field", lat=40.748817, location=where, places=[where, (where, "x")])
    log.info(f"query {json.dumps(where)}", raw=json.dumps(where).encode())
    log.info("text", cause="Query(user_id='u', lat=40.748817, lng=-73.985428, limit=10)")
    log.info("proto", cause="location { lat: 40.748817 lng: -73.985428 }")
    log.info("escaped", cause=json.dumps(json.dumps({"latitude": 40.748817})))
    try:
        raise ValueError("longitude: -73.985428 is odd")
    except ValueError:
        logging.getLogger("b").exception("failed")
    text = out.getvalue()
    assert "40.748" not in text
    assert "73.985" not in text
    assert text.count("40.75") >= 8
    assert text.count("-73.99") >= 7


def test_libraries_that_write_whole_messages_do_not(configured: Configured) -> None:
    """Not even at DEBUG: what people do, and passwords, go over the wire."""
    out = configured(SETTINGS.model_copy(update={"log_level": "DEBUG"}))
    logging.getLogger("aiokafka.conn").debug("Response: FetchResponse(b'a visit')")
    logging.getLogger("aiokafka.conn").info("Authenticated as ann")
    assert "a visit" not in out.getvalue()
    assert "Authenticated" in out.getvalue()


def test_what_is_no_secret_is_left_alone(configured: Configured) -> None:
    """Numbers stay numbers, and an address or an e-mail is no password."""
    out = configured(SETTINGS)
    structlog.get_logger("a").info(
        "x",
        url="http://localhost:9102/metrics",
        mail="to ann@example.org",
        p=0.5,
        ok=True,
        none=None,
        latency_s=0.12345,
        text="flat: 1.23456, platform=2.34567, 127.0.0.1:28077",
    )
    line = json.loads(out.getvalue())
    assert line["url"] == "http://localhost:9102/metrics"
    assert line["mail"] == "to ann@example.org"
    assert (line["p"], line["ok"], line["none"]) == (0.5, True, None)
    assert line["latency_s"] == 0.12345
    assert line["text"] == "flat: 1.23456, platform=2.34567, 127.0.0.1:28077"


def test_a_buffer_gets_no_colours(configured: Configured) -> None:
    """Only a terminal does."""
    out = configured(SETTINGS.model_copy(update={"log_format": "console"}))
    structlog.get_logger("a").info("plain", a=1)
    assert "\x1b" not in out.getvalue()
    assert "a=1" in out.getvalue()
