"""One frame of pandas in every form that a table may have."""

from __future__ import annotations

import polars as pl

from fastmlp.data.tables import from_frame

FORMS = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "dict of arrays": lambda frame: {name: frame[name].to_numpy() for name in frame},
    "dict of lists": lambda frame: {name: frame[name].tolist() for name in frame},
    "table": from_frame,
}
