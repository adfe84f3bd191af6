#!/usr/bin/env bash
# Builds and installs stfusion into a conda environment; run by rattler-build, which sets PREFIX and CPU_COUNT.
set -euo pipefail

# the source tarball has the licences of the crates already
if [ ! -e THIRD-PARTY-LICENSES ]; then
    cargo xtask notices .
fi
cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$PREFIX" -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_PREFIX_PATH="$PREFIX" \
    -DSTFUSION_GDAL_PLUGIN_DIR="$PREFIX/lib/gdalplugins"
cmake --build build --parallel "${CPU_COUNT:-1}"
cmake --install build
cmake --install build --component driver
