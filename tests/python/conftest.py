# SPDX-License-Identifier: MIT OR Apache-2.0
"""Scenes that the tests share."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import stfusion

ROOT = Path(__file__).resolve().parents[2]
BANDS, ROWS, COLS = 3, 40, 52


class Scene:
    """Reflectance of fields on two days, and what a coarse sensor sees of them, on the fine grid; float32."""

    def __init__(self, rows=ROWS, cols=COLS, bands=BANDS, block=8, seed=7):
        rng = np.random.default_rng(seed)
        fields = rng.integers(0, 4, (-(-rows // 5), -(-cols // 5))).repeat(5, 0).repeat(5, 1)[:rows, :cols]
        early, late = rng.uniform(0.05, 0.4, (2, bands, 4)).astype(np.float32)
        texture = rng.normal(0, 0.004, (bands, rows, cols)).astype(np.float32)
        self.fine = early[:, fields] + texture
        self.truth = late[:, fields] + texture
        self.coarse = self._coarsened(self.fine, block)
        self.target = self._coarsened(self.truth, block)
        self.date, self.target_date = "2001-05-25", "2001-07-12"

    @staticmethod
    def _coarsened(image, block):
        out = np.empty_like(image)
        for row in range(0, image.shape[1], block):
            for col in range(0, image.shape[2], block):
                part = image[:, row : row + block, col : col + block]
                out[:, row : row + block, col : col + block] = part.mean(axis=(1, 2), keepdims=True)
        return out

    @property
    def pair(self):
        return stfusion.Pair(self.fine, self.coarse, self.date)

    def fuse(self, method="coarse_increment", **options):
        return stfusion.fuse(self.pair, self.target, self.target_date, method, **options)


@pytest.fixture
def scene():
    return Scene()


@pytest.fixture(scope="session")
def large_scene():
    return Scene(rows=700, cols=700, bands=2)


@pytest.fixture(scope="session")
def with_files():
    """Skips where the library reads no files; gives the folder of the built programs."""
    if stfusion.installation()["gdal"] is None:
        pytest.skip("the library was built without GDAL")
    return Path(os.environ["STFUSION_LIBRARY"]).parent


class Files:
    """Images as files that GDAL reads, written and read without Python bindings of GDAL."""

    MAP = "map info = {UTM, 1, 1, 500000, 4500000, 30, 30, 33, North, WGS-84}"
    TYPES = {"u1": 1, "i2": 2, "i4": 3, "f4": 4, "f8": 5, "u2": 12}

    def __init__(self, folder):
        self.folder = Path(folder)

    def write(self, name, image):
        path = self.folder / name
        path.write_bytes(np.ascontiguousarray(image).tobytes())
        bands, rows, cols = image.shape
        kind = f"{image.dtype.kind}{image.dtype.itemsize}"
        header = [
            "ENVI",
            f"samples = {cols}",
            f"lines = {rows}",
            f"bands = {bands}",
            f"data type = {self.TYPES[kind]}",
            "interleave = bsq",
            "byte order = 0",
            "header offset = 0",
            "file type = ENVI Standard",
            self.MAP,
        ]
        path.with_suffix(".hdr").write_text("\n".join(header) + "\n")
        return str(path)

    def read(self, path, bands, dtype=np.float32):
        raw = self.folder / "read.img"
        subprocess.run(["gdal_translate", "-q", "-of", "ENVI", str(path), str(raw)], check=True)
        lines = raw.with_suffix(".hdr").read_text().splitlines()
        size = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
        return np.fromfile(raw, dtype).reshape(bands, int(size["lines"]), int(size["samples"]))


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)
