// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Registration and identification of the driver. The only symbol of the plugin is GDALRegister_STFUSION.

#include <cstdlib>
#include <string>
#include <string_view>

#include <gdal_priv.h>

#include "dataset.h"

namespace {

constexpr const char *NAME = "STFUSION";
constexpr std::string_view PREFIX = "STFUSION:";

/// Whether a text is the beginning of a JSON object with the key "stfusion".
bool is_job(std::string_view text) {
    if (text.substr(0, 3) == "\xEF\xBB\xBF")
        text.remove_prefix(3);
    constexpr const char *space = " \t\r\n";
    const std::size_t brace = text.find_first_not_of(space);
    if (brace == text.npos || text[brace] != '{')
        return false;
    constexpr std::string_view key = "\"stfusion\"";
    for (std::size_t at = text.find(key); at != text.npos; at = text.find(key, at + 1)) {
        const std::size_t next = text.find_first_not_of(space, at + key.size());
        if (next != text.npos && text[next] == ':')
            return true;
    }
    return false;
}

int identify(GDALOpenInfo *info) {
    if (STARTS_WITH_CI(info->pszFilename, PREFIX.data()))
        return TRUE;
    const auto header = [info] {
        return std::string_view(reinterpret_cast<const char *>(info->pabyHeader),
                                static_cast<std::size_t>(info->nHeaderBytes));
    };
    if (info->fpL == nullptr || header().find('{') == std::string_view::npos)
        return FALSE;
    // people may write the key that tells a job after a long list of images
    const bool named_so = EQUAL(CPLGetExtension(info->pszFilename), "stf");
    return is_job(header()) || (named_so && info->TryToIngest(1 << 20) && is_job(header()));
}

GDALDataset *open(GDALOpenInfo *info) { return identify(info) ? stfusion::Dataset::open(info) : nullptr; }

/// The classes of this binary have the layout of the GDAL that it was compiled for.
bool is_right_version() {
    const int running = std::atoi(GDALVersionInfo("VERSION_NUM"));
    if (running / 10000 == GDAL_VERSION_NUM / 10000)
        return true;
    CPLError(CE_Warning, CPLE_AppDefined,
             "gdal_STFUSION.so was built for GDAL %d.%d and is not used by this GDAL %s; install the driver that was "
             "built for it",
             GDAL_VERSION_MAJOR, GDAL_VERSION_MINOR, GDALVersionInfo("RELEASE_NAME"));
    return false;
}

} // namespace

extern "C" CPL_DLL void GDALRegister_STFUSION();

void GDALRegister_STFUSION() {
    if (!is_right_version() || GDALGetDriverByName(NAME) != nullptr)
        return;
    auto *driver = new GDALDriver();
    driver->SetDescription(NAME);
    driver->SetMetadataItem(GDAL_DCAP_RASTER, "YES");
    driver->SetMetadataItem(GDAL_DCAP_VIRTUALIO, "YES");
    driver->SetMetadataItem(GDAL_DMD_LONGNAME, "Spatiotemporal fusion of satellite images (stfusion job)");
    driver->SetMetadataItem(GDAL_DMD_EXTENSION, "stf");
    driver->SetMetadataItem(GDAL_DMD_EXTENSIONS, "stf");
    driver->SetMetadataItem(GDAL_DMD_CONNECTION_PREFIX, PREFIX.data());
    driver->SetMetadataItem(GDAL_DMD_SUBDATASETS, "YES");
    driver->SetMetadataItem(GDAL_DMD_OPENOPTIONLIST, std::string(stfusion::open_options()).c_str());
    driver->pfnIdentify = identify;
    driver->pfnOpen = open;
    GetGDALDriverManager()->RegisterDriver(driver);
}
