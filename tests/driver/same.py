# SPDX-License-Identifier: MIT OR Apache-2.0
"""Compares two rasters: pixels bit for bit, and what they say of themselves. Exit status 0 when they are the same."""

import argparse
import sys

import numpy as np
from osgeo import gdal

gdal.UseExceptions()


def pixels(name, overview):
    """Return all pixels (band, row, col), of an overview if one is named."""
    dataset = gdal.Open(name)
    if overview is None:
        values = dataset.ReadAsArray()
        return values if values.ndim == 3 else values[np.newaxis]
    bands = [dataset.GetRasterBand(n + 1).GetOverview(overview) for n in range(dataset.RasterCount)]
    return np.array([band.ReadAsArray() for band in bands])


def described(name):
    """Return what a raster says of itself, apart from how it is stored."""
    dataset = gdal.Open(name)
    bands = []
    for n in range(dataset.RasterCount):
        band = dataset.GetRasterBand(n + 1)
        metadata = {k: v for k, v in band.GetMetadata().items() if not k.startswith("STATISTICS_")}
        nodata = str(band.GetNoDataValue())
        look = (gdal.GetDataTypeName(band.DataType), nodata, band.GetScale() or 1.0, band.GetOffset() or 0.0)
        bands.append((*look, band.GetDescription(), band.GetColorInterpretation(), band.GetUnitType(), metadata))
    general = {k: v for k, v in dataset.GetMetadata().items() if k != "AREA_OR_POINT"}
    reference = dataset.GetSpatialRef()
    return {
        "size": (dataset.RasterXSize, dataset.RasterYSize),
        "transform": dataset.GetGeoTransform(can_return_null=True),
        "crs": None if reference is None else reference.ExportToProj4(),
        "metadata": general,
        "bands": bands,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pixels", action="store_true", help="compare pixels only")
    parser.add_argument("--overview", type=int, help="compare overviews of this number")
    parser.add_argument("--near", type=float, help="compare overviews: relative mean difference at most this")
    parser.add_argument("expected")
    parser.add_argument("found")
    options = parser.parse_args()
    if options.near is not None:
        found = pixels(options.found, options.overview).astype(float)
        dataset = gdal.Open(options.expected)
        size = {"buf_xsize": found.shape[2], "buf_ysize": found.shape[1]}
        expected = dataset.ReadAsArray(**size).astype(float)
        difference = np.abs(found - expected).mean() / np.abs(expected).mean()
        print("relative mean difference", difference)
        return 0 if difference <= options.near else 1
    expected, found = (pixels(name, options.overview) for name in (options.expected, options.found))
    if expected.dtype != found.dtype or expected.shape != found.shape:
        print("shapes", expected.dtype, expected.shape, found.dtype, found.shape)
        return 1
    if expected.tobytes() != found.tobytes():
        differs = (expected != found) & ~((expected != expected) & (found != found))
        print("pixels that differ:", differs.sum(), "first:", np.argwhere(differs)[:3])
        return 1
    if expected.min() == expected.max():
        print("a constant image proves nothing")
        return 1
    if options.pixels or options.overview is not None:
        return 0
    expected, found = described(options.expected), described(options.found)
    for key, value in expected.items():
        if value != found[key]:
            print(key, "expected", value, "found", found[key], sep="\n")
    return 0 if expected == found else 1


sys.exit(main())
