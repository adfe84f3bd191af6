# SPDX-License-Identifier: MIT OR Apache-2.0
"""Fusion of numpy arrays, in place: the library reads the arrays' own memory, at any stride, and writes the result.

    fuse ──> a job without files ──> images described to the library ──> run ──> array like the fine image

Invalid are NaN, infinity, `nodata`, masked elements and non-zero elements of masks.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _abi, _library
from ._json import Date, iso_date, to_json

SUPPORT_BANDS = ("similar_pixels", "valid_fraction", "days_to_nearest_pair", "extrapolated", "fallback")
"""Bands of a support layer."""

# what the library computes with, for types it does not know: inputs without loss where there is a way, outputs within range
_READ_AS = {"b1": "u1", "f2": "f4", "i8": "f8", "u8": "f8", "f16": "f8"}
_WRITTEN_AS = {"b1": "u1", "f2": "f4", "i8": "i4", "u8": "u4", "f16": "f8"}


@dataclass
class Pair:
    """A fine and a coarse image of the same day.

    Parameters
    ----------
    fine
        Fine image, shape (band, row, col), or (row, col) for a single band. Any real type, any strides. A masked array's
        masked elements are invalid.
    coarse
        Coarse image, on the fine grid with the fine image's shape, or of its own resolution: aligned at the upper-left
        corner, with the fine rows and columns divided by a whole number. The latter is resampled as
        `coarse_resampling` says.
    date
        Day of the pair; needed by methods that weigh time. Text `YYYY-MM-DD`, `datetime.date` or `numpy.datetime64`.
    fine_mask, coarse_mask
        Shape (row, col) or that of the image; elements that are not zero are invalid.
    classes
        Class map, shape (row, col), for methods that take one.
    objects
        Object map (segment numbers, whole and below 2**24), shape (row, col), for methods that take one.
    pan
        Panchromatic image of the same day, shape (row, col), for methods that take one. A masked array's masked elements are
        invalid.
    """

    fine: ArrayLike
    coarse: ArrayLike
    date: Date | None = None
    fine_mask: ArrayLike | None = None
    coarse_mask: ArrayLike | None = None
    classes: ArrayLike | None = None
    objects: ArrayLike | None = None
    pan: ArrayLike | None = None

    def images(self) -> tuple[ArrayLike | None, ...]:
        """Return fine and coarse image, their masks, class map, object map and panchromatic image."""
        return (self.fine, self.coarse, self.fine_mask, self.coarse_mask, self.classes, self.objects, self.pan)


def fuse(
    pairs: Pair | Sequence[Pair],
    target: ArrayLike,
    target_date: Date | None = None,
    method: str = "starfm",
    parameters: Mapping[str, Any] | None = None,
    *,
    target_mask: ArrayLike | None = None,
    support: bool = False,
    progress: _library.ProgressFunction | None = None,
    threads: int = 0,
    memory: int | str | None = None,
    device: str = "auto",
    nodata: float | None = None,
    dtype: DTypeLike | None = None,
    out: np.ndarray | None = None,
    coarse_scale: float | None = None,
    coarse_resampling: str = "auto",
    **more_parameters: Any,
) -> NDArray[Any] | tuple[NDArray[Any], NDArray[np.float32]]:
    """Predict the fine image of the day of `target`.

    Parameters
    ----------
    pairs
        One or more pairs of images.
    target
        Coarse image of the day to predict, as the coarse images of the pairs.
    target_date
        Day to predict; needed by methods that weigh time.
    method
        Id of a method; `stfusion.methods()` lists them.
    parameters, more_parameters
        Parameters of the method by id, such as `window=31`; in a dict or as keywords. The rest have their defaults.
    target_mask
        Shape (row, col) or that of the target; elements that are not zero are invalid.
    support
        Also return the support layer.
    progress
        Called as `progress(fraction, message)` on the calling thread, at most 20 times a second. False stops the run; an
        exception does too, and is raised again.
    threads
        Number of threads; 0: `STFUSION_NUM_THREADS`, else as many as the process may use.
    memory
        Memory budget beside the arrays, in bytes or as text such as "2GiB".
    device
        "auto" or "cpu".
    nodata
        Value that means invalid, in all images and in the result.
    dtype
        Type of the result; the first fine image's by default. Whole numbers are rounded, and limited to the type's range.
    out
        Array to write the result to, of the fine image's shape; a `numpy.memmap` keeps large results out of memory.
    coarse_scale
        Fine pixels per side of a coarse pixel, if known.
    coarse_resampling
        How coarse images of their own resolution come onto the fine grid: "nearest", "bilinear" or "cubic";
        "auto": what the method works best with.

    Returns
    -------
    prediction : ndarray
        Shape of the first fine image. Pixels that cannot be predicted are `nodata`; without one NaN, or for whole numbers
        the lowest value of a signed and the highest of an unsigned type, with a warning. A masked array when the first fine
        image is one.
    support : ndarray of float32, shape (5, row, col)
        With `support=True`: number of similar pixels; valid part (0 to 1) of the samples; days to the nearest pair;
        1 where all pairs lie on one side of the target, else 0; 0 where the method's full rule applied, else the number
        of the fallback (`stfusion.spec()["fallbacks"]`). NaN where nothing is predicted.

    Raises
    ------
    Error
        What is wrong with images or parameters, and the remedy.
    Cancelled
        `progress` returned False.
    LibraryUnusable
        The library is not found or does not fit.
    """
    pairs = [pairs] if isinstance(pairs, Pair) else list(pairs)
    parameters = {**(parameters or {}), **more_parameters}
    job = {"stfusion": 1, "method": method, "parameters": parameters, "device": device}
    job["grid"] = {"coarse_resampling": coarse_resampling}
    if nodata is not None:
        nodata = None if np.isnan(nodata) else float(nodata)
    if memory is not None:
        job["memory"] = memory if isinstance(memory, str) else str(int(memory))

    described = [
        (
            pair.date,
            _Input(pair.fine, f"The fine image of pair {k}", pair.fine_mask, nodata),
            _Input(pair.coarse, f"The coarse image of pair {k}", pair.coarse_mask, nodata),
            {
                function: _Input(image, f"The {name} of pair {k}", None, of_values)
                for function, name, image, of_values in (
                    ("stf_job_set_pair_class_image", "class map", pair.classes, None),
                    ("stf_job_set_pair_object_image", "object map", pair.objects, None),
                    ("stf_job_set_pair_pan_image", "panchromatic image", pair.pan, nodata),
                )
                if image is not None
            },
        )
        for k, pair in enumerate(pairs)
    ]
    coarse = _Input(target, "The target's coarse image", target_mask, nodata)
    # without a pair the library says so
    like = described[0][1] if described else coarse
    output = _Output(like, dtype, nodata, out)
    layer = np.empty((len(SUPPORT_BANDS), *like.array.shape[1:]), np.float32) if support else None

    with _library.context(progress, threads) as context, context.job(to_json(job)) as handle:
        if coarse_scale is not None:
            context.call("stf_job_set_double", handle, b"coarse_scale", float(coarse_scale))
        for k, (date, fine, coarse_of_pair, extra_images) in enumerate(described):
            context.call("stf_job_add_pair_image", handle, _day(date), fine.image, coarse_of_pair.image)
            for function, extra in extra_images.items():
                context.call(function, handle, k, extra.image)
        context.call("stf_job_set_target_image", handle, _day(target_date), coarse.image)
        report = context.run_image(handle, output.image, None if layer is None else _describe(layer))
    result = output.result(complete=report["predicted_fraction"] >= 1)
    return result if layer is None else (result, layer)


def _day(date: Date | None) -> bytes | None:
    return _abi.encode(iso_date(date))


def _kind(dtype: np.dtype) -> str:
    return f"{dtype.kind}{dtype.itemsize}"


def _library_type(dtype: np.dtype, known_as: Mapping[str, str], name: str) -> np.dtype:
    """Return the type of the library, in native byte order, that stands for `dtype`."""
    kind = _kind(dtype)
    if kind in _abi.DTYPES:
        return dtype.newbyteorder("=")
    if kind not in known_as:
        raise TypeError(f"{name} has the type {dtype}; expected whole or real numbers")
    return np.dtype(known_as[kind])


def _three_dimensional(array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim not in (2, 3):
        raise ValueError(f"{name} has {array.ndim} dimensions {array.shape}; expected (band, row, col) or (row, col)")
    return array if array.ndim == 3 else array[np.newaxis]


def _addressable(array: np.ndarray) -> np.ndarray:
    """Return `array`, or a copy when repeated elements (stride 0) would read as packed ones."""
    repeated = any(stride == 0 and size > 1 for stride, size in zip(array.strides, array.shape))
    return array.copy() if repeated else array


def _describe(array: np.ndarray, nodata: float | None = None, mask: np.ndarray | None = None) -> _abi.Image:
    """Describe a (band, row, col) array, and a (row, col) mask of bytes, to the library."""
    image = _abi.Image(
        struct_size=_abi.ctypes.sizeof(_abi.Image),
        data=array.__array_interface__["data"][0],
        dtype=_abi.DTYPES[_kind(array.dtype)],
        scale=1.0,
    )
    image.bands, image.rows, image.cols = array.shape
    image.band_stride, image.row_stride, image.col_stride = array.strides
    if nodata is not None:
        image.nodata, image.has_nodata = nodata, 1
    if mask is not None:
        image.mask = mask.__array_interface__["data"][0]
        image.mask_row_stride, image.mask_col_stride = mask.strides
    return image


class _Input:
    """An image for the library to read. Keeps the memory alive that `image` describes."""

    def __init__(self, values: ArrayLike, name: str, mask: ArrayLike | None, nodata: float | None):
        self.was_masked = isinstance(values, np.ma.MaskedArray)
        data = np.asarray(values.data if self.was_masked else values)
        self.ndim = data.ndim
        self.dtype = data.dtype
        data = _three_dimensional(data, name)
        data = _addressable(data.astype(_library_type(data.dtype, _READ_AS, name), copy=False))
        invalid = None
        if mask is not None:
            mask = np.asarray(mask)
            invalid = _mask(mask if mask.dtype == bool else mask != 0, data.shape, name)
        if self.was_masked and values.mask is not np.ma.nomask:
            own = _mask(values.mask, data.shape, name)
            invalid = own if invalid is None else invalid | own
        if invalid is not None and len(invalid) > 1:
            # the library's mask is for all bands at once
            data = data.astype(np.float32 if data.dtype.itemsize <= 2 or data.dtype == np.float32 else np.float64)
            data[np.broadcast_to(invalid, data.shape)] = np.nan
            invalid = None
        self.array = data
        self.mask = None if invalid is None else _addressable(invalid[0].view(np.uint8))
        self.image = _describe(data, nodata, self.mask)


def _mask(mask: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Return a mask of one band when it is the same for all, else of as many bands as the image."""
    mask = _three_dimensional(mask, f"The mask of {name[0].lower()}{name[1:]}")
    if mask.shape not in (shape, (1, *shape[1:])):
        raise ValueError(f"The mask of {name[0].lower()}{name[1:]} has the shape {mask.shape}; expected {shape[1:]} or {shape}")
    return mask[:1] if (mask == mask[:1]).all() else mask


class _Output:
    """An image for the library to write, like the fine image `like` but for what the caller wants otherwise."""

    def __init__(self, like: _Input, dtype: DTypeLike | None, nodata: float | None, out: np.ndarray | None):
        self.like = like
        self.nodata = nodata
        self.out = out
        wanted = like.dtype if dtype is None else np.dtype(dtype)
        if out is not None:
            wanted = self._check_out(out, like, dtype)
        self.dtype = wanted
        stored = _library_type(wanted, _WRITTEN_AS, "The result")
        self.used = nodata
        if nodata is None and stored.kind in "iu":
            limits = np.iinfo(stored)
            self.used = limits.min if stored.kind == "i" else limits.max
        if out is None:
            self.array = np.empty(like.array.shape, stored)
        else:
            self.array = out if out.ndim == 3 else out[np.newaxis]
        self.image = _describe(self.array, self.used)

    @staticmethod
    def _check_out(out: np.ndarray, like: _Input, dtype: DTypeLike | None) -> np.dtype:
        if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
            raise TypeError(f"out must be a numpy array, not masked; got {type(out).__name__}")
        expected = like.array.shape if like.ndim == 3 else like.array.shape[1:]
        if out.shape != expected:
            raise ValueError(f"out has the shape {out.shape}; expected {expected} as the fine image")
        if not out.flags.writeable:
            raise ValueError("out cannot be written to")
        if _kind(out.dtype) not in _abi.DTYPES or not out.dtype.isnative:
            raise TypeError(f"out has the type {out.dtype}; expected int8 to uint32, float32 or float64 in native byte order")
        if dtype is not None and np.dtype(dtype) != out.dtype:
            raise TypeError(f"out has the type {out.dtype}, but dtype is {np.dtype(dtype)}; leave one of them out")
        return out.dtype

    def result(self, complete: bool) -> np.ndarray:
        """Return what the library has written; `complete`: no pixel is missing."""
        data = self.array if self.like.ndim == 3 else self.array[0]
        if self.out is not None:
            data = self.out
        if self.like.was_masked:
            invalid = np.isnan(data) if data.dtype.kind == "f" else np.zeros(data.shape, bool)
            if self.used is not None:
                invalid |= data == data.dtype.type(self.used)
            return np.ma.MaskedArray(data.astype(self.dtype, copy=False), invalid, fill_value=self.nodata)
        if not complete and self.nodata is None and self.used is not None:
            warnings.warn(
                f"Some pixels cannot be predicted and have the value {self.used}: give nodata, dtype=numpy.float32 for NaN, or "
                "masked arrays",
                stacklevel=3,
            )
        return data.astype(self.dtype, copy=False)
