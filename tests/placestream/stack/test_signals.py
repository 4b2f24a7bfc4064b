"""Signals that end a command."""

import signal

import pytest

from placestream.stack.signals import ENDING, Ended, ending_counted, ending_raises


@pytest.mark.parametrize("number", ENDING)
def test_every_ending_signal_raises_alike(number: signal.Signals) -> None:
    """Ctrl-C, `kill` and a closed terminal: what was started gets stopped by the same path."""
    with pytest.raises(Ended) as caught, ending_raises():
        signal.raise_signal(number)
    assert caught.value.exit_code == 128 + number


def test_no_except_exception_swallows_it() -> None:
    """It is as a KeyboardInterrupt."""
    assert not issubclass(Ended, Exception)
    assert issubclass(Ended, KeyboardInterrupt)


def test_while_stopping_signals_are_only_counted() -> None:
    """Also inside of the handler that raises, and that one is back afterwards."""
    with ending_raises():
        with ending_counted() as signals:
            assert signals() == 0
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            assert signals() == 2
        with pytest.raises(Ended):
            signal.raise_signal(signal.SIGTERM)


def test_handlers_are_put_back() -> None:
    """As if nothing had been."""
    before = [signal.getsignal(number) for number in ENDING]
    with ending_raises(), ending_counted():
        pass
    assert [signal.getsignal(number) for number in ENDING] == before
