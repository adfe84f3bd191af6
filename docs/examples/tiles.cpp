// Fuses images that GDAL reads, tile by tile: neither the images nor the prediction are in memory as a whole.
//
//   tiles METHOD FINE COARSE TARGET OUTPUT [NAME=VALUE...]
//
// FINE and COARSE are of one day, TARGET is coarse and of the day to predict. The coarse images cover the fine one
// exactly: their rows and columns are those of the fine image divided by a whole number. (Jobs of files, as in
// fuse.cpp, take coarse images on any grid.) Ctrl-C stops the work and leaves no output.
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

#include <gdal_priv.h>
#include <stfusion/stfusion.hpp>

namespace {

volatile std::sig_atomic_t interrupted = 0;

// gives the dataset back to GDAL, which completes a file that was written
struct close_dataset {
    void operator()(GDALDataset *dataset) const { GDALClose(dataset); }
};
using dataset = std::unique_ptr<GDALDataset, close_dataset>;

dataset open(const std::string &name) {
    dataset opened(GDALDataset::Open(name.c_str(), GDAL_OF_RASTER | GDAL_OF_VERBOSE_ERROR));
    if (!opened) {
        throw std::runtime_error(CPLGetLastErrorMsg());
    }
    return opened;
}

// the image as stfusion sees it: its pixels come and go through GDAL, a tile at a time, as T, which GDAL calls `type`
template <class T>
stfusion::image<T> image_of(GDALDataset &file, GDALRWFlag direction, GDALDataType type) {
    const auto transfer = [&file, direction, type](const stfusion::area &where, T *pixels) {
        const int width = static_cast<int>(where.cols), height = static_cast<int>(where.rows);
        if (file.RasterIO(direction, static_cast<int>(where.col), static_cast<int>(where.row), width, height, pixels,
                          width, height, type, file.GetRasterCount(), nullptr, 0, 0, 0) != CE_None) {
            throw std::runtime_error(CPLGetLastErrorMsg());
        }
    };
    stfusion::image<T> image(transfer, static_cast<std::size_t>(file.GetRasterCount()),
                             static_cast<std::size_t>(file.GetRasterYSize()),
                             static_cast<std::size_t>(file.GetRasterXSize()));
    GDALRasterBand &band = *file.GetRasterBand(1);
    int has_nodata = 0;
    if (const double nodata = band.GetNoDataValue(&has_nodata); has_nodata) {
        image.nodata(nodata);
    }
    return image.scale(band.GetScale(), band.GetOffset());
}

stfusion::image<float> input(GDALDataset &file) { return image_of<float>(file, GF_Read, GDT_Float32); }

// predicts into a file in the file's own type, so that values are rounded once, and by stfusion
void predict(stfusion::job &job, GDALDataset &output) {
    switch (output.GetRasterBand(1)->GetRasterDataType()) {
    case GDT_Byte:
        job.run(image_of<std::uint8_t>(output, GF_Write, GDT_Byte));
        break;
    case GDT_Int16:
        job.run(image_of<std::int16_t>(output, GF_Write, GDT_Int16));
        break;
    case GDT_UInt16:
        job.run(image_of<std::uint16_t>(output, GF_Write, GDT_UInt16));
        break;
    default:
        job.run(image_of<float>(output, GF_Write, GDT_Float32));
    }
}

// an empty file with the grid, type, nodata value and scale of another
dataset create_like(GDALDataset &other, const std::string &name) {
    GDALRasterBand &band = *other.GetRasterBand(1);
    const char *const options[] = {"TILED=YES", "COMPRESS=DEFLATE", nullptr};
    dataset created(GetGDALDriverManager()->GetDriverByName("GTiff")->Create(
        name.c_str(), other.GetRasterXSize(), other.GetRasterYSize(), other.GetRasterCount(), band.GetRasterDataType(),
        const_cast<char **>(options)));
    if (!created) {
        throw std::runtime_error(CPLGetLastErrorMsg());
    }
    double transform[6];
    if (other.GetGeoTransform(transform) == CE_None) {
        created->SetGeoTransform(transform);
    }
    created->SetSpatialRef(other.GetSpatialRef());
    int has_nodata = 0;
    const double nodata = band.GetNoDataValue(&has_nodata);
    for (int k = 1; k <= other.GetRasterCount(); ++k) {
        created->GetRasterBand(k)->SetNoDataValue(has_nodata ? nodata : 0.0);
        created->GetRasterBand(k)->SetScale(band.GetScale());
        created->GetRasterBand(k)->SetOffset(band.GetOffset());
    }
    return created;
}

void run(int argc, char **argv, const std::string &partial) {
    const dataset fine = open(argv[2]), coarse = open(argv[3]), target = open(argv[4]);

    stfusion::context context;
    context.progress([](double fraction, std::string_view message) {
        std::cerr << '\r' << static_cast<int>(100 * fraction) << " % " << message << "        " << std::flush;
        return interrupted == 0; // false stops the work
    });
    stfusion::job job(context, argv[1]);
    for (int k = 6; k < argc; ++k) {
        const std::string setting = argv[k];
        const std::size_t equals = setting.find('=');
        job.set(setting.substr(0, equals), equals == std::string::npos ? "true" : setting.substr(equals + 1));
    }
    job.add_pair("", input(*fine), input(*coarse)).set_target("", input(*target));

    dataset output = create_like(*fine, partial);
    predict(job, *output);
    std::cerr << '\n';

    // the last blocks are written when the file is closed, and only a complete file gets its name
    CPLErrorReset();
    output.reset();
    if (CPLGetLastErrorType() >= CE_Failure) {
        throw std::runtime_error(CPLGetLastErrorMsg());
    }
    if (std::rename(partial.c_str(), argv[5]) != 0) {
        throw std::runtime_error(std::string(argv[5]) + ": the output cannot be given its name");
    }
}

} // namespace

int main(int argc, char **argv) {
    if (argc < 6) {
        std::cerr << "usage: tiles METHOD FINE COARSE TARGET OUTPUT [NAME=VALUE...]\n";
        return 2;
    }
    GDALAllRegister();
    // a handler may do no more than this; the progress function looks at it
    std::signal(SIGINT, [](int) { interrupted = 1; });
    const std::string partial = std::string(argv[5]) + ".partial";
    try {
        run(argc, argv, partial);
        return 0;
    } catch (const stfusion::error &e) {
        std::remove(partial.c_str());
        if (e.status() == STF_STATUS_CANCELLED) {
            std::cerr << "\nstopped\n";
            return 130;
        }
        std::cerr << '\n' << e.status_name() << " error: " << e.what() << '\n' << e.hint() << '\n';
    } catch (const std::exception &e) {
        std::remove(partial.c_str());
        std::cerr << '\n' << e.what() << '\n';
    }
    return 1;
}
