# SPDX-License-Identifier: MIT OR Apache-2.0
"""Reads a job through osgeo.gdal: from threads, stopped halfway, at reduced resolution, after its images have gone. Prints TAP."""

import json
import shutil
import sys
import threading
import time
from pathlib import Path

import numpy as np
from osgeo import gdal

gdal.UseExceptions()


def report(what, good, *details):
    print(f"{'ok' if good else 'not ok'} - {what}", *details)


def message_of(action):
    """Return the text of the error that an action must end with."""
    try:
        action()
    except RuntimeError as error:
        return str(error)
    return ""


def threads(job, expected):
    """Every thread has its own dataset, as GDAL demands; all of them share what is computed."""
    wrong = []

    def read(seed):
        random = np.random.default_rng(seed)
        dataset = gdal.Open(job)
        for _ in range(12):
            x, y = (int(v) for v in random.integers(0, 500, 2))
            w, h = (int(v) for v in random.integers(1, 200, 2))
            bands = [int(b) + 1 for b in random.permutation(expected.shape[0])[:2]]
            part = dataset.ReadAsArray(x, y, w, h, band_list=bands)
            if not np.array_equal(part, expected[[b - 1 for b in bands], y : y + h, x : x + w]):
                wrong.append((seed, x, y, w, h, bands))

    workers = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    report("six threads read random windows and bands", not wrong, wrong[:3])


def buffers(job, expected):
    """Types, spacings and interleaving are those that the caller asks for."""
    dataset = gdal.Open(job)
    raw = dataset.ReadRaster(
        10, 20, 300, 200, buf_type=gdal.GDT_Float64, band_list=[3, 1], buf_pixel_space=16, buf_line_space=4800, buf_band_space=8
    )
    values = np.frombuffer(raw, np.float64).reshape(200, 300, 2)
    wanted = expected[[2, 0], 20:220, 10:310].transpose(1, 2, 0)
    report("pixel-interleaved doubles of bands out of order", np.array_equal(values, wanted))
    band = dataset.GetRasterBand(2)
    cols, rows = band.GetBlockSize()
    j, i = (expected.shape[1] - 1) // rows, (expected.shape[2] - 1) // cols
    block = np.frombuffer(band.ReadBlock(i, j), np.int16).reshape(rows, cols)
    part = expected[1, j * rows :, i * cols :]
    report("a block at the lower right border", np.array_equal(block[: part.shape[0], : part.shape[1]], part))
    half = band.ReadAsArray(0, 0, 600, 600, buf_xsize=450, buf_ysize=450, resample_alg=gdal.GRIORA_Bilinear)
    memory = gdal.GetDriverByName("MEM").Create("", expected.shape[2], expected.shape[1], 1, gdal.GDT_Int16)
    memory.GetRasterBand(1).WriteArray(expected[1])
    memory.GetRasterBand(1).SetNoDataValue(band.GetNoDataValue())
    same = memory.GetRasterBand(1).ReadAsArray(0, 0, 600, 600, buf_xsize=450, buf_ysize=450, resample_alg=gdal.GRIORA_Bilinear)
    report("bilinear to three quarters", np.array_equal(half, same))


def overviews(job, expected):
    """A zoomed-out read is close to the prediction, and much of it comes from overviews."""
    dataset = gdal.Open(job)
    band = dataset.GetRasterBand(4)
    sizes = [(band.GetOverview(k).XSize, band.GetOverview(k).YSize) for k in range(band.GetOverviewCount())]
    report("the overviews halve the image to 64 pixels or less", sizes == [(350, 350), (175, 175), (88, 88), (44, 44)], sizes)
    small = dataset.ReadAsArray(buf_xsize=175, buf_ysize=175).astype(float)
    middle = expected[:, 2::4, 2::4].astype(float)
    valid = (small != -9999) & (middle != -9999)
    error = np.abs(small - middle)[valid].mean()
    shifted = np.abs(np.roll(middle, 5, 1) - middle)[valid].mean()
    report("an overview is the prediction seen from afar", error < 0.3 * shifted and valid.mean() > 0.8, error, shifted)
    overview = band.GetOverview(1).GetDataset()
    box = dataset.GetGeoTransform(), overview.GetGeoTransform()
    report("overviews cover the same extent", box[1][1] == box[0][1] * 4 and box[1][0] == box[0][0], box)


def stopping(job):
    """A progress function that says no ends a copy soon, and leaves nothing behind that would disturb the next."""
    options = ["WINDOW=151", "THREADS=1"]
    seen, stopped_at = [], []

    def progress(fraction, _message, _data):
        seen.append(fraction)
        if fraction > 0.1:
            stopped_at.append(time.monotonic())
            return 0
        return 1

    dataset = gdal.OpenEx(job, open_options=options)
    text = message_of(lambda: dataset.ReadRaster(callback=progress) or None)
    taken = time.monotonic() - (stopped_at or [0])[0]
    report("a read that is stopped ends at once", text == "Cancelled" and taken < 1, text, taken)
    report("progress grew", seen == sorted(seen) and len(seen) > 1, seen)
    again = dataset.ReadAsArray(0, 0, 40, 40)
    report("and can be repeated", again.shape == (6, 40, 40))


def sharing(job, work):
    """Datasets of one job share what is prepared, until one of the images changes."""
    lines = []
    gdal.PushErrorHandler(lambda _class, _number, text: lines.append(text))
    gdal.SetConfigOption("CPL_DEBUG", "STFUSION")
    first, second = gdal.Open(job), gdal.Open(f"STFUSION:{job}")
    first.GetRasterBand(1).ReadAsArray(0, 0, 8, 8)
    second.GetRasterBand(3).ReadAsArray(600, 600, 8, 8)
    gdal.SetConfigOption("CPL_DEBUG", None)
    gdal.PopErrorHandler()
    prepared = sum("Preparing" in line for line in lines)
    # the engine's own threads are not this thread, whose handler sees only what it raises itself
    report("two datasets of a job prepare it at most once", prepared <= 1, prepared)
    folder = Path(work) / "changing"
    shutil.copytree(Path(job).parent, folder)
    copy = str(folder / "increment.stf")
    before = gdal.Open(copy)
    old = before.ReadAsArray()
    target = gdal.Open(str(folder / "coarse_2022-07-12.tif"), gdal.GA_Update)
    for n in range(target.RasterCount):
        band = target.GetRasterBand(n + 1)
        band.WriteArray(band.ReadAsArray() + 100)
    target = None
    new = gdal.Open(copy).ReadAsArray()
    valid = (old != -9999) & (new != -9999)
    report("an image that changed is read anew", (new[valid].astype(int) - old[valid] == 100).mean() > 0.99)


def going(work, job):
    """Images that go between opening and reading are named by the error."""
    folder = Path(work) / "going"
    shutil.copytree(Path(job).parent, folder)
    dataset = gdal.Open(str(folder / "plain.stf"))
    (folder / "fine_2022-05-09.tif").unlink()
    text = message_of(dataset.ReadAsArray)
    report("an image that is gone is named", "fine_2022-05-09.tif: no such file" in text, text)


def memory(job):
    """A job file in memory, with absolute names, opens like one on disk."""
    content = json.loads(Path(job).read_text(encoding="utf-8"))
    folder = str(Path(job).parent)
    for image in (*content["pairs"], content["target"]):
        for key in ("fine", "coarse"):
            if key in image:
                image[key] = f"{folder}/{image[key]}"
        for key in ("fine_mask", "coarse_mask"):
            if key in image:
                image[key]["path"] = f"{folder}/{image[key]['path']}"
    gdal.FileFromMemBuffer("/vsimem/job.stf", json.dumps(content).encode())
    dataset = gdal.Open("/vsimem/job.stf")
    report("a job file in /vsimem/", np.array_equal(dataset.ReadAsArray(0, 0, 50, 50), gdal.Open(job).ReadAsArray(0, 0, 50, 50)))


def main():
    work, job, fused = sys.argv[1:]
    expected = gdal.Open(fused).ReadAsArray()
    threads(job, expected)
    buffers(job, expected)
    overviews(job, expected)
    stopping(job)
    sharing(job, work)
    going(work, job)
    memory(job)


main()
