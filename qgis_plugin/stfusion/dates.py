# SPDX-License-Identifier: GPL-2.0-or-later
"""Days as people and Processing write them."""

import datetime
import re

_PATTERNS = (
    (re.compile(r"(\d{4})-(\d{2})-(\d{2})"), "ymd"),
    (re.compile(r"(\d{4})(\d{2})(\d{2})"), "ymd"),
    (re.compile(r"(\d{4})-?(\d{3})"), "yj"),
)


def iso_date(value):
    """Return `value` as `YYYY-MM-DD`, or None when it is empty.

    `value` is a Python or Qt date (with or without time), or text: 2001-11-25, 20011125, 2001-329 or 2001329 (day of year);
    a time after it is ignored. Raises ValueError for anything else.
    """
    if value is None:
        return None
    if hasattr(value, "isNull"):
        if value.isNull():
            return None
        day = value.date() if hasattr(value, "date") else value
        if hasattr(day, "year") and callable(day.year):
            return f"{day.year():04}-{day.month():02}-{day.day():02}"
        return iso_date(str(value))
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.strftime("%Y-%m-%d")
    text = str(value).strip()
    if not text:
        return None
    day = re.split(r"[T ]", text)[0]
    for pattern, kind in _PATTERNS:
        found = pattern.fullmatch(day)
        if found is None:
            continue
        numbers = [int(n) for n in found.groups()]
        try:
            if kind == "ymd":
                return datetime.date(*numbers).isoformat()
            first = datetime.date(numbers[0], 1, 1)
            last = datetime.date(numbers[0], 12, 31)
            if 1 <= numbers[1] <= (last - first).days + 1:
                return (first + datetime.timedelta(days=numbers[1] - 1)).isoformat()
        except ValueError:
            break
    raise ValueError(f"{text!r} is not a date; write it as YYYY-MM-DD, YYYYMMDD or YYYY-DDD (day of year)")
