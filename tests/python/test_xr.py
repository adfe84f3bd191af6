# SPDX-License-Identifier: MIT OR Apache-2.0
"""Fusion of xarray and dask arrays."""

import dask
import dask.array as da
import numpy as np
import pytest
import xarray
from conftest import Scene

import stfusion
import stfusion.dask
import stfusion.xr
from stfusion import Pair

same = np.testing.assert_array_equal


def data_array(image, time, **coords):
    bands, rows, cols = image.shape
    return xarray.DataArray(
        image,
        {
            "band": ["green", "red", "nir"][:bands],
            "y": 4500000 - 30.0 * np.arange(rows),
            "x": 500000 + 30.0 * np.arange(cols),
            "time": np.datetime64(time, "ns"),
            **coords,
        },
        ("band", "y", "x"),
        "reflectance",
        {"units": "1"},
    )


@pytest.fixture
def images(scene):
    fine = data_array(scene.fine, scene.date, spatial_ref=0)
    return fine, data_array(scene.coarse, scene.date), data_array(scene.target, scene.target_date)


def test_coordinates_attributes_and_dates_are_kept(scene, images):
    fine, coarse, target = images
    fine.encoding = {"dtype": "int16", "scale_factor": 1e-4, "source": "x.nc"}
    predicted, support = stfusion.xr.fuse(Pair(fine, coarse), target, method="starfm", window=9, support=True)
    expected, layer = scene.fuse("starfm", window=9, support=True)
    same(predicted.values, expected)
    assert predicted.dims == fine.dims and predicted.attrs == {"units": "1"} and predicted.name == "reflectance"
    for name in ("band", "y", "x", "spatial_ref"):
        same(predicted[name].values, fine[name].values)
    assert predicted.time.values == np.datetime64(scene.target_date)
    assert predicted.encoding == {"dtype": "int16", "scale_factor": 1e-4}
    same(support.sel(band="days_to_nearest_pair").values, 48)
    same(support.values, layer)
    same(support.x.values, fine.x.values)


def test_dimensions_and_bands_are_matched_by_name(images):
    fine, coarse, target = images
    expected = stfusion.xr.fuse(Pair(fine, coarse), target, method="coarse_increment")
    other = coarse.transpose("x", "band", "y").isel(band=[2, 0, 1])
    found = target.stfusion.fuse(Pair(fine.transpose("y", "x", "band"), other), method="coarse_increment")
    assert found.dims == ("y", "x", "band")
    same(found.transpose(*expected.dims).values, expected.values)


def test_one_band_needs_no_dimension(images):
    fine, coarse, target = (image.sel(band="red") for image in images)
    predicted, support = stfusion.xr.fuse(Pair(fine, coarse), target, method="coarse_increment", support=True)
    assert predicted.dims == ("y", "x") and support.dims == ("band", "y", "x")


def test_another_grid_is_refused_with_the_remedy(images):
    fine, coarse, target = images
    with pytest.raises(ValueError, match=r"The target's coarse image is up to 30 apart from the first fine image in x: resample"):
        stfusion.xr.fuse(Pair(fine, coarse), target.assign_coords(x=target.x + 30))
    with pytest.raises(ValueError, match="The coarse image of pair 0 has 5 pixels along y; expected 40: resample"):
        stfusion.xr.fuse(Pair(fine, coarse.isel(y=slice(5))), target)
    with pytest.raises(ValueError, match=r"select one day first"):
        stfusion.xr.fuse(Pair(fine.expand_dims("sensor").expand_dims("time2"), coarse), target)
    with pytest.raises(TypeError, match="expected xarray.DataArray"):
        stfusion.xr.fuse(Pair(fine, coarse.values), target)


def test_masks_and_fill_values_are_honoured(scene, images):
    fine, coarse, target = images
    hole = fine.isel(band=0, drop=True) > 0.2
    predicted = stfusion.xr.fuse(Pair(fine, coarse, fine_mask=hole), target, method="coarse_increment", target_mask=fine < 0.1)
    same(np.isnan(predicted.values), (hole.values | (scene.fine < 0.1)))
    filled = fine.where(~hole, -1).assign_attrs(_FillValue=-1)
    predicted = stfusion.xr.fuse(Pair(filled, coarse), target, method="coarse_increment")
    same((predicted == -1).values, np.broadcast_to(hole.values, fine.shape))


# dask


@pytest.mark.parametrize("scheduler", ["synchronous", "threads", "processes"])
def test_dask_arrays_give_the_same_bits(scene, scheduler):
    expected, layer = scene.fuse("starfm", window=9, support=True)

    def lazy(image):
        return da.from_array(image, chunks=(1, 13, 17))

    pair = Pair(lazy(scene.fine), lazy(scene.coarse), scene.date)
    predicted, support = stfusion.dask.fuse(
        pair, lazy(scene.target), scene.target_date, "starfm", window=9, support=True, threads=2
    )
    assert predicted.chunks == pair.fine.chunks and predicted.dtype == np.float32
    with dask.config.set(scheduler=scheduler):
        have, have_layer = dask.compute(predicted, support)
    same(have, expected)
    same(have_layer, layer)


def test_some_arrays_may_be_in_memory(scene):
    expected = stfusion.fuse(scene.pair, scene.target, method="coarse_increment", dtype="f8", target_mask=scene.fine[0] > 0.2)
    predicted = stfusion.dask.fuse(
        scene.pair, da.from_array(scene.target, chunks=20), method="coarse_increment", dtype="f8", target_mask=scene.fine[0] > 0.2
    )
    assert predicted.dtype == np.float64
    same(predicted.compute(), expected)


def test_a_series_is_predicted_side_by_side(scene):
    days = {f"2001-07-{day:02}": Scene(seed=day).target for day in range(1, 6)}
    lazy = da.stack([stfusion.dask.fuse(scene.pair, image, day, window=9) for day, image in days.items()])
    for have, (day, image) in zip(lazy.compute(), days.items()):
        same(have, stfusion.fuse(scene.pair, image, day, window=9))


def test_xarray_over_dask_stays_lazy(scene, images):
    fine, coarse, target = images
    predicted = stfusion.xr.fuse(Pair(fine.chunk(x=20), coarse), target, method="starfm", window=9)
    assert predicted.chunks is not None
    same(predicted.values, scene.fuse("starfm", window=9))


def test_errors_come_out_of_the_task(scene):
    predicted = stfusion.dask.fuse(scene.pair, scene.target, window=4)
    with pytest.raises(stfusion.Error, match="Window size"):
        predicted.compute()
    with pytest.raises(TypeError, match="progress is not for dask arrays"):
        stfusion.dask.fuse(scene.pair, scene.target, progress=print)
