"""What a call takes of a client's rate: a token for each thing that it asks for.

A batch is many requests in one call; counted as one, a rate would say nothing of the work.
"""

from collections.abc import Callable
from typing import Any

from inference.access.rights import paths
from inference.feedback import MAX_EVENTS
from inference.validation import MAX_BATCH


def _of_items(field: str, most: int) -> Callable[[Any], int]:
    def cost(request: Any) -> int:
        """One that is refused for being too long, or for being no message, counts as one."""
        items = 0 if request is None else len(getattr(request, field))
        return items if 1 <= items <= most else 1

    return cost


def _of_method(name: str, field: str, most: int) -> dict[str, Callable[[Any], int]]:
    return {path: _of_items(field, most) for path in paths(name)}


#: Of the methods whose requests hold many: tokens by the request. Every other call costs one.
COSTS = _of_method("BatchRecommend", "requests", MAX_BATCH) | _of_method(
    "Feedback", "events", MAX_EVENTS
)
