# SPDX-License-Identifier: MIT OR Apache-2.0
"""Networks run once on arrays: those whose inputs are no images of a fusion job, and for whoever wants to see what one does."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from typing import Any, Union

import numpy as np
import numpy.typing as npt

from . import _abi, _library
from ._json import to_json

Weights = Union[str, "os.PathLike[str]", bytes]
"""Weights of a network: the name of a safetensors or ONNX file, or its contents."""


def infer(
    weights: Weights,
    /,
    *,
    network: str | None = None,
    options: Mapping[str, Any] | None = None,
    threads: int = 0,
    **arrays: npt.ArrayLike,
) -> dict[str, npt.NDArray[np.float32]]:
    """Run a network once on arrays and return its results by their names.

    Parameters
    ----------
    weights
        A safetensors or ONNX file, or its contents as bytes.
    network
        Id of the network, where the file does not say it.
    options
        Options of the network; they win over those of the file.
    threads
        Number of threads; 0: as many as the process may use.
    arrays
        An array for every input of the network, by the input's name: `infer(weights, history_data=history)`. Values become
        single precision. Names that are no Python names are given as `**{"input.1": array}`.

    Returns
    -------
    dict
        The results, each an array of single precision.

    Raises
    ------
    Error
        The weights cannot be read, or arrays and network do not fit: what is missing, superfluous or of another shape.
    """
    name, contents = ("weights (in memory)", weights) if isinstance(weights, bytes) else (weights, None)
    named = {"network": network, "options": dict(options or {})}
    with _library.context(None, threads) as context, context.arrays() as inputs:
        for key, value in arrays.items():
            array = np.ascontiguousarray(value, dtype=np.float32).reshape(np.shape(value))
            shape = (ctypes.c_size_t * array.ndim)(*array.shape)
            values = array.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            context.call("stf_arrays_add", inputs, _abi.encode(key), shape, array.ndim, values)
        with context.infer(name, contents, to_json(named), inputs) as results:
            return dict(_copied(context, results, index) for index in range(context.arrays_count(results)))


def _copied(context: Any, results: Any, index: int) -> tuple[str, npt.NDArray[np.float32]]:
    name, shape, values = context.array(results, index)
    count = int(np.prod(shape, dtype=np.int64))
    flat = np.ctypeslib.as_array(values, (count,)) if count else np.empty(0, np.float32)
    return name, flat.reshape(shape).copy()
