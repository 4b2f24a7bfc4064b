"""Makes docker/grafana/dashboards: `make stubs`, or `python -m placestream.dashboards`."""

import sys
from pathlib import Path
from typing import Final

from placestream.dashboards.boards import BOARDS
from placestream.dashboards.grafana import as_grafana

DASHBOARDS: Final = Path(__file__).resolve().parents[2] / "docker" / "grafana" / "dashboards"


def main() -> int:
    """Write a file for each dashboard, and delete those of dashboards that are no more."""
    files = {DASHBOARDS / f"{board.name}.json": as_grafana(board) for board in BOARDS}
    for left in set(DASHBOARDS.glob("*.json")) - set(files):
        left.unlink()
    for file, text in files.items():
        file.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
