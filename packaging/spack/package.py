# SPDX-License-Identifier: MIT OR Apache-2.0
"""Spack's recipe: copy it into a repository of yours as packages/stfusion/package.py."""

import os

from spack.package import *


class Stfusion(CMakePackage):
    """Spatiotemporal fusion of satellite images: predicts a fine image (Landsat, Sentinel-2) for a day on which only a
    coarse one (MODIS, VIIRS, Sentinel-3) exists. Library with a C interface, command, GDAL driver and QGIS plugin."""

    # The tarball of `cargo xtask dist`, which holds every crate, in the working folder or on a mirror.
    manual_download = True
    url = f"file://{os.getcwd()}/stfusion-0.1.0.tar.xz"

    license("Apache-2.0 OR MIT", checked_by="stfusion")

    version("0.1.0")

    variant("gdal", default=True, description="Read and write files, the command and the GDAL driver")

    depends_on("c", type="build")
    depends_on("cxx", type="build", when="+gdal")
    depends_on("rust@1.89:", type="build")
    depends_on("cmake@3.20:", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("gdal@3.6:3.12", when="+gdal")

    def url_for_version(self, version):
        return f"file://{os.getcwd()}/stfusion-{version}.tar.xz"

    def cmake_args(self):
        return [
            self.define_from_variant("STFUSION_GDAL", "gdal"),
            self.define("STFUSION_CARGO_FLAGS", "--offline"),
            self.define("STFUSION_GDAL_PLUGIN_DIR", self.prefix.lib.gdalplugins),
        ]

    @run_after("install", when="+gdal")
    def install_driver(self):
        cmake = self.spec["cmake"].command
        cmake("--install", self.build_directory, "--component", "driver")

    def setup_run_environment(self, env):
        if self.spec.satisfies("+gdal"):
            env.prepend_path("GDAL_DRIVER_PATH", self.prefix.lib.gdalplugins)
