// SPDX-License-Identifier: MIT OR Apache-2.0

#include "dataset.h"

#include <algorithm>
#include <cstring>

namespace stfusion {

namespace {

/// Memory of a caller: a rectangle of pixels of some bands, of any type and spacing.
class Memory final : public Destination {
  public:
    int x, y, width, height;
    char *data;
    GDALDataType type, stored;
    const int *bands;
    int count;
    GSpacing pixel, line, band;
    GDALRasterIOExtraArg *extra;

    void take(std::size_t index, std::size_t row, std::size_t col, std::size_t rows, std::size_t cols,
              rust::Slice<const std::uint8_t> values) noexcept override {
        const int size = GDALGetDataTypeSizeBytes(stored);
        const int top = std::max(y, static_cast<int>(row)), left = std::max(x, static_cast<int>(col));
        const int bottom = std::min(y + height, static_cast<int>(row + rows));
        const int right = std::min(x + width, static_cast<int>(col + cols));
        for (int k = 0; k < count; ++k) {
            if (bands[k] != static_cast<int>(index) + 1)
                continue;
            for (int j = top; j < bottom && left < right; ++j) {
                const std::size_t first =
                    (static_cast<std::size_t>(j) - row) * cols + static_cast<std::size_t>(left) - col;
                GDALCopyWords64(values.data() + first * static_cast<std::size_t>(size), stored, size,
                                data + k * band + (j - y) * line + (left - x) * pixel, type, static_cast<int>(pixel),
                                right - left);
            }
        }
    }

    bool goes_on(double fraction) noexcept override {
        return extra == nullptr || extra->pfnProgress == nullptr ||
               extra->pfnProgress(fraction, "", extra->pProgressData) != 0;
    }
};

std::size_t to_size(int n) { return static_cast<std::size_t>(n); }

/// Metadata of the default domain, without marking it as something to be saved beside the file.
void set_metadata(GDALMajorObject &object, const rust::Vec<Item> &items) {
    for (const Item &item : items)
        object.GDALMajorObject::SetMetadataItem(std::string(item.key).c_str(), std::string(item.value).c_str());
}

} // namespace

GDALDataset *Dataset::open(GDALOpenInfo *info) {
    if (info->eAccess == GA_Update) {
        CPLError(CE_Failure, CPLE_NotSupported, "%s: a fusion is computed and cannot be written to; open it read-only",
                 info->pszFilename);
        return nullptr;
    }
    rust::Vec<rust::String> options;
    for (CSLConstList option = info->papszOpenOptions; option != nullptr && *option != nullptr; ++option)
        options.push_back(rust::String::lossy(*option));
    try {
        rust::Box<Fusion> fusion = stfusion::open(rust::String::lossy(info->pszFilename), std::move(options));
        Description description = describe(*fusion);
        const GDALDataType type = GDALGetDataTypeByName(std::string(description.data_type).c_str());
        auto opened =
            std::make_shared<Opened>(Opened{std::move(fusion), std::move(description), OGRSpatialReference(), type});
        const std::string crs(opened->description.crs);
        if (!crs.empty() && opened->crs.importFromWkt(crs.c_str()) == OGRERR_NONE)
            opened->crs.SetAxisMappingStrategy(OAMS_TRADITIONAL_GIS_ORDER);
        auto dataset = std::make_unique<Dataset>(opened, 0);
        for (std::size_t size = 1; size < opened->description.sizes.size(); ++size)
            dataset->overviews_.push_back(std::make_unique<Dataset>(opened, size));
        dataset->SetDescription(info->pszFilename);
        dataset->find_siblings();
        return dataset.release();
    } catch (const std::exception &) {
        // GDAL has been told why
        return nullptr;
    }
}

Dataset::Dataset(std::shared_ptr<Opened> opened, std::size_t size) : opened_(std::move(opened)), size_(size) {
    const Description &description = opened_->description;
    eAccess = GA_ReadOnly;
    nRasterXSize = static_cast<int>(description.sizes[size].cols);
    nRasterYSize = static_cast<int>(description.sizes[size].rows);
    for (std::size_t k = 0; k < description.bands.size(); ++k)
        SetBand(static_cast<int>(k) + 1, new RasterBand(this, static_cast<int>(k) + 1));
    set_metadata(*this, description.metadata);
    // bands are computed together
    GDALMajorObject::SetMetadataItem("INTERLEAVE", "PIXEL", "IMAGE_STRUCTURE");
}

/// Statistics and overviews that GDAL keeps in files beside a job file, and the support layer.
void Dataset::find_siblings() {
    const Description &description = opened_->description;
    const std::string file(description.job_file);
    if (file.empty()) {
        // nothing may be written beside a job that is no file
        nPamFlags |= GPF_DISABLED;
    } else {
        SetPhysicalFilename(file.c_str());
        if (description.is_support)
            SetSubdatasetName("support");
        TryLoadXML();
        if (!description.is_support)
            oOvManager.Initialize(this, file.c_str());
    }
    if (!description.is_support) {
        const char *const domain = "SUBDATASETS";
        GDALMajorObject::SetMetadataItem("SUBDATASET_1_NAME", std::string(description.support_name).c_str(), domain);
        GDALMajorObject::SetMetadataItem("SUBDATASET_1_DESC", std::string(description.support_label).c_str(), domain);
    }
}

const OGRSpatialReference *Dataset::GetSpatialRef() const { return opened_->crs.IsEmpty() ? nullptr : &opened_->crs; }

char **Dataset::GetFileList() {
    CPLStringList files(GDALPamDataset::GetFileList());
    const auto add = [&files](const rust::String &name) {
        const std::string path(name);
        VSIStatBufL stat;
        if (!path.empty() && files.FindString(path.c_str()) < 0 && VSIStatL(path.c_str(), &stat) == 0)
            files.AddString(path.c_str());
    };
    add(opened_->description.job_file);
    for (const rust::String &input : opened_->description.inputs)
        add(input);
    return files.StealList();
}

CPLErr Dataset::read(int x, int y, int width, int height, void *data, GDALDataType type, const int *bands, int count,
                     GSpacing pixel, GSpacing line, GSpacing band, GDALRasterIOExtraArg *extra) {
    Memory memory;
    memory.x = x, memory.y = y, memory.width = width, memory.height = height;
    memory.data = static_cast<char *>(data), memory.type = type, memory.stored = opened_->type;
    memory.bands = bands, memory.count = count;
    memory.pixel = pixel, memory.line = line, memory.band = band, memory.extra = extra;
    try {
        opened_->fusion->read(size_, to_size(y), to_size(x), to_size(height), to_size(width), memory);
        return CE_None;
    } catch (const std::exception &) {
        return CE_Failure;
    }
}

CPLErr Dataset::fetch(int x, int y, int width, int height, int to_width, int to_height, GDALRasterIOExtraArg *extra) {
    // as GDAL chooses overviews: the smallest that has at least about the wanted resolution
    const double wanted = std::min(static_cast<double>(width) / to_width, static_cast<double>(height) / to_height);
    if (overviews() > 0 && wanted * 1.2 >= static_cast<double>(nRasterXSize) / overview(0)->GetRasterXSize())
        return CE_None;
    Memory memory{};
    memory.extra = extra;
    try {
        opened_->fusion->fetch(size_, to_size(y), to_size(x), to_size(height), to_size(width), memory);
        return CE_None;
    } catch (const std::exception &) {
        return CE_Failure;
    }
}

CPLErr Dataset::IRasterIO(GDALRWFlag flag, int x, int y, int width, int height, void *data, int to_width, int to_height,
                          GDALDataType type, int count, RasterIOTypes::BandMap bands, GSpacing pixel, GSpacing line,
                          GSpacing band, GDALRasterIOExtraArg *extra) {
    if (flag == GF_Read && width == to_width && height == to_height)
        return read(x, y, width, height, data, type, bands, count, pixel, line, band, extra);
    return GDALPamDataset::IRasterIO(flag, x, y, width, height, data, to_width, to_height, type, count, bands, pixel,
                                     line, band, extra);
}

CPLErr Dataset::IBuildOverviews(const char *resampling, int count, const int *factors, int band_count, const int *bands,
                                GDALProgressFunc progress, void *data, CSLConstList options) {
    // GDAL would take ours for those of the file, and write into them
    building_ = true;
    const CPLErr result =
        GDALPamDataset::IBuildOverviews(resampling, count, factors, band_count, bands, progress, data, options);
    building_ = false;
    return result;
}

RasterBand::RasterBand(Dataset *dataset, int number) {
    poDS = dataset;
    nBand = number;
    eDataType = dataset->opened().type;
    const int block = static_cast<int>(dataset->opened().description.block_px);
    nBlockXSize = std::min(block, dataset->GetRasterXSize());
    nBlockYSize = std::min(block, dataset->GetRasterYSize());
    GDALMajorObject::SetDescription(std::string(described().name).c_str());
    set_metadata(*this, described().metadata);
    unit_ = std::string(described().unit);
}

double RasterBand::GetNoDataValue(int *found) {
    if (found != nullptr)
        *found = TRUE;
    return owner()->opened().description.nodata;
}

double RasterBand::GetScale(int *found) {
    if (found != nullptr)
        *found = described().scale != 1.0 || described().offset != 0.0;
    return described().scale;
}

double RasterBand::GetOffset(int *found) {
    if (found != nullptr)
        *found = described().scale != 1.0 || described().offset != 0.0;
    return described().offset;
}

const char *RasterBand::GetUnitType() { return unit_.c_str(); }

GDALColorInterp RasterBand::GetColorInterpretation() {
    const GDALColorInterp color = GDALGetColorInterpretationByName(std::string(described().color).c_str());
    return color == GCI_PaletteIndex ? GCI_Undefined : color;
}

int RasterBand::GetOverviewCount() {
    const int of_file = GDALPamRasterBand::GetOverviewCount();
    return of_file > 0 ? of_file : owner()->overviews();
}

GDALRasterBand *RasterBand::GetOverview(int index) {
    if (GDALPamRasterBand::GetOverviewCount() > 0)
        return GDALPamRasterBand::GetOverview(index);
    return index >= 0 && index < owner()->overviews() ? owner()->overview(index)->GetRasterBand(nBand) : nullptr;
}

CPLErr RasterBand::IReadBlock(int column, int row, void *data) {
    const int x = column * nBlockXSize, y = row * nBlockYSize;
    const int width = std::min(nBlockXSize, nRasterXSize - x), height = std::min(nBlockYSize, nRasterYSize - y);
    const GSpacing pixel = GDALGetDataTypeSizeBytes(eDataType);
    return owner()->read(x, y, width, height, data, eDataType, &nBand, 1, pixel, pixel * nBlockXSize, 0, nullptr);
}

CPLErr RasterBand::IRasterIO(GDALRWFlag flag, int x, int y, int width, int height, void *data, int to_width,
                             int to_height, GDALDataType type, GSpacing pixel, GSpacing line,
                             GDALRasterIOExtraArg *extra) {
    if (flag == GF_Read && width == to_width && height == to_height)
        return owner()->read(x, y, width, height, data, type, &nBand, 1, pixel, line, 0, extra);
    if (flag == GF_Read && owner()->fetch(x, y, width, height, to_width, to_height, extra) != CE_None)
        return CE_Failure;
    return GDALPamRasterBand::IRasterIO(flag, x, y, width, height, data, to_width, to_height, type, pixel, line, extra);
}

} // namespace stfusion
