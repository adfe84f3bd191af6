# SPDX-License-Identifier: MIT OR Apache-2.0
"""Jobs of files: the library reads, fuses and writes them through GDAL, within a memory budget whatever their size."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Union

from . import _abi, _library
from ._json import Date, to_json

Image = Union[str, "os.PathLike[str]", Sequence[Any], Mapping[str, Any]]
"""An image as in a job file: a name that GDAL can open, a list of names (one per band), or a dict with `path` and more."""


class Job:
    """A fusion job: method, parameters, images with roles and dates, output.

    Parameters
    ----------
    job
        A dict as in a job file, JSON text (it starts with a brace), or the path of a job file. Relative names in a job file
        are relative to its folder; others to the current one.

    Raises
    ------
    Error
        The job is malformed: unknown keys, wrong types, unknown methods and parameters. Its images are not looked at.
    """

    def __init__(self, job: Mapping[str, Any] | str | os.PathLike[str]):
        with _library.context() as context:
            if isinstance(job, Mapping):
                opened = context.job(to_json(job))
            elif isinstance(job, str) and job.lstrip().startswith("{"):
                opened = context.job(job)
            else:
                opened = context.job_file(job)
            with opened as handle:
                self._json = context.text("stf_job_to_json", handle)

    def __repr__(self) -> str:
        job = self.to_dict()
        return f"<stfusion.Job {job['method']}, {len(job['pairs'])} pairs>"

    def to_json(self) -> str:
        """Return the job as the text of a job file, names resolved."""
        return self._json

    def to_dict(self) -> dict[str, Any]:
        """Return the job as a dict."""
        return json.loads(self._json)

    def run(self, progress: _library.ProgressFunction | None = None, threads: int = 0) -> dict[str, Any]:
        """Fuse: read the images, write the output and beside it `<output>.stf`, a job file that repeats the run.

        Parameters
        ----------
        progress
            Called as `progress(fraction, message)` on the calling thread, at most 20 times a second. False stops the run.
        threads
            Number of threads, unless the job says it; 0: as many as the process may use.

        Returns
        -------
        dict
            What was done: `method`, `device`, `files` (written), `bands`, `rows`, `cols`, `predicted_fraction` (0 to 1),
            `derived`, `warnings`, `tile_px`, `threads`, `memory_bytes`, `seconds`.

        Raises
        ------
        Error
            What failed, by file, value and expectation, and the remedy. Nothing is left under the output's name then.
        Cancelled
            `progress` returned False.
        """
        with _library.context(progress, threads) as context, context.job(self._json) as handle:
            return context.run(handle)

    def inspect(self) -> dict[str, Any]:
        """Return what a run would do, without doing it: grids, dates, scale, warnings, memory, tiles."""
        with _library.context() as context, context.job(self._json) as handle:
            return context.json("stf_job_inspect_json", handle)

    def compare(
        self,
        methods: Sequence[str | Mapping[str, Any]] = (),
        *,
        report: str | os.PathLike[str] | None = None,
        csv: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        data_range: float | None = None,
        progress: _library.ProgressFunction | None = None,
        threads: int = 0,
    ) -> dict[str, Any]:
        """Compare methods on the pairs of the job: each is held back in turn, predicted from the others, and is the truth.

        Target and output of the job are not looked at. Two pairs are needed at least.

        Parameters
        ----------
        methods
            Ids, ids with settings (`"starfm:window=31"`), or dicts with `method` and `parameters`; none: every method that the
            pairs satisfy, the job's own with the job's parameters. The baselines always take part.
        report, csv
            Names of an HTML report and of a table to write.
        overwrite
            Replace them if they exist.
        data_range
            Range of the values for SSIM and PSNR; None: 1 for reflectance, else the range of the fine images.
        progress, threads
            As in `run`.

        Returns
        -------
        dict
            `recommendation` (sentences), `best`, `best_skill`, `methods` (each with `name`, `scores` over all folds, `folds`,
            `valid_fraction`, `cpu_seconds`, `seconds`, `memory_bytes`; the smallest error first), `left_out`, `folds`, `bands`,
            `baselines`, `warnings` and more.
        """
        options: dict[str, Any] = {"methods": list(methods), "overwrite": overwrite}
        named = {"report": report, "csv": csv, "data_range": data_range}
        options.update({name: value for name, value in named.items() if value is not None})
        with _library.context(progress, threads) as context, context.job(self._json) as handle:
            return context.json("stf_job_compare_json", handle, _abi.encode(to_json(options)))


def image_info(name: str | os.PathLike[str]) -> dict[str, Any]:
    """Return size, bands, grid, type, scale, nodata and date of an image; `name` is one that GDAL can open."""
    with _library.context() as context:
        return context.json("stf_image_info_json", _abi.encode(name))


def weights_info(name: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a weights file is: network, bands, inputs, scaling, training, licence, problems, and the same as `text`."""
    with _library.context() as context:
        return context.json("stf_weights_info_json", _abi.encode(name))


def assess(
    prediction: Image,
    truth: Image,
    *,
    fine: Sequence[tuple[Date | None, Image]] = (),
    coarse: Sequence[Image] = (),
    target: tuple[Date | None, Image] | None = None,
    truth_mask: Image | None = None,
    data_range: float | None = None,
    bands: Sequence[tuple[int, int]] | None = None,
    progress: _library.ProgressFunction | None = None,
    threads: int = 0,
) -> dict[str, Any]:
    """Compare a prediction with the truth, and with what simple baselines make of the same images.

    Parameters
    ----------
    prediction, truth
        Images as in a job file.
    fine, coarse, target
        For the baselines: the pairs' fine images as (date or None, image), their coarse images in the same order, and the
        target's coarse image as (date or None, image).
    truth_mask
        Mask of the truth, as in a job file.
    data_range
        Range of the values for SSIM and PSNR; None: 1 for reflectance, else the truth's range.
    bands
        Pairs of (fine band, coarse band), counted from 1; None: by order.

    Returns
    -------
    dict
        RMSE, MAE, bias, R, R², SSIM, PSNR, UIQI, SAM, ERGAS per band and overall, and the skill against each baseline.
    """
    request: dict[str, Any] = {"prediction": prediction, "truth": truth}
    if fine:
        request["fine"] = [_dated(*image) for image in fine]
    if coarse:
        request["coarse"] = list(coarse)
    if target is not None:
        request["target"] = _dated(*target)
    if truth_mask is not None:
        request["truth_mask"] = truth_mask
    if data_range is not None:
        request["data_range"] = data_range
    if bands is not None:
        request["grid"] = {"bands": [list(pair) for pair in bands]}
    with _library.context(progress, threads) as context:
        return context.json("stf_assess_json", _abi.encode(to_json(request)))


def _dated(date: Date | None, image: Image) -> dict[str, Any]:
    return {"image": image} if date is None else {"date": date, "image": image}
