# SPDX-License-Identifier: MIT OR Apache-2.0
"""Fusion of dask arrays: lazy, one task for each predicted image.

An image is not fused chunk by chunk: methods take statistics over the whole image (STARFM the standard deviation that decides
which pixels are similar), so that chunks would differ from the whole. The task gets its images whole and computes what
`stfusion.fuse` computes, bit for bit; the images of a series are predicted side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dask
import dask.array as da
import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from . import fusion
from ._json import Date, iso_date


def fuse(
    pairs: fusion.Pair | Sequence[fusion.Pair],
    target: ArrayLike,
    target_date: Date | None = None,
    method: str = "starfm",
    parameters: Mapping[str, Any] | None = None,
    *,
    target_mask: ArrayLike | None = None,
    support: bool = False,
    threads: int = 1,
    dtype: DTypeLike | None = None,
    **options: Any,
) -> da.Array | tuple[da.Array, da.Array]:
    """Predict the fine image of the day of `target`, when it is computed.

    Parameters
    ----------
    pairs, target, target_date, method, parameters, target_mask, support, dtype
        As for `stfusion.fuse`; images and masks may be dask arrays of any chunks.
    threads
        Number of threads of one prediction; 1 by default, because dask runs several predictions at a time.
    options
        Further options of `stfusion.fuse`, and parameters of the method. Not `progress` and `out`.

    Returns
    -------
    prediction : dask array
        Chunked like the first fine image. Its single task holds all its images in memory; for images that do not fit, use
        `stfusion.Job` with files, or `numpy.memmap` arrays.
    support : dask array of float32, shape (5, row, col)
        With `support=True`.
    """
    refused = sorted({"progress", "out"} & set(options))
    if refused:
        raise TypeError(f"{refused[0]} is not for dask arrays: they are computed later and elsewhere")
    pairs = [pairs] if isinstance(pairs, fusion.Pair) else list(pairs)
    if not pairs:
        raise ValueError("There is no pair; give at least one fine and coarse image of the same day")
    fine = pairs[0].fine if hasattr(pairs[0].fine, "dtype") else np.asarray(pairs[0].fine)
    images = [[_whole(image) for image in pair.images()] for pair in pairs]
    settings = {
        "method": method,
        "parameters": dict(parameters or {}),
        "support": support,
        "threads": threads,
        "dtype": dtype,
        **options,
    }
    dates = [iso_date(pair.date) for pair in pairs]
    task = dask.delayed(_fuse, nout=2 if support else None)
    result = task(images, dates, _whole(target), iso_date(target_date), _whole(target_mask), settings)
    prediction = result[0] if support else result
    chunks = fine.chunks if isinstance(fine, da.Array) else fine.shape
    predicted = da.from_delayed(prediction, fine.shape, fine.dtype if dtype is None else np.dtype(dtype)).rechunk(chunks)
    if not support:
        return predicted
    shape = (len(fusion.SUPPORT_BANDS), *fine.shape[-2:])
    return predicted, da.from_delayed(result[1], shape, np.float32).rechunk((shape[0], *chunks[-2:]))


def _whole(image: ArrayLike | None) -> Any:
    """Return the task that gives all of a dask array, or what is in memory as it is, as one node of the graph."""
    if isinstance(image, da.Array):
        return image.rechunk(image.shape).to_delayed().item()
    return None if image is None else dask.delayed(image, traverse=False)


def _fuse(images, dates, target, target_date, target_mask, settings):
    pairs = [fusion.Pair(fine, coarse, date, *masks_and_maps) for (fine, coarse, *masks_and_maps), date in zip(images, dates)]
    return fusion.fuse(pairs, target, target_date, target_mask=target_mask, **settings)
