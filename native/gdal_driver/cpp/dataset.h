// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The dataset of a job: full resolution and its overviews, all over one prediction on the Rust side.
//
// One source for GDAL 3.6 to 3.12, one binary for each minor version, because the classes' layout changes between them:
//
// | what                        | 3.6 to 3.11                     | 3.12                               | here |
// |-----------------------------|---------------------------------|------------------------------------|--------------------------|
// | GetGeoTransform             | CPLErr (double *)               | CPLErr (GDALGeoTransform &) const  | the only #if |
// | dataset IRasterIO, band map | int * (const int * from 3.10 on, behind BANDMAP_TYPE)                | the type is
// deduced      | | IBuildOverviews             | CSLConstList options since 3.6  | the same                           |
// as declared              | | GetMetadata                 | char ** (const char *)          | the same | set once, not
// overridden | | AdviseRead                  | int *, char **                  | const int *, CSLConstList          |
// not overridden           |

#ifndef STFUSION_GDAL_DRIVER_DATASET_H
#define STFUSION_GDAL_DRIVER_DATASET_H

#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include <gdal_pam.h>
#include <ogr_spatialref.h>

#include "stfusion-gdal-driver/src/lib.rs.h"

namespace stfusion {

/// Finds out how this GDAL declares the band map of GDALDataset::IRasterIO.
class RasterIOTypes : public GDALPamDataset {
    template <class... Arguments>
    static std::tuple<Arguments...> arguments(CPLErr (GDALDataset::*)(Arguments...));

  public:
    using BandMap = std::tuple_element_t<10, decltype(arguments(&RasterIOTypes::IRasterIO))>;
};

/// What was opened, shared by the dataset and its overviews.
struct Opened {
    rust::Box<Fusion> fusion;
    Description description;
    OGRSpatialReference crs;
    GDALDataType type;
};

class Dataset final : public GDALPamDataset {
  public:
    /// The dataset of a name, or null after CPLError.
    static GDALDataset *open(GDALOpenInfo *info);

    Dataset(std::shared_ptr<Opened> opened, std::size_t size);

    const OGRSpatialReference *GetSpatialRef() const override;
#if GDAL_VERSION_NUM >= GDAL_COMPUTE_VERSION(3, 12, 0)
    CPLErr GetGeoTransform(GDALGeoTransform &transform) const override {
        return transform_into([&transform](int k, double v) { transform[k] = v; });
    }
#else
    CPLErr GetGeoTransform(double *transform) override {
        return transform_into([transform](int k, double v) { transform[k] = v; });
    }
#endif
    char **GetFileList() override;

    const Opened &opened() const { return *opened_; }
    /// Which of the resolutions this is.
    std::size_t size() const { return size_; }
    /// Our own overviews; none while GDAL builds some into a file.
    int overviews() const { return building_ ? 0 : static_cast<int>(overviews_.size()); }
    Dataset *overview(int index) const { return overviews_[static_cast<std::size_t>(index)].get(); }

    /// Brings the pixels of a rectangle, as they are, into a caller's memory.
    CPLErr read(int x, int y, int width, int height, void *data, GDALDataType type, const int *bands, int count,
                GSpacing pixel, GSpacing line, GSpacing band, GDALRasterIOExtraArg *extra);
    /// Computes a rectangle on all threads, unless an overview is going to serve the request for `to_width` x
    /// `to_height` pixels.
    CPLErr fetch(int x, int y, int width, int height, int to_width, int to_height, GDALRasterIOExtraArg *extra);

  protected:
    CPLErr IRasterIO(GDALRWFlag flag, int x, int y, int width, int height, void *data, int to_width, int to_height,
                     GDALDataType type, int count, RasterIOTypes::BandMap bands, GSpacing pixel, GSpacing line,
                     GSpacing band, GDALRasterIOExtraArg *extra) override;
    CPLErr IBuildOverviews(const char *resampling, int count, const int *factors, int band_count, const int *bands,
                           GDALProgressFunc progress, void *data, CSLConstList options) override;

  private:
    template <class Set>
    CPLErr transform_into(Set set) const;
    void find_siblings();

    std::shared_ptr<Opened> opened_;
    std::size_t size_;
    std::vector<std::unique_ptr<Dataset>> overviews_;
    bool building_ = false;
};

class RasterBand final : public GDALPamRasterBand {
  public:
    RasterBand(Dataset *dataset, int number);

    double GetNoDataValue(int *found) override;
    double GetScale(int *found) override;
    double GetOffset(int *found) override;
    const char *GetUnitType() override;
    GDALColorInterp GetColorInterpretation() override;
    int GetOverviewCount() override;
    GDALRasterBand *GetOverview(int index) override;

  protected:
    CPLErr IReadBlock(int column, int row, void *data) override;
    CPLErr IRasterIO(GDALRWFlag flag, int x, int y, int width, int height, void *data, int to_width, int to_height,
                     GDALDataType type, GSpacing pixel, GSpacing line, GDALRasterIOExtraArg *extra) override;

  private:
    Dataset *owner() const { return static_cast<Dataset *>(poDS); }
    const Band &described() const { return owner()->opened().description.bands[static_cast<std::size_t>(nBand - 1)]; }

    std::string unit_;
};

template <class Set>
CPLErr Dataset::transform_into(Set set) const {
    const auto &full = opened_->description.transform;
    if (full.empty()) {
        for (int k = 0; k < 6; ++k)
            set(k, k == 1 || k == 5 ? 1.0 : 0.0);
        return CE_Failure;
    }
    const auto &sizes = opened_->description.sizes;
    const double across = static_cast<double>(sizes[0].cols) / static_cast<double>(nRasterXSize);
    const double down = static_cast<double>(sizes[0].rows) / static_cast<double>(nRasterYSize);
    const double ratios[] = {1.0, across, down, 1.0, across, down};
    for (int k = 0; k < 6; ++k)
        set(k, full[static_cast<std::size_t>(k)] * ratios[k]);
    return CE_None;
}

} // namespace stfusion

#endif
