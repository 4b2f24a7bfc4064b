"""Rules, their tests, Alertmanager and the dashboards, checked by Prometheus' own tools."""

import ast
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.settings import Settings
from inference.metrics import REQUEST_EDGES_S
from tests.docker import series
from tests.docker.project import ROOT
from tests.docker.series import alerts, names_in, rules

PROMETHEUS = ROOT / "docker" / "prometheus"
RULE_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program of Prometheus'; if it is missing, say where it comes from."""
    path = shutil.which(program)
    assert path, f"{program} is missing: apt-get install prometheus prometheus-alertmanager"
    command = [path, *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_promtool_accepts_configuration_and_rules() -> None:
    """The configuration is valid, and so are all rule files that it names."""
    answer = run("promtool", "check", "config", PROMETHEUS / "prometheus.yml")
    assert answer.returncode == 0, answer.stderr
    assert f"{len(series.rule_files())} rule files found" in answer.stdout


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_rules_fire_and_stay_silent(path: Any) -> None:
    """The tests of the rules pass."""
    answer = run("promtool", "test", "rules", path)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_amtool_accepts_alertmanagers_configuration() -> None:
    """Routes, receivers and inhibitions are valid."""
    answer = run("amtool", "check-config", ROOT / "docker/alertmanager/alertmanager.yml")
    assert answer.returncode == 0, answer.stderr


def test_inhibitions_name_alerts_that_exist() -> None:
    """An inhibition of an alert that was renamed would never come true."""
    config = yaml.safe_load((ROOT / "docker/alertmanager/alertmanager.yml").read_text())
    for rule in config["inhibit_rules"]:
        for side in (rule["source_matchers"], rule["target_matchers"]):
            named = re.findall(r'alertname = "(\w+)"', " ".join(side))
            assert len(named) == 1
            assert named[0] in alerts()


@pytest.mark.parametrize("name", alerts())
def test_alert_is_tested_both_ways(name: str) -> None:
    """Some case makes the alert fire, and another, in which there are series, does not."""
    files = [yaml.safe_load(path.read_text()) for path in RULE_TESTS]
    cases = [
        case
        for file in files
        for test in file["tests"]
        for case in test.get("alert_rule_test", [])
        if case["alertname"] == name
    ]
    assert any(case["exp_alerts"] for case in cases)
    assert any(not case["exp_alerts"] for case in cases)


def test_every_number_of_the_design_has_its_alert() -> None:
    """DESIGN.md, "Numbers that the system watches": each with the alert and its mark."""
    watched = {
        "latency p95 < 50 ms": ("RequestsSlow", "p95_rate5m", "> 0.05"),
        "accuracy > 0.85": ("ModelQualityLow", "accuracy", "< 0.85"),
        "feature lag < 5 min": ("FeaturesStale", "lag_seconds", "> 300"),
        "PSI < 0.1 warns": ("FeatureDriftWarning", "psi_ratio", "> 0.1"),
        "PSI > 0.2 retrains": ("FeatureDriftHigh", "psi_ratio", "> 0.2"),
        "KS p > 0.05": ("FeatureDistributionMoved", "ks_p_ratio", "< 0.05"),
        "MMD below its threshold": ("ColumnsMovedTogether", "mmd_ratio", "mmd_threshold_ratio"),
        "click-through, conversion of baseline": ("ServedQualityFell", ":baseline", "< 0.95 *"),
        "click-through, conversion of the canary": ("CanaryBehindStable", ":on_trial", "< 0.95 *"),
        "rating > 4.0": ("RatingsLow", "rating_stars", "< 4"),
        "accuracy < 0.80 retrains": ("ServedAccuracyLow", "accuracy", "< 0.8"),
        "1 M new samples retrain": ("TrainingOverdue", "samples_since", "> 1000000"),
        "weekly at the latest": ("TrainingOverdue", "newest_pair", "> 691200"),
        "A/B 90/10": ("SampleRatioMismatch", "rollbacks_total", 'cause="mismatch"'),
        "A/B seven days": ("CanaryLacksUsers", 'state="canary"', "> 604800"),
        "A/B 10,000 a side": ("CanaryLacksUsers", "canary_users", "< 10000"),
    }
    for number, (name, series_part, mark) in watched.items():
        expression = " ".join(alerts()[name]["expr"].split())
        assert series_part in expression, number
        assert mark in expression, number


@pytest.mark.parametrize("name", alerts())
def test_alert_says_what_to_do(name: str) -> None:
    """CamelCase, a known severity, a summary, a description, and a runbook of its own name."""
    alert = alerts()[name]
    assert re.fullmatch(r"([A-Z][a-z]+)+", name)
    assert alert["labels"]["severity"] in ("info", "warning", "critical")
    notes = alert["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    page = f"docs/runbooks/{name}.md"
    assert notes["runbook_url"] == f"{{{{ $externalLabels.runbooks }}}}{page}"
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    for heading in ("## What it means", "## Look at", "## Do"):
        assert f"\n{heading}\n" in text


def test_every_runbook_has_its_alert() -> None:
    """No page is left of an alert that is gone."""
    pages = {path.stem for path in (ROOT / "docs/runbooks").glob("*.md")}
    assert pages - {"README"} == set(alerts())


def test_every_series_that_is_asked_for_exists() -> None:
    """Rules and dashboards ask only for metrics of the code, of records, or foreign ones."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    known = set(series.series()) | recorded | set(series.FOREIGN)
    asked = [rule["expr"] for rule in rules()] + series.queries()
    missing = {name: expr for expr in asked for name in names_in(expr) if name not in known}
    assert missing == {}


def test_names_are_found() -> None:
    """The reading of expressions that the test above leans on sees names, and nothing else."""
    expression = (
        'sum by (topic) (rate(a_total{outcome="b_total", c!~"d"}[5m])) / on () group_left () '
        "e:f:g > 0.5 or (h_i unless h_i offset 15m) or histogram_quantile(0.95, j_bucket)"
    )
    assert names_in(expression) == {"a_total", "e:f:g", "h_i", "j_bucket"}


def test_every_recorded_series_is_used() -> None:
    """What is recorded is asked for by an alert, another record or a dashboard."""
    asked = " ".join([rule["expr"] for rule in rules()] + series.queries())
    for rule in rules():
        if "record" in rule:
            assert rule["record"] in names_in(asked), rule["record"]


def test_labels_that_rules_ask_for_exist() -> None:
    """A label in a selector or a grouping is one that the metric has."""
    known = series.series()
    for rule in rules():
        for name, body in re.findall(r"\b(placestream_\w+)\{([^}]*)\}", rule["expr"]):
            for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', "", body)):
                own = ("le",) if name.endswith("_bucket") else ()
                assert label in (*known[name].labels, *own), f"{name} has no label {label}"


def test_drift_alerts_leave_out_what_the_trainer_leaves_out() -> None:
    """Columns that follow the clock or the sky ask for nothing, in the trainer and in the rule."""
    for record in (
        "feature:placestream_drift_psi_ratio:max",
        "feature:placestream_drift_ks_p_ratio:min",
    ):
        (expression,) = [rule["expr"] for rule in rules() if rule.get("record") == record]
        (pattern,) = re.findall(r'feature!~"\((.*)\)\.\*"', expression)
        assert tuple(pattern.split("|")) == constant(ROOT / "retrain/drift_watch.py", "EXEMPT")


def constant(path: Path, name: str) -> object:
    """A literal at the top of a module, read without importing what the module needs."""
    (value,) = [
        node.value
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    ]
    return ast.literal_eval(value)


def test_drift_alert_waits_longer_than_the_cool_down() -> None:
    """What a training may still mend alerts nobody; the mark is the trainer's own."""
    fields = Settings.model_fields
    alert = alerts()["FeatureDriftHigh"]
    (hours,) = re.findall(r"^(\d+)h$", alert["for"])
    assert int(hours) * 3_600 > fields["retrain_cooldown_s"].default
    assert alert["expr"].endswith(f"> {fields['psi_retrain'].default}")


def test_marks_are_those_of_the_code() -> None:
    """What asks for a training, and what a trial is ended by, is what the alerts speak of."""
    default = {name: field.default for name, field in Settings.model_fields.items()}
    marks = {
        name: re.findall(r"[<>]=? ([\d.]+)", alert["expr"]) for name, alert in alerts().items()
    }
    choices = default["outcome_min_choices"]
    assert marks["ServedAccuracyLow"] == [f"{default['accuracy_retrain']:g}", str(choices)]
    age_s, samples = marks["TrainingOverdue"][1:]
    assert int(samples) == constant(ROOT / "retrain/triggers.py", "SAMPLES")
    assert int(age_s) == 8 * 86_400
    assert str(default["canary_max_s"] + 86_400) in marks["RolloutStuck"]
    assert default["canary_share"] == 0.1
    least = [str(default["canary_min_users"]), str(default["canary_min_s"])]
    assert marks["CanaryLacksUsers"] == least


def test_latency_objective_is_an_edge_of_the_histogram() -> None:
    """Whether p95 is above the objective is then counted, not estimated."""
    (mark,) = re.findall(r"> ([\d.]+)$", alerts()["RequestsSlow"]["expr"])
    assert float(mark) in REQUEST_EDGES_S


@pytest.mark.parametrize("name", series.dashboards())
def test_dashboard_is_whole(name: str) -> None:
    """Panels have numbers of their own, do not overlap, ask one source, and explain themselves."""
    provisioned = yaml.safe_load(
        (ROOT / "docker/grafana/provisioning/datasources/prometheus.yml").read_text()
    )
    (source,) = [s["uid"] for s in provisioned["datasources"]]
    panels = series.dashboards()[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in cells, panel["title"]
                cells.add((x, y))
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == source
            assert panel["description"]
            assert panel["fieldConfig"]["defaults"]["unit"]


def test_grafana_finds_its_dashboards() -> None:
    """The provider looks into the folder that the compose file mounts."""
    from tests.docker.project import services

    path = ROOT / "docker/grafana/provisioning/dashboards/placestream.yml"
    (provider,) = yaml.safe_load(path.read_text())["providers"]
    folder = provider["options"]["path"]
    assert f"./docker/grafana/dashboards:{folder}:ro" in services()["grafana"]["volumes"]
