# SPDX-License-Identifier: MIT OR Apache-2.0
"""JSON for the library from what Python programs have: numpy numbers, arrays, paths, dates."""

from __future__ import annotations

import datetime
import json
import math
import os
from collections.abc import Mapping
from typing import Any, Union

import numpy as np

Date = Union[str, datetime.date, np.datetime64]


def iso_date(date: Date | None) -> str | None:
    """Return `YYYY-MM-DD`, or None. Text is left to the library to read."""
    if date is None or isinstance(date, str):
        return date
    if isinstance(date, np.datetime64):
        return None if np.isnat(date) else str(date.astype("datetime64[D]"))
    if isinstance(date, datetime.datetime):
        date = date.date()
    if isinstance(date, datetime.date):
        return date.isoformat()
    raise TypeError(f"A date must be text (YYYY-MM-DD), datetime.date or numpy.datetime64; got {date!r}")


def to_json(value: Any) -> str:
    """Return `value` as JSON text."""
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (datetime.date, np.datetime64)):
        return iso_date(value)
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        # JSON has no such number: as text, it is the library that refuses it, by the name of the parameter
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value
