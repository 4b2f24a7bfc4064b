"""The report of a validation as one HTML page that loads nothing from anywhere.

Great Expectations renders it; its template draws style sheets, scripts and pictures from public
addresses, which are taken out and stood in for by a few lines of style: a report of our data
tells nobody that it was opened, and can be read without a network.
"""

import re
from typing import Any

#: Elements that fetch, or that only work with what was fetched.
_FETCHING = re.compile(
    r"<script\b.*?</script\s*>|<link\b[^>]*>|<img\b[^>]*>|<iframe\b.*?</iframe\s*>"
    r"|<form\b.*?</form\s*>|<source\b[^>]*>",
    re.IGNORECASE | re.DOTALL,
)
_ELSEWHERE = re.compile(
    r"""(?:href|src)\s*=\s*(["'])\s*(?:(?:https?:)?//|\.\./).*?\1""", re.IGNORECASE
)
_PICTURE = re.compile(r"url\(\s*[\"']?(?:https?:)?//[^)]*\)", re.IGNORECASE)
_STYLE = """<style>
body { font: 15px/1.45 system-ui, sans-serif; max-width: 80rem; margin: 1rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: .5rem 0 1.5rem }
td, th { border: 1px solid #bbb; padding: .3rem .6rem; vertical-align: top; text-align: left }
.badge { background: #8882; border-radius: .3rem; padding: 0 .3rem }
.text-success { color: #197a33 } .text-danger { color: #b3161b } ul { margin: 0 }
.modal, .collapse, nav { display: none }
</style>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
"""


def page_of(results: Any) -> str:
    """The page of a `great_expectations` validation result."""
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaPageView

    for result in results.results:
        observed = result.result.get("observed_value")
        if hasattr(observed, "item"):  # a numpy scalar's text is not that of a number
            result.result["observed_value"] = observed.item()
    view: Any = DefaultJinjaPageView()
    return standalone(view.render(ValidationResultsPageRenderer().render(results)))


def standalone(page: str) -> str:
    """The page without anything that a browser would fetch."""
    kept = _PICTURE.sub("none", _ELSEWHERE.sub("", _FETCHING.sub("", page)))
    head, found, rest = kept.partition("</head>")
    return f"{head}{_STYLE}{found}{rest}" if found else _STYLE + kept
