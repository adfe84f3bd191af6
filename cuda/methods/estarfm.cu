// ESTARFM (Zhu, Chen, Gao, Chen and Masek 2010): the change between pairs and target, converted from coarse to fine by
// a regression over similar pixels, equations 11 to 19. The meaning is that of native/methods/src/estarfm: the same
// operations in the same order, so the same similar pixels and the same regressions are tried, bit for bit. All similar
// pixels count, and the window has one coefficient.
//
//   estarfm_samples     key of every image, and the record of every sample                      a thread: a sample
//   estarfm_changes     mean coarse change in the window, and its valid samples                 a thread: a pixel and
//   image estarfm_ranges…     range of similar keys                                                   a thread: a pixel
//   and image estarfm_gather…     sums over the similar pixels                                            a warp: a
//   pixel estarfm_finish      regression and prediction                                               a thread: a pixel
//
// Launch shape: x columns, y rows, z images. Gathering: blocks of whole warps, x counts warps along a row.
//
// Gathering. The warp first sees its lanes as neighbouring samples of a row of the window, then as the images of one
// sample, whose numbers lie side by side in its record:
//
//   for each row of the window; for each 32 samples of it:
//     vote which of them are in the ranges of all images
//     for each similar one: weight = 1 / ((1 - S) D + least)        the same in all lanes
//       lane p: Σx, Σy, Σx², Σxy, Σy² += coarse and fine value of image p;  Σ weight * its coarse value
//       lane b: Σ weight * target of band b;  lane `bands`: Σ weight
//
// A subtotal holds the similar pixels of whole rows, CHUNK at most, as on the CPU. There are at most 32 images, and
// fewer bands.

#include "blocks/box_sums.cuh"
#include "blocks/keys.cuh"
#include "blocks/launch.cuh"
#include "blocks/numbers.cuh"

// A tile; as in native/methods/src/estarfm/cuda.rs.
struct EstarfmTile {
    // largest coefficient, and what the gate compares with
    double largest, gate_least;
    // smallest and largest possible value
    double range_low, range_high;
    double classes, flat_correlation;
    // pixels of the padded tile
    int rows, cols;
    int bands, pairs;
    // pixels to compute, and where they begin in the padded tile
    int out_rows, out_cols, row_offset, col_offset;
    // the same in the scene
    int scene_row, scene_col, scene_rows, scene_cols;
    int half;
    int inclusive, relative_difference, has_range, copy_few;
    int least_similar;
    // 0: no regression, 1: everywhere, 2: where means change enough, 3: where values spread enough
    int gate;
    // whether an insignificant slope becomes 1
    int tested;
    // degrees of freedom in the table of least R²
    int table, unused;
};

namespace {

// Similar pixels that have a subtotal of their own.
constexpr int CHUNK = 160;
// Added to the combined distance of a neighbour.
constexpr float LEAST_DISTANCE = 1e-7f;
// Added to the change of a coarse mean.
constexpr double LEAST_MEAN_CHANGE = 1e-10;
constexpr double LARGEST_DISSIMILARITY = 1e6;
// A variance this much smaller than the mean square is rounding.
constexpr double SINGULAR = 1e-6;
constexpr float OUT_OF_RANGE = 1.0f, FEW_SIMILAR = 2.0f;

__device__ __forceinline__ long long pixels(const EstarfmTile &t) { return (long long)t.rows * t.cols; }
__device__ __forceinline__ long long out_pixels(const EstarfmTile &t) { return (long long)t.out_rows * t.out_cols; }
__device__ __forceinline__ int planes(const EstarfmTile &t) { return t.pairs * t.bands; }
__device__ __forceinline__ int record(const EstarfmTile &t) { return 2 * planes(t) + t.bands + 1; }
__device__ __forceinline__ long long centre_of(const EstarfmTile &t, int row, int col) {
    return (long long)(t.row_offset + row) * t.cols + t.col_offset + col;
}

// Images lie one behind the other: target, then fine and coarse of each pair; each with all bands. Image p is band p %
// bands of pair p / bands.
__device__ __forceinline__ const float *target_of(const float *images, const EstarfmTile &t, int p) {
    return images + p % t.bands * pixels(t);
}
__device__ __forceinline__ const float *fine_of(const float *images, const EstarfmTile &t, int p) {
    return images + ((1 + 2 * (p / t.bands)) * (long long)t.bands + p % t.bands) * pixels(t);
}
__device__ __forceinline__ const float *coarse_of(const float *images, const EstarfmTile &t, int p) {
    return images + ((2 + 2 * (p / t.bands)) * (long long)t.bands + p % t.bands) * pixels(t);
}

__device__ __forceinline__ bool is_finite(double v) { return v - v == 0.0; }

// Dissimilarity 1 - S of the fine and coarse values of a pixel in all bands and pairs (equation 14).
__device__ __forceinline__ double dissimilarity(const float *images, const EstarfmTile &t, long long at) {
    const double undefined = 1.0 - t.flat_correlation;
    const int n = planes(t);
    if (t.relative_difference) {
        double sum = 0.0;
        for (int p = 0; p < n; p++) {
            const double f = fine_of(images, t, p)[at], c = coarse_of(images, t, p)[at];
            sum += fabs((f - c) / (f + c));
        }
        const double mean = sum / double(n);
        return mean != mean ? undefined : mean < LARGEST_DISSIMILARITY ? mean : LARGEST_DISSIMILARITY;
    }
    // differences to the first value are exactly zero where all are equal
    const double f0 = fine_of(images, t, 0)[at], c0 = coarse_of(images, t, 0)[at];
    double sum_f = 0.0, sum_c = 0.0;
    for (int p = 0; p < n; p++) {
        sum_f += double(fine_of(images, t, p)[at]) - f0;
        sum_c += double(coarse_of(images, t, p)[at]) - c0;
    }
    const double mean_f = f0 + sum_f / double(n), mean_c = c0 + sum_c / double(n);
    double ff = 0.0, cc = 0.0, fc = 0.0;
    for (int p = 0; p < n; p++) {
        const double df = double(fine_of(images, t, p)[at]) - mean_f, dc = double(coarse_of(images, t, p)[at]) - mean_c;
        ff += df * df;
        cc += dc * dc;
        fc += df * dc;
    }
    const double correlation = fc / sqrt(ff * cc);
    if (!(ff > 0.0 && cc > 0.0 && is_finite(correlation)))
        return undefined;
    return 1.0 - correlation > 0.0 ? 1.0 - correlation : 0.0;
}

} // namespace

// Keys of every sample, those of NaN where an image is invalid, and its record: fine values, coarse values, target,
// each minus the origin of its band, and 1 - S.
extern "C" __global__ void estarfm_samples(const float *images, const float *origins, int *keys, float *records,
                                           EstarfmTile t) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= t.cols || row >= t.rows)
        return;
    const long long at = (long long)row * t.cols + col;
    const int n = planes(t);
    bool valid = true;
    for (int p = 0; p < n; p++) {
        const float fine = fine_of(images, t, p)[at];
        valid &= is_number(target_of(images, t, p)[at] - coarse_of(images, t, p)[at]) && fine == fine;
    }
    float *to = records + at * record(t);
    for (int p = 0; p < n; p++) {
        const float fine = fine_of(images, t, p)[at], origin = origins[p % t.bands];
        keys[p * pixels(t) + at] = valid ? key_of(fine) : STF_KEY_OF_NAN;
        to[p] = fine - origin;
        to[n + p] = coarse_of(images, t, p)[at] - origin;
    }
    for (int b = 0; b < t.bands; b++)
        to[2 * n + b] = images[b * pixels(t) + at] - origins[b];
    to[2 * n + t.bands] = valid ? float(dissimilarity(images, t, at)) : 0.0f;
}

namespace {

// Change from an image to the target where the sample is valid, and whether it is.
struct Change {
    const float *target, *coarse;
    const int *keys;
    int cols;

    __device__ void operator()(int row, int col, double (&parts)[2]) const {
        const long long at = (long long)row * cols + col;
        const bool valid = keys[at] != STF_KEY_OF_NAN;
        parts[0] = valid ? double(target[at] - coarse[at]) : 0.0;
        parts[1] = valid ? 1.0 : 0.0;
    }
};

// The range of keys around the centre (equation 13); of all where the centre is invalid or nothing varies.
__device__ __forceinline__ int2 range_around(float centre, double deviation, const EstarfmTile &t) {
    const double tolerance = 2.0 * deviation / t.classes;
    if (centre != centre || !(tolerance > 0.0))
        return make_int2(1, int(0x80000000u));
    return t.inclusive ? range_of_keys<true>(centre, tolerance) : range_of_keys<false>(centre, tolerance);
}

} // namespace

// Mean coarse change over the valid samples of the window of every pixel and image, NaN without any, and their number.
// Shared memory: 2 doubles for each thread and column of the rim.
extern "C" __global__ void estarfm_changes(const float *images, const int *keys, float *changes, int *counts,
                                           EstarfmTile t) {
    const int first = int(blockIdx.x * blockDim.x), col = first + int(threadIdx.x), row = int(blockIdx.y);
    const int p = int(blockIdx.z);
    double sums[2];
    window_sums<double, 2>(Change{target_of(images, t, p), coarse_of(images, t, p), keys, t.cols}, t.row_offset + row,
                           t.col_offset + first, t.rows, t.cols, t.half, dynamic_shared<double>(), sums);
    if (col >= t.out_cols || row >= t.out_rows)
        return;
    const long long to = (long long)row * t.out_cols + col;
    changes[p * out_pixels(t) + to] = float(sums[0] / sums[1]);
    if (p == 0)
        counts[to] = int(sums[1]);
}

// Ranges of similar keys from the standard deviations of the images. Ranges of the images of a pixel are neighbours.
extern "C" __global__ void estarfm_ranges(const float *images, const double *deviations, int2 *ranges, EstarfmTile t) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y), p = int(blockIdx.z);
    if (col >= t.out_cols || row >= t.out_rows)
        return;
    const float centre = fine_of(images, t, p)[centre_of(t, row, col)];
    ranges[((long long)row * t.out_cols + col) * planes(t) + p] = range_around(centre, deviations[p], t);
}

// The same from the standard deviation of the window around each pixel, taken near `means`. Shared memory: 3 doubles
// for each thread and column of the rim.
extern "C" __global__ void estarfm_ranges_local(const float *images, const double *means, int2 *ranges, EstarfmTile t) {
    const int first = int(blockIdx.x * blockDim.x), col = first + int(threadIdx.x), row = int(blockIdx.y);
    const int p = int(blockIdx.z);
    double sums[3];
    window_sums<double, 3>(MomentsNear{fine_of(images, t, p), t.cols, means[p]}, t.row_offset + row,
                           t.col_offset + first, t.rows, t.cols, t.half, dynamic_shared<double>(), sums);
    if (col >= t.out_cols || row >= t.out_rows)
        return;
    const float centre = fine_of(images, t, p)[centre_of(t, row, col)];
    ranges[((long long)row * t.out_cols + col) * planes(t) + p] = range_around(centre, deviation_of(sums), t);
}

namespace {

// Sums of a lane: moments of its image, weighted coarse values, and its part of the weighted target.
struct Sums {
    float x, y, xx, xy, yy, coarse, target;
};

__device__ __forceinline__ void flush(Sums &total, Sums &sums) {
    total.x += sums.x;
    total.y += sums.y;
    total.xx += sums.xx;
    total.xy += sums.xy;
    total.yy += sums.yy;
    total.coarse += sums.coarse;
    total.target += sums.target;
    sums = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
}

// Sums over the similar pixels of every pixel: for each number a layer; moments (5 for each image), weighted coarse
// values, weighted target and the weights. With RANGE, also Σ weight * fine value of each image and Σ weight, in
// double.
template <bool RANGE>
__device__ __forceinline__ void gather(const int *keys, const float *records, const int2 *ranges,
                                       const float *distances, float *sums, double *fine_sums, int *similar,
                                       const EstarfmTile &t) {
    const int lane = int(threadIdx.x) % 32;
    const int col = int((blockIdx.x * blockDim.x + threadIdx.x) / 32), row = int(blockIdx.y);
    // whole warps leave
    if (col >= t.out_cols || row >= t.out_rows)
        return;
    const int n = planes(t), side = 2 * t.half + 1, rows_of_chunk = max(CHUNK / side, 1);
    const long long out = (long long)row * t.out_cols + col;
    const int2 *own_ranges = ranges + out * n;
    const int top = t.row_offset + row - t.half, left = t.col_offset + col - t.half;
    Sums total = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f}, part = total;
    double fine_sum = 0.0, weight_sum = 0.0;
    int found = 0, in_part = 0;
    for (int r = 0; r < side; r++) {
        if (r % rows_of_chunk == 0) {
            flush(total, part);
            in_part = 0;
        }
        if (top + r < 0 || top + r >= t.rows)
            continue;
        const long long line = (long long)(top + r) * t.cols + left;
        for (int first = 0; first < side; first += 32) {
            const int c = first + lane;
            bool keep = c < side && left + c >= 0 && left + c < t.cols;
            for (int p = 0; keep && p < n; p++) {
                const int2 range = own_ranges[p];
                keep = is_in_range(keys[p * pixels(t) + line + c], range.x, range.y);
            }
            unsigned similar_ones = __ballot_sync(0xffffffffu, keep);
            found += __popc(similar_ones);
            while (similar_ones) {
                const int column = first + __ffs(int(similar_ones)) - 1;
                similar_ones &= similar_ones - 1;
                if (in_part == CHUNK) {
                    flush(total, part);
                    in_part = 0;
                }
                in_part++;
                const float *sample = records + (line + column) * record(t);
                const float combined = sample[2 * n + t.bands] * distances[r * side + column] + LEAST_DISTANCE;
                const float weight = combined == combined ? 1.0f / combined : 0.0f;
                if (lane < n) {
                    const float x = sample[n + lane], y = sample[lane];
                    part.x += x;
                    part.y += y;
                    part.xx += x * x;
                    part.xy += x * y;
                    part.yy += y * y;
                    part.coarse += weight * x;
                    if (RANGE)
                        fine_sum += double(y) * double(weight);
                }
                if (lane <= t.bands)
                    part.target += weight * (lane < t.bands ? sample[2 * n + lane] : 1.0f);
                if (RANGE)
                    weight_sum += double(weight);
            }
        }
    }
    flush(total, part);
    const long long layer = out_pixels(t);
    if (lane < n) {
        sums[lane * layer + out] = total.x;
        sums[(n + lane) * layer + out] = total.y;
        sums[(2 * n + lane) * layer + out] = total.xx;
        sums[(3 * n + lane) * layer + out] = total.xy;
        sums[(4 * n + lane) * layer + out] = total.yy;
        sums[(5 * n + lane) * layer + out] = total.coarse;
        if (RANGE)
            fine_sums[lane * layer + out] = fine_sum;
    }
    if (lane <= t.bands)
        sums[(6 * n + lane) * layer + out] = total.target;
    if (lane == 0) {
        similar[out] = found;
        if (RANGE)
            fine_sums[n * layer + out] = weight_sum;
    }
}

} // namespace

extern "C" __global__ void __launch_bounds__(128)
    estarfm_gather(const int *keys, const float *records, const int2 *ranges, const float *distances, float *sums,
                   int *similar, EstarfmTile t) {
    gather<false>(keys, records, ranges, distances, sums, nullptr, similar, t);
}

// As estarfm_gather, with what replaces predictions outside the range.
extern "C" __global__ void __launch_bounds__(128)
    estarfm_gather_range(const int *keys, const float *records, const int2 *ranges, const float *distances, float *sums,
                         double *fine_sums, int *similar, EstarfmTile t) {
    gather<true>(keys, records, ranges, distances, sums, fine_sums, similar, t);
}

namespace {

// A pixel that is finished.
struct Finished {
    const float *images;
    const float *sums;
    const float *changes;
    const double *least_r2;
    long long at, out;
    int samples, similar;
    const EstarfmTile &t;

    __device__ double sum(int number) const { return double(sums[number * out_pixels(t) + out]); }

    __device__ float change(int p) const { return target_of(images, t, p)[at] - coarse_of(images, t, p)[at]; }

    // Mean change of the coarse image over the window, or at the pixel itself without valid samples.
    __device__ double mean_change(int p) const {
        return double(samples > 0 ? changes[p * out_pixels(t) + out] : change(p));
    }

    // Temporal weight of an image before division by the sum (equation 18); 0 where the pair does not take part.
    __device__ double temporal(int p) const {
        const float fine = fine_of(images, t, p)[at], own = change(p);
        if (fine != fine || own != own)
            return 0.0;
        return 1.0 / (fabs(mean_change(p)) + LEAST_MEAN_CHANGE);
    }

    // The least R² that is significant.
    __device__ double least(long long freedom) const {
        if (freedom < 1)
            freedom = 1;
        if (freedom <= t.table)
            return least_r2[freedom - 1];
        const double x = 1.0 / double(freedom), *beyond = least_r2 + t.table;
        const double f = beyond[0] + x * (beyond[1] + x * beyond[2]);
        return f / (f + double(freedom));
    }

    // The conversion coefficient of a band (section 3.4).
    __device__ double coefficient(int band) const {
        const int planes_here = planes(t);
        const double count = double(similar), n = count * double(t.pairs);
        if (t.gate == 0 || n < 3.0)
            return 1.0;
        double x = 0.0, y = 0.0, xx = 0.0, xy = 0.0, yy = 0.0;
        double low = double(STF_INFINITY), high = -double(STF_INFINITY);
        for (int p = band; p < planes_here; p += t.bands) {
            const double own = sum(p);
            low = own < low ? own : low;
            high = own > high ? own : high;
            x += own;
            y += sum(planes_here + p);
            xx += sum(2 * planes_here + p);
            xy += sum(3 * planes_here + p);
            yy += sum(4 * planes_here + p);
        }
        if (t.gate == 2 && (high - low) / count < t.gate_least)
            return 1.0;
        const double spread = xx - x * x / n;
        if (t.gate == 3 && spread <= t.gate_least * t.gate_least * (n - 1.0))
            return 1.0;
        const double common = xy - x * y / n, slope = common / spread;
        if (!(spread > SINGULAR * xx && slope > 0.0 && slope <= t.largest))
            return 1.0;
        const double fine_spread = yy - y * y / n;
        const double explained = fine_spread > 0.0 ? common * slope / fine_spread : 1.0;
        const double r2 = explained < 1.0 ? explained : 1.0;
        return t.tested && r2 < least((long long)n - 2) ? 1.0 : slope;
    }
};

} // namespace

// The prediction of every pixel in all bands, and the support (similar pixels, valid fraction, fallback, one layer
// after the other). `fine_sums` may be null without a range.
extern "C" __global__ void estarfm_finish(const float *images, const float *origins, const float *sums,
                                          const double *fine_sums, const float *changes, const int *counts,
                                          const int *similar, const double *least_r2, float *prediction, float *support,
                                          EstarfmTile t) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= t.out_cols || row >= t.out_rows)
        return;
    const long long out = (long long)row * t.out_cols + col, layer = out_pixels(t);
    const int n = planes(t);
    const Finished pixel = {images, sums, changes, least_r2, centre_of(t, row, col), out, counts[out], similar[out], t};
    const bool enough = pixel.similar >= t.least_similar;
    float fallback = 0.0f;
    bool complete = true;
    for (int band = 0; band < t.bands; band++) {
        double all = 0.0;
        for (int p = band; p < n; p += t.bands)
            all += pixel.temporal(p);
        float result = STF_NAN;
        if (all > 0.0) {
            const double coefficient = enough ? pixel.coefficient(band) : 1.0;
            const double weights = pixel.sum(6 * n + t.bands), target = pixel.sum(6 * n + band);
            double value = 0.0;
            for (int p = band; p < n; p += t.bands) {
                const double temporal = pixel.temporal(p) / all;
                if (!(temporal > 0.0))
                    continue;
                const double fine = double(fine_of(images, t, p)[pixel.at]);
                if (enough)
                    value += temporal * (fine + coefficient * (target - pixel.sum(5 * n + p)) / weights);
                else
                    value += temporal * (t.copy_few ? fine : fine + pixel.mean_change(p));
            }
            if (!enough)
                fallback = fmaxf(fallback, FEW_SIMILAR);
            if (t.has_range && enough && (value <= t.range_low || value >= t.range_high)) {
                fallback = fmaxf(fallback, OUT_OF_RANGE);
                value = 0.0;
                for (int p = band; p < n; p += t.bands) {
                    const double temporal = pixel.temporal(p) / all;
                    if (temporal > 0.0)
                        value += temporal *
                                 (double(origins[band]) + fine_sums[p * layer + out] / fine_sums[n * layer + out]);
                }
            }
            result = is_number(float(value)) ? float(value) : STF_NAN;
        }
        prediction[band * layer + out] = result;
        complete &= result == result;
    }
    const int r = t.scene_row + row, c = t.scene_col + col;
    const int rows_inside = min(r + t.half + 1, t.scene_rows) - max(r - t.half, 0);
    const int cols_inside = min(c + t.half + 1, t.scene_cols) - max(c - t.half, 0);
    support[out] = complete ? float(pixel.similar) : 0.0f;
    support[layer + out] = float(double(pixel.samples) / double((long long)rows_inside * cols_inside));
    support[2 * layer + out] = fallback;
}
