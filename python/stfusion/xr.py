# SPDX-License-Identifier: MIT OR Apache-2.0
"""Fusion of xarray objects: dimensions by name, grids compared, dates from `time`, coordinates and attributes kept.

Importing this module adds `coarse.stfusion.fuse(pairs)` to data arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray

from . import fusion
from ._json import Date, iso_date

_SPATIAL = (("y", "x"), ("latitude", "longitude"), ("lat", "lon"), ("row", "col"), ("northing", "easting"))
_KEPT_ENCODING = ("dtype", "scale_factor", "add_offset", "_FillValue", "grid_mapping")


def fuse(
    pairs: fusion.Pair | Sequence[fusion.Pair],
    target: xarray.DataArray,
    target_date: Date | None = None,
    method: str = "starfm",
    *,
    nodata: float | None = None,
    support: bool = False,
    **options: Any,
) -> xarray.DataArray | tuple[xarray.DataArray, xarray.DataArray]:
    """Predict the fine image of the day of `target`.

    Parameters
    ----------
    pairs
        One or more pairs whose images (and masks, maps and panchromatic images) are data arrays. Dimensions are rows and columns
        (`y, x`, `latitude, longitude`, `lat, lon`, `row, col`, `northing, easting`, or else the last two) and at most one more,
        the bands, in any order. Coarse images lie on the fine grid. Bands with the same labels are brought into the same order;
        other bands are matched by order.
    target
        Coarse image of the day to predict.
    target_date
        Day to predict. This, and a pair's date, is the scalar coordinate `time` of the (coarse, fine) image by default.
    nodata
        Value that means invalid; by default the attribute `_FillValue` of the first fine image, if it has one.
    method, support, options
        As for `stfusion.fuse`, and parameters of the method.

    Returns
    -------
    prediction : DataArray
        Dimensions, coordinates, attributes and encoding of the first fine image, with `time` of the target. Lazy when an
        image is a dask array.
    support : DataArray
        With `support=True`; its bands have the names of `stfusion.SUPPORT_BANDS`.

    Raises
    ------
    ValueError
        An image is not on the grid of the first fine image: which, in which coordinate, and by how much.
    """
    pairs = [pairs] if isinstance(pairs, fusion.Pair) else list(pairs)
    if not pairs:
        raise ValueError("There is no pair; give at least one fine and coarse image of the same day")
    fine = pairs[0].fine
    if not isinstance(fine, xarray.DataArray):
        raise TypeError(f"The fine image of pair 0 is of type {type(fine).__name__}; expected xarray.DataArray")
    order = _order(fine)
    like = fine.transpose(*order)

    def on_grid(image: Any, name: str, bands: bool = True) -> Any:
        return None if image is None else _on_grid(image, like if bands else like.isel(dict.fromkeys(order[:-2], 0)), name)

    ready = [
        fusion.Pair(
            on_grid(pair.fine, f"The fine image of pair {k}"),
            on_grid(pair.coarse, f"The coarse image of pair {k}"),
            _date(pair.date, pair.fine, pair.coarse),
            on_grid(pair.fine_mask, f"The mask of the fine image of pair {k}", _has_bands(pair.fine_mask, order)),
            on_grid(pair.coarse_mask, f"The mask of the coarse image of pair {k}", _has_bands(pair.coarse_mask, order)),
            on_grid(pair.classes, f"The class map of pair {k}", bands=False),
            on_grid(pair.objects, f"The object map of pair {k}", bands=False),
            on_grid(pair.pan, f"The panchromatic image of pair {k}", bands=False),
        )
        for k, pair in enumerate(pairs)
    ]
    date = _date(target_date, target)
    if "target_mask" in options:
        mask = options["target_mask"]
        options["target_mask"] = on_grid(mask, "The mask of the target's coarse image", _has_bands(mask, order))
    if nodata is None:
        nodata = fine.attrs.get("_FillValue")
    arrays = [on_grid(target, "The target's coarse image"), options.get("target_mask")]
    arrays += [image for pair in ready for image in pair.images()]
    door = fusion
    if any(hasattr(array, "dask") for array in arrays):
        from . import dask as door
    result = door.fuse(ready, arrays[0], date, method, nodata=nodata, support=support, **options)

    coords = {name: coord for name, coord in like.coords.items() if name != "time"}
    if "time" in target.coords and target.coords["time"].ndim == 0:
        coords["time"] = target.coords["time"]
    elif date is not None:
        coords["time"] = np.datetime64(date, "ns")
    image = result[0] if support else result
    prediction = xarray.DataArray(image, coords, order, fine.name, fine.attrs).transpose(*fine.dims)
    prediction.encoding = {key: fine.encoding[key] for key in _KEPT_ENCODING if key in fine.encoding}
    if not support:
        return prediction
    band = order[0] if len(order) == 3 else "band"
    flat = {name: coord for name, coord in coords.items() if band not in getattr(coord, "dims", ())}
    flat[band] = list(fusion.SUPPORT_BANDS)
    return prediction, xarray.DataArray(result[1], flat, (band, *order[-2:]), "support")


@xarray.register_dataarray_accessor("stfusion")
class Accessor:
    """`coarse.stfusion`: fusion of the day of a coarse image."""

    def __init__(self, coarse: xarray.DataArray):
        self._coarse = coarse

    def fuse(self, pairs: fusion.Pair | Sequence[fusion.Pair], target_date: Date | None = None, **options: Any) -> Any:
        """Predict the fine image of the day of this coarse image; see `stfusion.xr.fuse`."""
        return fuse(pairs, self._coarse, target_date, **options)


def _order(image: xarray.DataArray) -> tuple[Any, ...]:
    """Return the dimensions of `image` as ([band,] row, col)."""
    spatial = next((names for names in _SPATIAL if set(names) <= set(image.dims)), image.dims[-2:])
    order = (*(d for d in image.dims if d not in spatial), *spatial)
    if len(order) not in (2, 3) or len(spatial) != 2:
        raise ValueError(
            f"The fine image of pair 0 has the dimensions {image.dims}; expected rows, columns and at most one more for the "
            "bands: select one day first, as with .isel(time=0)"
        )
    return order


def _has_bands(mask: Any, order: tuple[Any, ...]) -> bool:
    return len(order) == 3 and order[0] in getattr(mask, "dims", ())


def _on_grid(image: Any, like: xarray.DataArray, name: str) -> Any:
    """Return the array of `image` in the order of dimensions of `like`, on whose grid it must be."""
    if not isinstance(image, xarray.DataArray):
        raise TypeError(f"{name} is of type {type(image).__name__}; expected xarray.DataArray")
    if set(image.dims) != set(like.dims):
        raise ValueError(f"{name} has the dimensions {image.dims}; expected {like.dims} as the first fine image, in any order")
    image = image.transpose(*like.dims)
    for dim in like.dims:
        if image.sizes[dim] != like.sizes[dim]:
            raise ValueError(f"{name} has {image.sizes[dim]} pixels along {dim}; expected {like.sizes[dim]}: {_REMEDY}")
        if dim not in image.coords or dim not in like.coords:
            continue
        have, want = image.coords[dim].values, like.coords[dim].values
        if dim not in like.dims[-2:]:
            # the same labels in another order; labels of another sensor say nothing
            if len(set(want)) == len(want) and set(have) == set(want):
                image = image.sel({dim: want})
        elif np.issubdtype(want.dtype, np.number) and np.issubdtype(have.dtype, np.number):
            step = abs(float(want[1] - want[0])) if len(want) > 1 else 1.0
            apart = float(np.abs(have - want).max())
            if not apart <= 0.01 * step:
                raise ValueError(f"{name} is up to {apart:g} apart from the first fine image in {dim}: {_REMEDY}")
    return image.data


_REMEDY = "resample it onto the fine grid first, as with .interp_like(fine) or .rio.reproject_match(fine)"


def _date(date: Date | None, *images: Any) -> str | None:
    """Return `date`, or the day in the scalar coordinate `time` of the first image that has one."""
    if date is not None:
        return iso_date(date)
    for image in images:
        time = getattr(image, "coords", {}).get("time")
        if time is not None and time.ndim == 0 and np.issubdtype(time.dtype, np.datetime64):
            return iso_date(time.values[()])
    return None
