# Debian packages: `cpack -G DEB` in a build of the preset "packaging" (docs/install.md). Included by CMakeLists.txt.
#
#   component   package
#   library     libstfusion0 (the number is the ABI's)
#   dev         libstfusion-dev
#   command     stfusion
#   driver      gdal-plugin-stfusion
#   qgis        qgis-plugin-stfusion
#
# packaging/debian/finish.cmake makes of the installed files what Debian expects, before they are packed.
if(NOT CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  message(FATAL_ERROR "Debian packages install below /usr: configure with -DCMAKE_INSTALL_PREFIX=/usr, or with the preset packaging")
endif()
if(NOT STFUSION_GDAL)
  message(FATAL_ERROR "Debian packages hold the command and the GDAL driver: leave STFUSION_GDAL on")
endif()
if(NOT driver_is_possible)
  message(FATAL_ERROR "Debian packages hold the GDAL driver, which needs a C++ compiler and GDAL 3.6 or newer: install g++ and libgdal-dev")
endif()
foreach(name THIRD-PARTY-LICENSES stfusion.cdx.json)
  if(NOT EXISTS "${STFUSION_NOTICES_DIR}/${name}")
    message(FATAL_ERROR "Packages must hold the licences of the crates in them, and ${STFUSION_NOTICES_DIR} has no ${name}: "
                        "run `cargo xtask notices FOLDER` and configure with -DSTFUSION_NOTICES_DIR=FOLDER")
  endif()
endforeach()

set(debian_dir "${CMAKE_CURRENT_LIST_DIR}/debian")
file(STRINGS "${debian_dir}/changelog" changelog_head LIMIT_COUNT 1)
if(NOT changelog_head MATCHES "^stfusion \\(${PROJECT_VERSION}-([0-9]+)\\) ")
  message(FATAL_ERROR "packaging/debian/changelog begins with \"${changelog_head}\", and the version is ${PROJECT_VERSION}: add an entry")
endif()
set(CPACK_DEBIAN_PACKAGE_RELEASE "${CMAKE_MATCH_1}")
set(debian_version "${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}")
set(library_package "libstfusion${abi_version}")

# The package of the GDAL library that the driver was built with, named after its soname, and the minor version after it.
set(gdal_library "${GDAL_LIBRARY}")
if(TARGET GDAL::GDAL)
  get_target_property(location GDAL::GDAL IMPORTED_LOCATION)
  if(location)
    set(gdal_library "${location}")
  endif()
endif()
get_filename_component(gdal_library "${gdal_library}" REALPATH)
if(NOT gdal_library MATCHES "libgdal\\.so\\.([0-9]+)\\." OR NOT GDAL_VERSION MATCHES "^([0-9]+)\\.([0-9]+)")
  message(FATAL_ERROR "The package that holds GDAL ${GDAL_VERSION} cannot be told from ${gdal_library}")
endif()
string(REGEX MATCH "libgdal\\.so\\.([0-9]+)\\." matched "${gdal_library}")
set(gdal_package "libgdal${CMAKE_MATCH_1}")
string(REGEX MATCH "^([0-9]+)\\.([0-9]+)" matched "${GDAL_VERSION}")
math(EXPR next_minor "${CMAKE_MATCH_2} + 1")
set(gdal_limit "${CMAKE_MATCH_1}.${next_minor}~")

# ABI 0 may change with a minor version; every other keeps its number until it changes (Version.txt).
set(library_limit "")
if(abi_version EQUAL 0)
  math(EXPR next_minor "${PROJECT_VERSION_MINOR} + 1")
  set(library_limit ", ${library_package} (<< ${PROJECT_VERSION_MAJOR}.${next_minor}~)")
endif()

set(STFUSION_MAINTAINER "The stfusion developers <stfusion@localhost.localdomain>" CACHE STRING
    "Maintainer of the packages, with the address that their users write to")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME stfusion)
set(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}")
set(CPACK_PACKAGE_VENDOR stfusion)
set(CPACK_PACKAGE_CONTACT "${STFUSION_MAINTAINER}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL library dev command driver qgis)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_SOURCE stfusion)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_PRE_BUILD_SCRIPTS "${debian_dir}/finish.cmake")
set(CPACK_STFUSION_DEBIAN_DIR "${debian_dir}")
set(CPACK_STFUSION_CONTROL_DIR "${CMAKE_CURRENT_BINARY_DIR}/debian")
set(CPACK_STFUSION_NOTICES_DIR "${STFUSION_NOTICES_DIR}")
set(CPACK_STFUSION_CHANGES "${CMAKE_CURRENT_SOURCE_DIR}/CHANGELOG.md")
set(CPACK_STFUSION_LIBRARY_PACKAGE "${library_package}")
# cpack can write it too, but for all components or none, and the driver is no library
file(WRITE "${CPACK_STFUSION_CONTROL_DIR}/shlibs" "libstfusion ${abi_version} ${library_package} (>= ${PROJECT_VERSION})\n")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME "${library_package}")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_MULTIARCH same)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA
    "${CPACK_STFUSION_CONTROL_DIR}/symbols;${CPACK_STFUSION_CONTROL_DIR}/shlibs;${debian_dir}/triggers")
set(CPACK_DEBIAN_LIBRARY_DESCRIPTION "Spatiotemporal fusion of satellite images (library)
stfusion predicts a fine satellite image, such as one of Landsat or
Sentinel-2, for a day on which only a coarse one exists, such as one of
MODIS, VIIRS or Sentinel-3. It has STARFM, ESTARFM, Fit-FC, FSDAF and other
methods, and baselines to compare them with.
.
This package holds the shared library, which has a C interface.")

set(CPACK_DEBIAN_DEV_PACKAGE_NAME libstfusion-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "${library_package} (= ${debian_version})")
# the static library needs it
set(CPACK_DEBIAN_DEV_PACKAGE_SUGGESTS libgdal-dev)
set(CPACK_DEBIAN_DEV_DESCRIPTION "Spatiotemporal fusion of satellite images (development)
stfusion predicts a fine satellite image for a day on which only a coarse
one exists.
.
This package holds the headers for C and C++, the static library, and what
pkg-config and CMake need to find them.")

set(CPACK_DEBIAN_COMMAND_PACKAGE_NAME stfusion)
set(CPACK_DEBIAN_COMMAND_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_COMMAND_PACKAGE_SUGGESTS "gdal-plugin-stfusion, qgis-plugin-stfusion")
set(CPACK_DEBIAN_COMMAND_DESCRIPTION "Spatiotemporal fusion of satellite images (command)
stfusion predicts a fine satellite image, such as one of Landsat or
Sentinel-2, for a day on which only a coarse one exists, such as one of
MODIS, VIIRS or Sentinel-3. It has STARFM, ESTARFM, Fit-FC, FSDAF and other
methods, and baselines to compare them with.
.
This package holds the command, which fuses, assesses predictions and
compares methods.")

set(CPACK_DEBIAN_DRIVER_PACKAGE_NAME gdal-plugin-stfusion)
set(CPACK_DEBIAN_DRIVER_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_DRIVER_PACKAGE_DEPENDS "${gdal_package} (<< ${gdal_limit})")
set(CPACK_DEBIAN_DRIVER_PACKAGE_SUGGESTS "gdal-bin, stfusion")
set(CPACK_DEBIAN_DRIVER_DESCRIPTION "Spatiotemporal fusion of satellite images (GDAL driver)
stfusion predicts a fine satellite image for a day on which only a coarse
one exists.
.
This package holds a driver for GDAL, with which a fusion job is a raster
that is computed as it is read.")

set(CPACK_DEBIAN_QGIS_PACKAGE_NAME qgis-plugin-stfusion)
set(CPACK_DEBIAN_QGIS_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_QGIS_PACKAGE_DEPENDS
    "${library_package} (>= ${PROJECT_VERSION})${library_limit}, python3:any, python3-gdal, python3-qgis, qgis (>= 3.22)")
set(CPACK_DEBIAN_QGIS_PACKAGE_RECOMMENDS gdal-plugin-stfusion)
set(CPACK_DEBIAN_QGIS_PACKAGE_CONTROL_EXTRA "${debian_dir}/qgis/postinst;${debian_dir}/qgis/prerm")
set(CPACK_DEBIAN_QGIS_DESCRIPTION "Spatiotemporal fusion of satellite images (QGIS plugin)
stfusion predicts a fine satellite image for a day on which only a coarse
one exists.
.
This package adds its methods, the assessment of predictions and the
comparison of methods to the Processing toolbox of QGIS.")

include(CPack)
