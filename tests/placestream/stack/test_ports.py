"""Free ports."""

import socket

from placestream.stack.ports import FIRST, LAST, LOCALHOST, answers, free_port, is_free


def test_a_port_is_given_once() -> None:
    """Two servers that are planned before either starts get two ports."""
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert all(FIRST <= port < LAST for port in ports)


def test_a_preferred_port_is_taken_if_it_is_free() -> None:
    """And another one if it is not."""
    wanted = free_port()
    with socket.create_server((LOCALHOST, 0)) as server:
        taken = server.getsockname()[1]
        assert free_port(taken) != taken
        assert not is_free(taken)
        assert answers(taken)
    assert free_port(wanted) != wanted  # given above
    assert is_free(wanted)
    assert not answers(wanted)
