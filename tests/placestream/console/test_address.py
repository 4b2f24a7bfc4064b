"""What a person opens: whole, and with a token that nobody else is told."""

from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from contracts.settings import Settings
from placestream.console.address import address, token_of


def settings(**fields: object) -> Settings:
    return Settings.model_validate({"console_port": 8700} | fields)


def test_the_token_stands_where_browsers_send_it_to_nobody() -> None:
    """Behind the `#`, with the scene; any text comes through whole."""
    scene = {"user": "a&b=ü", "lat": "41.6", "lng": "-93.6"}
    parts = urlsplit(address(settings(), token="s+/=", scene=scene))
    assert (parts.netloc, parts.path, parts.query) == ("127.0.0.1:8700", "/", "")
    said = {name: values[0] for name, values in parse_qs(parts.fragment).items()}
    assert said == {"token": "s+/=", **scene}


def test_the_settings_token_is_taken() -> None:
    """By the address as by the console itself."""
    given = settings(console_token=SecretStr("set"))
    assert address(given).endswith("#token=set")
    assert token_of(given) == "set"


def test_without_one_each_start_has_its_own() -> None:
    """24 random bytes: nobody finds one by trying."""
    one, other = token_of(settings()), token_of(settings())
    assert one != other
    assert len(one) == 32


def test_an_address_of_all_interfaces_is_opened_as_this_machine() -> None:
    """0.0.0.0 is no place to go to."""
    assert address(settings(console_host="0.0.0.0")).startswith("http://127.0.0.1:8700/")
