# SPDX-License-Identifier: GPL-2.0-or-later
"""A small scene, the same in every run: fields that grow by different amounts between two days, in three bands."""

import numpy as np
from osgeo import gdal, osr

PAIR_DAY, TARGET_DAY = "2020-06-18", "2020-07-04"
SCALE = 10
gdal.UseExceptions()


def write(path, planes, pixel, *, names=(), scale=None, nodata=None, kind=gdal.GDT_Int16):
    """Write `planes` (band, row, col) as a GeoTIFF in UTM with the upper-left corner all images share."""
    bands, rows, cols = planes.shape
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), cols, rows, bands, kind)
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32633)
    dataset.SetProjection(reference.ExportToWkt())
    dataset.SetGeoTransform((500000, pixel, 0, 5200000, 0, -pixel))
    for number in range(bands):
        band = dataset.GetRasterBand(number + 1)
        band.WriteArray(planes[number])
        if names:
            band.SetDescription(names[number])
        if scale:
            band.SetScale(scale)
        if nodata is not None:
            band.SetNoDataValue(nodata)
    dataset.FlushCache()
    return str(path)


def read(path):
    """Return a raster as (band, row, col)."""
    planes = gdal.Open(str(path)).ReadAsArray()
    return planes if planes.ndim == 3 else planes[np.newaxis]


def make_scene(folder, side):
    """Write a scene of fields that grow by different amounts, `side` fine pixels wide; return the names by role."""
    random = np.random.default_rng(7)
    parcels = random.integers(0, 5, (side // 8 + 1, side // 8 + 1)).repeat(8, 0).repeat(8, 1)[:side, :side]
    fine = {}
    for day, growth in ((PAIR_DAY, 0.0), (TARGET_DAY, 1.0)):
        bands = [
            600 + 300 * parcels - 120 * growth * (parcels == 2),
            500 + 400 * parcels - 200 * growth * (parcels >= 3),
            2500 + 150 * parcels + 900 * growth * (parcels % 2),
        ]
        fine[day] = np.rint(np.array(bands) + random.normal(0, 15, (3, side, side))).astype(np.int16)
    names = {}
    kept = {"names": ("Green", "Red", "NIR"), "scale": 1e-4, "nodata": -9999}
    for role, day in (("fine", PAIR_DAY), ("truth", TARGET_DAY)):
        names[role] = write(folder / f"{role}_{day.replace('-', '')}.tif", fine[day], 30, **kept)
    for role, day in (("coarse", PAIR_DAY), ("target", TARGET_DAY)):
        means = fine[day].reshape(3, side // SCALE, SCALE, side // SCALE, SCALE).mean((2, 4))
        names[role] = write(folder / f"{role}_{day.replace('-', '')}.tif", np.rint(means).astype(np.int16), 300, **kept)
    mask = np.zeros((1, side, side), np.uint8)
    mask[0, 20:40, 30:60] = 1
    names["mask"] = write(folder / "cloud.tif", mask, 30, kind=gdal.GDT_Byte)
    names["classes"] = write(folder / "classes.tif", parcels[np.newaxis].astype(np.uint8), 30, kind=gdal.GDT_Byte)
    return names
