// ESTARFM (Zhu, Chen, Gao, Chen and Masek 2010): the change between pairs and target, converted from coarse to fine by
// a regression over similar pixels, equations 11 to 19. The meaning is that of native/methods/src/estarfm: the same
// operations in the same order, so the same similar pixels and the same regressions are tried, bit for bit.
//
//   estarfm_samples   key of every image, and the record of every sample              a thread: a sample
//   estarfm_changes   mean coarse change in the window, and its valid samples         a thread: a pixel and image
//   estarfm_ranges…   range of similar keys                                           a thread: a pixel and image
//   estarfm_gather…   sums over the similar pixels, regression, and converted change  a warp: a pixel and some bands
//   estarfm_finish    prediction                                                      a thread: a pixel
//
// Launch shape: x columns, y rows, z images. Gathering: blocks of whole warps, x counts warps along a row, z groups of
// bands: those of as many bands whose images in all pairs are 32 at most, all of them with the usual numbers.
//
// Gathering. The warp first sees its lanes as samples of the window, row by row, then as the images of one sample,
// whose numbers lie side by side in its record:
//
//   for each 32 samples of some rows of the window:
//     vote which of them are in the ranges of all images
//     list the similar ones, with weight = 1 / ((1 - S) D + least)
//     for each of the list:
//       lane p: Σx, Σy, Σx², Σxy, Σy² += coarse and fine value of image p;  Σ weight * its coarse value
//       lane b: Σ weight * target of band b;  the next lane: Σ weight
//   lane p: coefficient of its band (section 3.4);  change += coefficient * Σ weight * (target - coarse)
//
// A subtotal holds the similar pixels of whole rows, CHUNK at most, as on the CPU. Shared memory: the lists, 32 samples
// for each warp. A step of 32 samples takes some 25 instructions and 4 for each image until none is similar, a listed
// sample 27. The nearest of the similar pixels are those up to a key (difference, then place in the window), which is
// found before: a warp sweeps the window with a sorted list of 32 keys, one in each lane, and again for the next 32
// while more are wanted. Coarse pixels with a coefficient of their own are swept one after the other.

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
    // what becomes of an insignificant slope: 0: nothing, 1: it becomes 1, 2: it is blended with 1
    int test;
    // degrees of freedom in the table of least R²
    int table;
    // how many of the nearest similar pixels are used, and the side of coarse pixels that have a coefficient each; 0:
    // all similar pixels, and one coefficient
    int nearest, cell;
    // half the side of the table of distances
    int reach;
    // bands whose images one warp sums
    int group;
    int unused;
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
#pragma unroll 1
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
#pragma unroll 1
    for (int p = 0; p < n; p++) {
        sum_f += double(fine_of(images, t, p)[at]) - f0;
        sum_c += double(coarse_of(images, t, p)[at]) - c0;
    }
    const double mean_f = f0 + sum_f / double(n), mean_c = c0 + sum_c / double(n);
    double ff = 0.0, cc = 0.0, fc = 0.0;
#pragma unroll 1
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

// Sets the range of keys around the centre (equation 13); of all where the centre is invalid or nothing varies, which
// is not tested. And, unless `centres` is null, what differences are made with: the centre as in records, and 1 /
// tolerance; 0 where it is not tested.
__device__ __forceinline__ void set_range(const float *images, const float *origins, double deviation, int2 *ranges,
                                          float2 *centres, const EstarfmTile &t, int row, int col, int p) {
    const float centre = fine_of(images, t, p)[centre_of(t, row, col)];
    const double tolerance = 2.0 * deviation / t.classes;
    const bool tested = centre == centre && tolerance > 0.0;
    int2 range = make_int2(1, int(0x80000000u));
    if (tested)
        range = t.inclusive ? range_of_keys<true>(centre, tolerance) : range_of_keys<false>(centre, tolerance);
    const long long to = ((long long)row * t.out_cols + col) * planes(t) + p;
    ranges[to] = range;
    if (centres)
        centres[to] =
            tested ? make_float2(centre - origins[p % t.bands], float(1.0 / tolerance)) : make_float2(0.0f, 0.0f);
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
extern "C" __global__ void estarfm_ranges(const float *images, const float *origins, const double *deviations,
                                          int2 *ranges, float2 *centres, EstarfmTile t) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y), p = int(blockIdx.z);
    if (col < t.out_cols && row < t.out_rows)
        set_range(images, origins, deviations[p], ranges, centres, t, row, col, p);
}

// The same from the standard deviation of the window around each pixel, taken near `means`. Shared memory: 3 doubles
// for each thread and column of the rim.
extern "C" __global__ void estarfm_ranges_local(const float *images, const float *origins, const double *means,
                                                int2 *ranges, float2 *centres, EstarfmTile t) {
    const int first = int(blockIdx.x * blockDim.x), col = first + int(threadIdx.x), row = int(blockIdx.y);
    const int p = int(blockIdx.z);
    double sums[3];
    window_sums<double, 3>(MomentsNear{fine_of(images, t, p), t.cols, means[p]}, t.row_offset + row,
                           t.col_offset + first, t.rows, t.cols, t.half, dynamic_shared<double>(), sums);
    if (col < t.out_cols && row < t.out_rows)
        set_range(images, origins, deviation_of(sums), ranges, centres, t, row, col, p);
}

namespace {

// ln Γ(x) for x > 0, by Stirling's series from 10 on.
__device__ double ln_gamma(double x) {
    double product = 1.0;
#pragma unroll 1
    for (; x < 10.0; x += 1.0)
        product *= x;
    const double i = 1.0 / x, i2 = i * i;
    const double series =
        i * (1.0 / 12.0 - i2 * (1.0 / 360.0 - i2 * (1.0 / 1260.0 - i2 * (1.0 / 1680.0 - i2 / 1188.0))));
    return (x - 0.5) * log(x) - x + 0.5 * log(2.0 * 3.14159265358979323846) + series - log(product);
}

// The continued fraction of the incomplete beta function, by Lentz's algorithm.
__device__ double beta_fraction(double a, double b, double x) {
    constexpr double LEAST = 1e-300;
    double c = 1.0, d = 1.0 - (a + b) * x / (a + 1.0);
    d = 1.0 / (fabs(d) < LEAST ? LEAST : d);
    double value = d;
#pragma unroll 1
    for (int i = 2; i < 4000; i++) {
        const double m = double(i / 2), twice = a + 2.0 * m;
        const double term =
            i % 2 ? -(a + m) * (a + b + m) * x / (twice * (twice + 1.0)) : m * (b - m) * x / ((twice - 1.0) * twice);
        d = 1.0 + term * d;
        d = 1.0 / (fabs(d) < LEAST ? LEAST : d);
        c = 1.0 + term / c;
        c = fabs(c) < LEAST ? LEAST : c;
        value *= c * d;
        if (i % 2 && fabs(c * d - 1.0) < 1e-15)
            break;
    }
    return value;
}

// Probability of an R² as large as this without any slope: the regularised incomplete beta function of 1 - R² with
// df / 2 and 1 / 2 (native/methods/src/estarfm/significance.rs).
__device__ double probability(double r2, double df) {
    constexpr double b = 0.5, LN_GAMMA_OF_B = 0.57236494292470008707;
    const double x = 1.0 - r2, a = df / 2.0;
    if (!(x > 0.0 && x < 1.0))
        return x > 0.0 ? 1.0 : 0.0;
    double exponent = a * log(x) + b * log(r2) - LN_GAMMA_OF_B;
#pragma unroll 1
    for (int i = 0; i < 2; i++)
        exponent += (i == 0 ? 1.0 : -1.0) * ln_gamma(i == 0 ? a + b : a);
    const bool direct = x < (a + 1.0) / (a + b + 2.0);
    const double first = direct ? a : b, second = direct ? b : a;
    const double part = exp(exponent) * beta_fraction(first, second, direct ? x : r2) / first;
    return direct ? part : 1.0 - part;
}

// The least R² that is significant.
__device__ __forceinline__ double least_r2_for(long long freedom, const double *least_r2, const EstarfmTile &t) {
    if (freedom < 1)
        freedom = 1;
    if (freedom <= t.table)
        return least_r2[freedom - 1];
    const double x = 1.0 / double(freedom), *beyond = least_r2 + t.table;
    const double f = beyond[0] + x * (beyond[1] + x * beyond[2]);
    return f / (f + double(freedom));
}

// Sums over similar pixels, of all pairs, of the coarse value x and the fine value y of a band, and the smallest and
// largest sum of x of a pair.
struct Moments {
    double x, y, xx, xy, yy, low, high;
};

// The conversion coefficient of a band (section 3.4) from `similar` pixels.
template <bool EVERY_RULE>
__device__ __forceinline__ double coefficient(const Moments &sums, int similar, const double *least_r2,
                                              const EstarfmTile &t) {
    const double count = double(similar), n = count * double(t.pairs);
    if (t.gate == 0 || n < 3.0 || (t.gate == 2 && (sums.high - sums.low) / count < t.gate_least))
        return 1.0;
    const double spread = sums.xx - sums.x * sums.x / n;
    if (t.gate == 3 && spread <= t.gate_least * t.gate_least * (n - 1.0))
        return 1.0;
    const double common = sums.xy - sums.x * sums.y / n, slope = common / spread;
    if (!(spread > SINGULAR * sums.xx && slope > 0.0 && slope <= t.largest))
        return 1.0;
    const double fine_spread = sums.yy - sums.y * sums.y / n;
    const double explained = fine_spread > 0.0 ? common * slope / fine_spread : 1.0;
    const double r2 = explained < 1.0 ? explained : 1.0;
    if (EVERY_RULE && t.test == 2) {
        const double p = probability(r2, n - 2.0);
        return slope * (1.0 - p) + p;
    }
    return t.test == 1 && r2 < least_r2_for((long long)n - 2, least_r2, t) ? 1.0 : slope;
}

// Place of a lane among the samples of a rectangle of `cols` columns, 32 of which are seen at once, row by row.
struct Walk {
    int row, col, down, right;

    __device__ Walk(int lane, int cols) : row(lane / cols), col(lane % cols), down(32 / cols), right(32 % cols) {}

    __device__ void go_on(int cols) {
        row += down;
        col += right;
        if (col >= cols) {
            col -= cols;
            row++;
        }
    }
};

// What tells samples apart: keys, and the ranges of one pixel.
struct Similarity {
    const int *keys;
    const int2 *ranges;
    // for differences
    const float *origins;
    const float2 *centres;
    const EstarfmTile &t;

    // Whether the sample `at` is in the ranges of all images.
    __device__ __forceinline__ bool holds(int at) const {
#pragma unroll 1
        for (int p = 0; p < planes(t); p++)
            if (!is_in_range(keys[p * pixels(t) + at], ranges[p].x, ranges[p].y))
                return false;
        return true;
    }

    // Key of a similar sample by its difference from the centre, and of two equals by its place in the window. The
    // difference has four subtotals, of every fourth image each; those of even and of odd images are added first.
    __device__ __forceinline__ unsigned long long key(int at, int place) const {
        float parts[4] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll 1
        for (int p = 0; p < planes(t); p++) {
            const float value = value_of_key(keys[p * pixels(t) + at]) - origins[p % t.bands];
            const float next = parts[0] + fabsf(value - centres[p].x) * centres[p].y;
            parts[0] = parts[1];
            parts[1] = parts[2];
            parts[2] = parts[3];
            parts[3] = next;
        }
        const float difference = (parts[0] + parts[2]) + (parts[1] + parts[3]);
        return (unsigned long long)(unsigned(__float_as_int(difference))) << 32 | unsigned(place);
    }
};

// A rectangle of samples of the padded tile: the first row and column, and those behind the last.
struct Area {
    int top, left, bottom, right;
};

constexpr unsigned WHOLE_WARP = 0xffffffffu;

// Number of similar samples in `window`, which begins at (top, left) even where the tile does not, and the largest key
// of the `t.nearest` smallest, if there are more.
__device__ __forceinline__ int nearest_of(const Similarity &similarity, const Area &window, int top, int left, int lane,
                                          unsigned long long &largest, const EstarfmTile &t) {
    const int cols = window.right - window.left, all = (window.bottom - window.top) * cols;
    unsigned long long floor = 0;
    int found = 0;
    for (int wanted = t.nearest; wanted > 0; wanted -= 32) {
        // sorted by lane
        unsigned long long listed = ~0ull, last = ~0ull;
        Walk walk(lane, cols);
        found = 0;
        for (int first = 0; first < all; first += 32, walk.go_on(cols)) {
            const int row = window.top + walk.row, col = window.left + walk.col;
            const bool similar = first + lane < all && similarity.holds(row * t.cols + col);
            found += __popc(__ballot_sync(WHOLE_WARP, similar));
            unsigned long long key = ~0ull;
            if (similar)
                key = similarity.key(row * t.cols + col, (row - top) * (2 * t.half + 1) + col - left);
            // keys of one sweep begin behind those of the sweep before; the smallest key is its first
            unsigned candidates = __ballot_sync(WHOLE_WARP, key < last && (wanted == t.nearest || key > floor));
            while (candidates) {
                const unsigned long long next = __shfl_sync(WHOLE_WARP, key, __ffs(int(candidates)) - 1);
                const unsigned long long before = __shfl_up_sync(WHOLE_WARP, listed, 1);
                if (listed > next)
                    listed = lane > 0 && before > next ? before : next;
                last = __shfl_sync(WHOLE_WARP, listed, min(wanted, 32) - 1);
                candidates &= candidates - 1;
                candidates &= __ballot_sync(WHOLE_WARP, key < last);
            }
        }
        if (found <= t.nearest)
            return found;
        floor = largest = last;
    }
    return found;
}

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

// A similar sample: its place in the padded tile, and its weight before division by the sum.
struct alignas(8) Listed {
    int place;
    float weight;
};

__device__ __forceinline__ int rounded_down(int value, int step) { return value - value % step; }

// For every pixel the converted change of every image, Σ coefficient * Σ weight * (target - coarse), a layer for each,
// then Σ weight, which is negative where there are too few similar pixels; and how many are used. With a range, also
// Σ weight * fine value of each image and Σ weight.
template <bool EVERY_RULE>
__device__ __forceinline__ void gather(const int *keys, const float *records, const int2 *ranges,
                                       const float *distances, const double *least_r2, const float *origins,
                                       const float2 *centres, double *changed, double *fine_sums, int *similar,
                                       const EstarfmTile &t) {
    const int lane = int(threadIdx.x) % 32;
    const int col = int((blockIdx.x * blockDim.x + threadIdx.x) / 32), row = int(blockIdx.y);
    // whole warps leave
    if (col >= t.out_cols || row >= t.out_rows)
        return;
    Listed *list = dynamic_shared<Listed>() + threadIdx.x / 32 * 32;
    const int n = planes(t), side = 2 * t.half + 1, first_band = int(blockIdx.z) * t.group;
    const int bands = min(t.group, t.bands - first_band);
    // the image of the lane, or the first one where it has none
    const bool has_image = lane < bands * t.pairs;
    const int band = first_band + lane % bands, image = has_image ? lane / bands * t.bands + band : first_band;
    const long long out = (long long)row * t.out_cols + col, layer = out_pixels(t);
    const int top = t.row_offset + row - t.half, left = t.col_offset + col - t.half;
    const Area window = {max(top, 0), max(left, 0), min(top + side, t.rows), min(left + side, t.cols)};
    const Similarity similarity = {keys, ranges + out * n, origins, EVERY_RULE ? centres + out * n : nullptr, t};

    // some whole rows of the window at once, all of it as if one coarse pixel; or coarse pixels
    Area area = window, cells = {top, left, top + side, left + side};
    int cell = side, rows_at_once = max(CHUNK / side, 1), found = 0;
    unsigned long long largest = ~0ull;
    if (EVERY_RULE && t.nearest > 0) {
        found = nearest_of(similarity, window, top, left, lane, largest, t);
        if (largest != ~0ull)
            rows_at_once = side;
    }
    if (EVERY_RULE && t.cell > 0) {
        // rows and columns of the padded tile begin here in the scene
        const int down = t.scene_row - t.row_offset, right = t.scene_col - t.col_offset;
        cell = rows_at_once = t.cell;
        cells = {rounded_down(window.top + down, cell) - down, rounded_down(window.left + right, cell) - right,
                 window.bottom, window.right};
        if (t.nearest == 0)
            area = {0, 0, t.rows, t.cols};
    }

    double change = 0.0, weights = 0.0, fine_sum = 0.0, weight_sum = 0.0;
    int used = 0;
    for (int cell_top = cells.top; cell_top < cells.bottom; cell_top += cell)
        for (int cell_left = cells.left; cell_left < cells.right; cell_left += cell) {
            Sums total = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f}, part = total;
            const int from = max(cell_left, area.left), cols = min(cell_left + cell, area.right) - from;
            const Walk first_step(lane, cols);
            int count = 0, in_part = 0;
            for (int stretch = cell_top; stretch < cell_top + cell; stretch += rows_at_once) {
                const int start = max(stretch, area.top);
                const int all = (min(min(stretch + rows_at_once, cell_top + cell), area.bottom) - start) * cols;
                flush(total, part);
                in_part = 0;
                if (all <= 0)
                    continue;
                Walk walk = first_step;
                for (int first = 0; first < all; first += 32, walk.go_on(cols)) {
                    const int r = start + walk.row, c = from + walk.col, place = r * t.cols + c;
                    bool keep = first + lane < all && similarity.holds(place);
                    if (EVERY_RULE && largest != ~0ull && keep)
                        keep = similarity.key(place, (r - top) * side + c - left) <= largest;
                    float distance = 0.0f;
                    if (keep)
                        distance =
                            distances[(r - top + t.reach - t.half) * (2 * t.reach + 1) + c - left + t.reach - t.half];
                    const unsigned kept = __ballot_sync(WHOLE_WARP, keep);
                    const int listed = __popc(kept);
                    count += listed;
                    // what lies beyond the window serves the coefficient of its coarse pixel only
                    used += EVERY_RULE && t.cell > 0 ? __popc(__ballot_sync(WHOLE_WARP, keep && distance == distance))
                                                     : listed;
                    if (keep) {
                        const float combined =
                            records[(long long)place * record(t) + 2 * n + t.bands] * distance + LEAST_DISTANCE;
                        list[__popc(kept & ((1u << lane) - 1u))] = {place,
                                                                    combined == combined ? 1.0f / combined : 0.0f};
                    }
                    __syncwarp();
#pragma unroll 1
                    for (int i = 0; i < listed; i++) {
                        if (in_part == CHUNK) {
                            flush(total, part);
                            in_part = 0;
                        }
                        in_part++;
                        const float *sample = records + (long long)list[i].place * record(t);
                        const float weight = list[i].weight, x = sample[n + image], y = sample[image];
                        part.x += x;
                        part.y += y;
                        part.xx += x * x;
                        part.xy += x * y;
                        part.yy += y * y;
                        part.coarse += weight * x;
                        if (lane <= bands)
                            part.target += weight * (lane < bands ? sample[2 * n + first_band + lane] : 1.0f);
                        if (EVERY_RULE && t.has_range) {
                            fine_sum += double(y) * double(weight);
                            weight_sum += double(weight);
                        }
                    }
                    // before the list is written again
                    __syncwarp();
                }
            }
            flush(total, part);
            if (count == 0)
                continue;
            Moments sums = {0.0, 0.0, 0.0, 0.0, 0.0, double(STF_INFINITY), -double(STF_INFINITY)};
#pragma unroll 1
            for (int k = 0; t.gate != 0 && k < t.pairs; k++) {
                const int other = k * bands + lane % bands;
                const double own = double(__shfl_sync(WHOLE_WARP, total.x, other));
                sums.low = own < sums.low ? own : sums.low;
                sums.high = own > sums.high ? own : sums.high;
                sums.x += own;
                sums.y += double(__shfl_sync(WHOLE_WARP, total.y, other));
                sums.xx += double(__shfl_sync(WHOLE_WARP, total.xx, other));
                sums.xy += double(__shfl_sync(WHOLE_WARP, total.xy, other));
                sums.yy += double(__shfl_sync(WHOLE_WARP, total.yy, other));
            }
            const double target = double(__shfl_sync(WHOLE_WARP, total.target, lane % bands));
            weights += double(__shfl_sync(WHOLE_WARP, total.target, bands));
            change += coefficient<EVERY_RULE>(sums, count, least_r2, t) * (target - double(total.coarse));
        }
    if (EVERY_RULE && t.nearest > 0 ? found < t.least_similar : used < t.least_similar)
        weights = -1.0;
    if (has_image) {
        changed[image * layer + out] = change;
        if (EVERY_RULE && t.has_range)
            fine_sums[image * layer + out] = fine_sum;
    }
    if (lane == 0 && first_band == 0) {
        changed[n * layer + out] = weights;
        similar[out] = used;
        if (EVERY_RULE && t.has_range)
            fine_sums[n * layer + out] = weight_sum;
    }
}

} // namespace

// All similar pixels, one coefficient, no range, no blending: what usually is.
extern "C" __global__ void __launch_bounds__(128, 6)
    estarfm_gather(const int *keys, const float *records, const int2 *ranges, const float *distances,
                   const double *least_r2, double *changed, int *similar, EstarfmTile t) {
    gather<false>(keys, records, ranges, distances, least_r2, nullptr, nullptr, changed, nullptr, similar, t);
}

// Any rules. `centres` may be null when all similar pixels count, and `fine_sums` without a range.
extern "C" __global__ void __launch_bounds__(128)
    estarfm_gather_by_rules(const int *keys, const float *records, const int2 *ranges, const float *distances,
                            const double *least_r2, const float *origins, const float2 *centres, double *changed,
                            double *fine_sums, int *similar, EstarfmTile t) {
    gather<true>(keys, records, ranges, distances, least_r2, origins, centres, changed, fine_sums, similar, t);
}

namespace {

// A pixel that is finished.
struct Finished {
    const float *images;
    const float *changes;
    long long at, out;
    int samples;
    const EstarfmTile &t;

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
};

} // namespace

// The prediction of every pixel in all bands, and the support (similar pixels, valid fraction, fallback, one layer
// after the other). `fine_sums` may be null without a range.
extern "C" __global__ void estarfm_finish(const float *images, const float *origins, const double *changed,
                                          const double *fine_sums, const float *changes, const int *counts,
                                          const int *similar, float *prediction, float *support, EstarfmTile t) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= t.out_cols || row >= t.out_rows)
        return;
    const long long out = (long long)row * t.out_cols + col, layer = out_pixels(t);
    const int n = planes(t);
    const Finished pixel = {images, changes, centre_of(t, row, col), out, counts[out], t};
    const double weights = changed[n * layer + out];
    const bool enough = weights >= 0.0;
    float fallback = 0.0f;
    bool complete = true;
    for (int band = 0; band < t.bands; band++) {
        double all = 0.0;
        for (int p = band; p < n; p += t.bands)
            all += pixel.temporal(p);
        float result = STF_NAN;
        if (all > 0.0) {
            double value = 0.0;
            for (int p = band; p < n; p += t.bands) {
                const double temporal = pixel.temporal(p) / all;
                if (!(temporal > 0.0))
                    continue;
                const double fine = double(fine_of(images, t, p)[pixel.at]);
                if (enough)
                    value += temporal * (fine + changed[p * layer + out] / weights);
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
    support[out] = complete ? float(similar[out]) : 0.0f;
    support[layer + out] = float(double(pixel.samples) / double((long long)rows_inside * cols_inside));
    support[2 * layer + out] = fallback;
}
