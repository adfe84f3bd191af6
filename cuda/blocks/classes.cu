// Classes of fine pixels: the nearest of some class means, or the numbers of a class map. The meaning is that of
// native/methods/src/blocks/classes.rs and class_means.rs. A label is a whole number as a float: labels are the plane
// behind the bands of an image, and can be compared as one of them; STF_NO_CLASS marks a pixel without a class.
//
//   classes_of_means   the first of the nearest means, distances exact in whole numbers      a thread: a pixel
//   classes_of_map     the places of the map's values among those that occur in it           a thread: a pixel
//
// Launch shape: x columns, y rows. Shared memory of classes_of_means: an int for each thread and band, the pixel in the
// units of the means. A pixel takes a division in double for each band, and 5 operations for each band and class.

#include "blocks/classes.cuh"
#include "blocks/launch.cuh"
#include "blocks/numbers.cuh"

// As in native/methods/src/blocks/classes/cuda.rs.
struct ClassesTile {
    double unit;
    int rows, cols, bands, classes;
};

namespace {

// A value in units, rounded half away from zero, as in native/methods/src/blocks/pixel_sample.rs.
__device__ __forceinline__ int in_units(float value, double unit) {
    constexpr double MOST = 1073741824.0;
    const double units = fmin(fmax(double(value) / unit, -MOST), MOST);
    return int(units + copysign(0.5, units));
}

} // namespace

// `image` holds all bands and room for the labels behind them; `means` the bands of one class after the other.
extern "C" __global__ void classes_of_means(float *image, const int *means, ClassesTile t) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= t.cols || row >= t.rows)
        return;
    const long long layer = (long long)t.rows * t.cols, at = (long long)row * t.cols + col;
    int *units = dynamic_shared<int>() + threadIdx.x;
    bool valid = true;
#pragma unroll 1
    for (int band = 0; band < t.bands; band++) {
        const float value = image[band * layer + at];
        valid &= value == value;
        units[band * int(blockDim.x)] = value == value ? in_units(value, t.unit) : 0;
    }
    unsigned long long least = ~0ull;
    int nearest = 0;
    for (int label = 0; valid && label < t.classes; label++) {
        unsigned long long distance = 0;
        for (int band = 0; band < t.bands; band++) {
            const long long d = (long long)units[band * int(blockDim.x)] - means[label * t.bands + band];
            const unsigned long long sum = distance + (unsigned long long)(d * d);
            // saturates, as on the CPU
            distance = sum < distance ? ~0ull : sum;
        }
        if (distance < least) {
            least = distance;
            nearest = label;
        }
    }
    image[t.bands * layer + at] = valid ? float(nearest) : STF_NO_CLASS;
}

// `values` are the whole numbers that occur in the map, ascending. Labels go behind the bands of `image`.
extern "C" __global__ void classes_of_map(float *image, const float *map, const int *values, ClassesTile t) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= t.cols || row >= t.rows)
        return;
    const long long at = (long long)row * t.cols + col;
    const float value = map[at];
    int low = 0, high = value == value ? t.classes : 0;
    const int number = value == value ? int(value) : 0;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (values[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    const bool found = value == value && low < t.classes && values[low] == number;
    image[t.bands * (long long)t.rows * t.cols + at] = found ? float(low) : STF_NO_CLASS;
}
