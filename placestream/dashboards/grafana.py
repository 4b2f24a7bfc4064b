"""Dashboards in Grafana's own form, by Grafana's own library. Needs the development extras."""

from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import GraphTresholdsStyleMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
)

from placestream.dashboards.board import Board, Panel

#: As provisioned in docker/grafana/provisioning/datasources.
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="prometheus")
#: Alerts are marked on every graph; what only informs is not.
ALERTS: Final = 'ALERTS{alertstate="firing", severity!="info"}'
_GOOD, _BAD = "green", "red"


def as_grafana(board: Board) -> str:
    """A dashboard as the text of a provisioned file."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(f"placestream-{board.name}")
        .tags(["placestream"])
        .timezone("browser")
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .refresh("30s")
        .time("now-3h", "now")
        .link(_to_the_others())
        .annotation(
            dashboard.AnnotationQuery()
            .name("Alerts")
            .datasource(SOURCE)
            .enable(True)
            .icon_color(_BAD)
            .expr(ALERTS)
        )
    )
    number = 0
    for row in board.rows:
        number += 1
        made.with_row(dashboard.Row(row.title).id(number))
        for panel in row.panels:
            number += 1
            made.with_panel(_panel(panel, number))
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


def _to_the_others() -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink("placestream")
        .type(DashboardLinkType.DASHBOARDS)
        .tags(["placestream"])
    )


def _panel(panel: Panel, number: int) -> stat.Panel | timeseries.Panel:
    made: stat.Panel | timeseries.Panel
    if panel.kind == "number":
        calc = common.ReduceDataOptions().calcs(["lastNotNull"])
        made = stat.Panel().reduce_options(calc)
    else:
        made = timeseries.Panel()
        if _steps(panel):
            line = GraphTresholdsStyleMode.LINE
            made.thresholds_style(common.GraphThresholdsStyleConfig().mode(line))
    made.id(number).title(panel.title).description(panel.what).unit(panel.unit).datasource(SOURCE)
    made.span(panel.width).height(panel.height)
    made.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(_steps(panel)))
    if reasons := dict.fromkeys(query.rare for query in panel.queries if query.rare):
        made.no_value("; ".join(reasons))
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        asked = prometheus.Dataquery().datasource(SOURCE).ref_id(letter).expr(query.expr)
        asked.legend_format(query.legend)
        made.with_target(asked.instant() if panel.kind == "number" else asked.range())
    return made


def _steps(panel: Panel) -> list[Threshold]:
    """Colours from below upwards; none where no mark is known."""
    if panel.bad_above is not None:
        return [Threshold(None, _GOOD), Threshold(panel.bad_above, _BAD)]
    if panel.bad_below is not None:
        return [Threshold(None, _BAD), Threshold(panel.bad_below, _GOOD)]
    return []
