# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be asked for: methods, parameters, job options and mask presets, as generated from the library into `spec.json`."""

import json
from functools import lru_cache
from pathlib import Path

FILE = Path(__file__).resolve().parent / "spec.json"


@lru_cache(maxsize=1)
def load():
    """Return the content of `spec.json`."""
    with open(FILE, encoding="utf-8") as file:
        return json.load(file)


def method(method_id):
    """Return the description of one method."""
    return next(m for m in load()["methods"] if m["id"] == method_id)


def mask_presets():
    """Return the product presets that say which values of a mask raster are invalid."""
    return load()["mask_presets"]
