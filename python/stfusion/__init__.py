# SPDX-License-Identifier: MIT OR Apache-2.0
"""Spatiotemporal fusion: a fine image for a day on which only a coarse one exists.

    fuse, Pair                   numpy arrays
    Job, assess, image_info      files
    weights_info                 a network's weights
    infer                        a network run once on arrays
    stfusion.xr, stfusion.dask   xarray and dask
    methods, devices, ...        what the library can do

Arrays are (band, row, col), values unscaled, time in days, distances in fine pixels. Messages go to the logger `stfusion`.
"""

from __future__ import annotations

from typing import Any

from ._abi import Cancelled, Error, LibraryUnusable
from ._library import context as _context
from ._library import library as _library_in_use
from ._library import load_library
from .fusion import SUPPORT_BANDS, Pair, fuse
from .inference import infer
from .jobs import Job, assess, image_info, weights_info

__version__ = "0.1.0"

for _exception in (Cancelled, Error, LibraryUnusable):
    _exception.__module__ = __name__

__all__ = [
    "SUPPORT_BANDS",
    "Cancelled",
    "Error",
    "Job",
    "LibraryUnusable",
    "Pair",
    "assess",
    "devices",
    "fuse",
    "image_info",
    "infer",
    "installation",
    "job_schema",
    "library_version",
    "load_library",
    "methods",
    "spec",
    "weights_info",
]


def methods() -> list[dict[str, Any]]:
    """Return the methods, each a dict.

    `id`, `label`, `summary`, `family`, `tags`, `references`, `min_pairs`, `max_pairs` (None: any number), `needs_dates`,
    `accepts_classes`, `accepts_objects`, `accepts_pan`, `readme`, and `parameters`: dicts with `id`, `label`, `help`, `unit`,
    `advanced`, `kind`, `default` and, by kind, `min`, `max`, `odd`, `options` or `suffix`. A parameter of kind `file` names a
    file that is read, one of kind `new_file` a file that is written.
    """
    with _context() as context:
        return context.json("stf_methods_json")


def spec() -> dict[str, Any]:
    """Return everything that a dialog is built from: `methods`, `options` of jobs, `mask_presets`, `support_bands`."""
    with _context() as context:
        return context.json("stf_spec_json")


def job_schema() -> dict[str, Any]:
    """Return the JSON schema of a job file."""
    with _context() as context:
        return context.json("stf_job_schema_json")


def devices() -> dict[str, Any]:
    """Return what can compute: `devices` are the processor and every GPU, `gpu` says why there is no GPU, or is None.

    The `id` of a device is the word for the argument `device`.
    """
    with _context() as context:
        return context.json("stf_devices_json")


def installation() -> dict[str, Any]:
    """Return version, GDAL, processor, devices, threads and memory: what a bug report needs. Adds the library's `path`."""
    with _context() as context:
        return {**context.json("stf_installation_json"), "path": _library_in_use().path}


def library_version() -> str:
    """Return the version of the library in use."""
    return _library_in_use().version
