"""Runs the suite by Great Expectations, and says what failed."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from retrain.training_data.report import page_of
from retrain.training_data.suite import Check
from retrain.training_data.tables import Table

_log = structlog.get_logger(__name__)
#: So many failures at most are put into words; the report has them all.
_TOLD = 5


@dataclass(frozen=True)
class Failure:
    """An expectation that was not met; `observed` in a person's words."""

    check: Check
    observed: str

    def __str__(self) -> str:
        low, high = (self.check.words(self.check.bounds.get(b)) for b in ("min_value", "max_value"))
        asked = f", asked for {low or 'anything'} to {high or 'anything'}" if low or high else ""
        return f"{self.check.name}: {self.observed}{asked} ({self.check.why})"


@dataclass(frozen=True)
class Validation:
    """What came of a suite.

    Attributes:
        failures: expectations that were not met; none if the data are fit to train on.
        asked: how many expectations there were.
        pages: HTML report of each table, by its name.
    """

    failures: tuple[Failure, ...]
    asked: int
    pages: Mapping[str, str]

    @property
    def note(self) -> str:
        """The reason, for a person."""
        told = [str(failure) for failure in self.failures[:_TOLD]]
        if left := len(self.failures) - _TOLD:
            told += [f"and {left} more"] if left > 0 else []
        return "; ".join(told)

    def write(self, folder: Path) -> Path:
        """Write the pages into a folder, and return it."""
        folder.mkdir(parents=True, exist_ok=True)
        for table, page in self.pages.items():
            (folder / f"{table}.html").write_text(page)
        return folder


def validate(tables: Mapping[str, Table], suite: Sequence[Check]) -> Validation:
    """Hold tables to a suite."""
    context = _context()
    failures: list[Failure] = []
    pages = {}
    for name, table in tables.items():
        of_table = [check for check in suite if check.table == name]
        results = _run(context, name, table, of_table)
        by_name = {result.expectation_config.meta["check"]: result for result in results.results}
        for check in of_table:
            if not by_name[check.name].success:
                failures.append(Failure(check, _observed(check, by_name[check.name])))
        pages[name] = page_of(results)
    _log.info("training_data_checked", asked=len(suite), failed=[f.check.name for f in failures])
    return Validation(tuple(failures), len(suite), pages)


def _context() -> Any:
    """Great Expectations, in memory, quiet, and calling nobody."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with _without_spark():
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

    # Its progress bars, and its notice of them, are for notebooks.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


@contextmanager
def _without_spark() -> Iterator[None]:
    """As if pyspark were not installed.

    Great Expectations imports all of it where it finds it, and `pyspark.sql.connect` (4.3) ends the
    whole process, with status 0, where one of its own optional packages is missing.
    """
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_spark(name)}
    sys.modules["pyspark"] = None  # type: ignore[assignment] # so an import of it fails
    try:
        yield
    finally:
        del sys.modules["pyspark"]
        sys.modules.update(hidden)


def _is_spark(module: str) -> bool:
    return module.partition(".")[0] == "pyspark"


def _run(context: Any, name: str, table: Table, of_table: Sequence[Check]) -> Any:
    import great_expectations as gx
    import pandas as pd

    source = context.data_sources.add_pandas(name)
    definition = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
    batch = definition.get_batch({"dataframe": pd.DataFrame(dict(table), copy=False)})
    expectations = [_expectation(check) for check in of_table]
    # The mean of a column that is nowhere known is what is asked about, no cause for a warning.
    with np.errstate(all="ignore"):
        return batch.validate(gx.ExpectationSuite(name=name, expectations=expectations))


def _expectation(check: Check) -> Any:
    import great_expectations.expectations as gxe

    column = {"column": check.column} if check.column else {}
    kind = getattr(gxe, check.expectation)
    return kind(**column, **check.bounds, notes=check.why, meta={"check": check.name})


def _observed(check: Check, result: Any) -> str:
    raised = (result.exception_info or {}).get("exception_message")
    if raised:
        return f"could not be told: {raised}"
    if "unexpected_percent" in result.result:
        return f"{result.result['unexpected_percent']:.3g} % of the values are outside"
    return check.words(result.result.get("observed_value")) or "nothing is known"
