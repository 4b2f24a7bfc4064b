"""All dashboards, in the order in which one looks at them."""

from typing import Final

from placestream.dashboards.board import Board
from placestream.dashboards.drift import DRIFT
from placestream.dashboards.experiments import EXPERIMENTS
from placestream.dashboards.quality import QUALITY
from placestream.dashboards.service import SERVICE
from placestream.dashboards.streams import STREAMS

BOARDS: Final[tuple[Board, ...]] = (SERVICE, STREAMS, DRIFT, EXPERIMENTS, QUALITY)
