"""Where the events of a demo or a test come from: a simulated city, or real check-ins.

Both are a `Source` (source.py); `producer.py` sends one to Kafka, `command.py` is the command
line's `simulate`.
"""

from placestream.simulation.checkins import BadCheckIns, CheckIns, load_checkins
from placestream.simulation.city import City
from placestream.simulation.plan import Drift, Plan
from placestream.simulation.source import Description, Event, Message, Source, messages
from placestream.simulation.story import NoStory, Story

__all__ = [
    "BadCheckIns",
    "CheckIns",
    "City",
    "Description",
    "Drift",
    "Event",
    "Message",
    "NoStory",
    "Plan",
    "Source",
    "Story",
    "load_checkins",
    "messages",
]
