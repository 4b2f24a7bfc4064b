"""Every figure that placestream quotes, each with the command that makes it.

`python -m benchmarks.NAME` prints a figure beside its reference, as a ratio with its spread;
with `--json` the last line is one JSON object with every figure, units in the keys.
"""

import inference  # noqa: F401  # the clients here are to read as those of the service do
