"""docs/features.md lists every feature, as it is defined."""

from online_features.definitions import PLACE, USER
from online_features.describe import PAGE, table, written


def test_the_page_has_every_feature_as_it_is_defined() -> None:
    """If not: `python -m online_features.describe`."""
    page = PAGE.read_text()
    assert written(page) == page
    for features in (USER, PLACE):
        for feature in features.features:
            assert f"| `{feature.name}` |" in table(features)


def test_bytes_add_up() -> None:
    """What the rows cost is what the state costs."""
    for features in (USER, PLACE):
        costs = [int(line.split("|")[-2]) for line in table(features).splitlines()[2:]]
        assert sum(costs[:-1]) == costs[-1] == features.dtype.itemsize


def test_every_aggregation_is_explained() -> None:
    """The page says what each kind keeps."""
    page = PAGE.read_text()
    for features in (USER, PLACE):
        for feature in features.features:
            assert f"| `{type(feature.aggregation).__name__}(" in page
