"""Statistics of an archive in pandas, a day in memory at a time: for groups that SQL has no name for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from voxops.analysis import finish, merge, partial
from voxops.analysis.partials import FIELDS, SPANS
from voxops.archive._table import SCHEMA, file_format, to_frame
from voxops.archive._where import created

__all__ = ["COUNTED_COLUMNS", "frame_by_frame"]

# What statistics read of a delivery beside its groups; of an error only whether there is one.
COUNTED_COLUMNS = ("success", "status_code", "latency_ms", "retry_count", "created_at")


def frame_by_frame(
    files: Sequence[Path],
    names: Sequence[str],
    tz: str,
    span: tuple[pd.Timestamp | None, pd.Timestamp | None],
) -> pd.DataFrame:
    """The table of `delivery_stats` of the deliveries in these files that were created within a span."""
    schema = SCHEMA["deliveries"]
    # Refuses groups that there are not, as `delivery_stats` does.
    nothing = partial(to_frame(schema.empty_table()), names, tz=tz)
    groups = [FIELDS.get(name, name) for name in names if name not in SPANS]
    read: dict[str, Any] = {name: pc.field(name) for name in dict.fromkeys([*COUNTED_COLUMNS, *groups])}
    if "error" not in groups:  # its text is not needed, and is most of the bytes
        read["error"] = pc.if_else(pc.is_valid(pc.field("error")), True, pa.scalar(None, pa.bool_()))
    wanted = created(*span, prune=False)
    done: list[pd.DataFrame] = []
    for path in files:
        data = ds.dataset([str(path)], schema=schema, format=file_format("deliveries"))
        done.append(partial(to_frame(data.to_table(columns=read, filter=wanted)), names, tz=tz))
        if len(done) >= 8:  # merge now and then, so that memory holds few of them
            done = [merge(done)]
    return finish(merge(done or [nothing]))
