// OBSUM (Guo, Ye, Xu and Jeon 2024), its last step: the change of each pixel's object, and the residual averaged over
// the most similar pixels of a window. The meaning is that of native/methods/src/obsum: the same operations in the same
// order, so the same similar pixels and the same values, bit for bit. Objects, their changes and the spline through the
// residuals come from the CPU, which finds them once for the scene.
//
//   obsum_numbers | obsum_segments   the object of every pixel to compute: by the object map, or the nearest centre
//   (SLIC,
//                                    Achanta et al. 2012)
//   obsum_around                     fine values and residuals of every pixel of every window
//   nearest_rim, nearest_absolute (blocks/nearest.cu)
//   obsum_valid                      valid pixels of the window, for the support
//   obsum_predict                    mean residual and prediction
//
// Launch shape: x columns, y rows; a thread owns a pixel, with all bands. Where windows reach beyond the scene, the
// planes of obsum_around hold its mirrored pixels too. A pixel of them takes two divisions in double and 20
// multiplications of each band; a segment 9 centres of 3 operations of each band; a prediction a gather of each band
// and similar pixel.

#include "blocks/box_sums.cuh"
#include "blocks/cubic_spline.cuh"
#include "blocks/launch.cuh"
#include "blocks/nearest.cuh"
#include "blocks/numbers.cuh"

// A tile; as in native/methods/src/obsum/cuda.rs.
struct ObsumTile {
    // pixels of the padded tile
    int rows, cols;
    int bands, pairs;
    // pixels to compute, and where they begin in the padded tile
    int out_rows, out_cols, row_offset, col_offset;
    // the same in the scene
    int scene_row, scene_col, scene_rows, scene_cols;
    int half;
    // pixels of the windows, those beyond the scene included
    int around_rows, around_cols;
    // fine pixels along a side of a coarse pixel, and coarse pixels of the scene
    int scale, cell_rows, cell_cols;
    // similar pixels that are wanted
    int similar;
    // predictions stay within
    float low, high;
};

// Squares with a segment each; as in native/methods/src/obsum/cuda.rs.
struct ObsumSquares {
    int side, rows, cols;
    // factor of the squared distance in space
    float distance_factor;
};

namespace {

constexpr int NO_OBJECT = -1;
constexpr int OUT_OF_RANGE = 1, FEW_SIMILAR = 2, CLASS_ABSENT = 4;

__device__ __forceinline__ long long pixels(const ObsumTile &t) { return (long long)t.rows * t.cols; }
__device__ __forceinline__ long long place(const ObsumTile &t, int row, int col) {
    return (long long)(t.row_offset + row) * t.cols + t.col_offset + col;
}

} // namespace

// Objects by the numbers of a map, counted through: a bit for each number that occurs (64 in each of `words` words),
// and how many come before each word.
extern "C" __global__ void obsum_numbers(const float *map, const unsigned long long *bits, const unsigned *before,
                                         int *objects, ObsumTile t, int words) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= t.out_cols || row >= t.out_rows)
        return;
    const float value = map[place(t, row, col)];
    const int number = value == value ? int(value) : 0, word = number / 64;
    const unsigned long long here = value == value && word < words ? bits[word] : 0ull, bit = 1ull << (number % 64);
    int object = NO_OBJECT;
    if (here & bit) {
        const unsigned long long lower = here & (bit - 1ull);
        object = int(before[word]) + __popc(unsigned(lower)) + __popc(unsigned(lower >> 32));
    }
    objects[(long long)row * t.out_cols + col] = object;
}

// Objects by the nearest of the centres of a pixel's own square and the eight around; of equals the first. `centres`
// hold the values of all bands, row and column from the square's corner.
extern "C" __global__ void obsum_segments(const float *fine, const float *centres, const float *factors, int *objects,
                                          ObsumTile t, ObsumSquares s) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= t.out_cols || row >= t.out_rows)
        return;
    const int scene_row = t.scene_row + row, scene_col = t.scene_col + col;
    const int square_row = scene_row / s.side, square_col = scene_col / s.side;
    const float *values = fine + place(t, row, col);
    float nearest = STF_INFINITY;
    int object = NO_OBJECT;
    for (int r = max(square_row - 1, 0); r <= min(square_row + 1, s.rows - 1); r++)
        for (int c = max(square_col - 1, 0); c <= min(square_col + 1, s.cols - 1); c++) {
            const float *centre = centres + (long long)(r * s.cols + c) * (t.bands + 2);
            const float down = float(scene_row - r * s.side) - centre[t.bands];
            const float right = float(scene_col - c * s.side) - centre[t.bands + 1];
            float distance = (down * down + right * right) * s.distance_factor;
#pragma unroll 1
            for (int band = 0; band < t.bands; band++) {
                const float d = (values[band * pixels(t)] - centre[band]) * factors[band];
                distance += d * d;
            }
            if (distance < nearest) {
                nearest = distance;
                object = r * s.cols + c;
            }
        }
    objects[(long long)row * t.out_cols + col] = object;
}

// Fine values and residuals (NaN where a coarse image is) of every pixel of every window; `rows` and `cols` say which
// pixel of the padded tile each is. `limits` are the smallest and largest value of each band of the spline.
extern "C" __global__ void obsum_around(const float *fine, const float *coarse, const float *target, const int *rows,
                                        const int *cols, const float *coefficients, const float2 *limits,
                                        float *fine_around, float *residuals, ObsumTile t) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= t.around_cols || row >= t.around_rows)
        return;
    const int r = rows[row], c = cols[col];
    const SplineTap down = spline_tap(t.scene_row - t.row_offset + r, t.scale, t.cell_rows);
    const SplineTap right = spline_tap(t.scene_col - t.col_offset + c, t.scale, t.cell_cols);
    const long long layer = (long long)t.around_rows * t.around_cols, to = (long long)row * t.around_cols + col;
    for (int band = 0; band < t.bands; band++) {
        const long long at = band * pixels(t) + (long long)r * t.cols + c;
        const float both = coarse[at] + target[at];
        const float residual = spline_at(coefficients + (long long)band * t.cell_rows * t.cell_cols, t.cell_cols, down,
                                         right, limits[band].x, limits[band].y);
        fine_around[band * layer + to] = fine[at];
        residuals[band * layer + to] = both == both ? residual : STF_NAN;
    }
}

namespace {

// Whether a pixel is valid in all images.
struct IsValid {
    const float *fine, *coarse, *target;
    int bands, cols;
    long long plane;

    __device__ void operator()(int row, int col, int (&parts)[1]) const {
        bool all = true;
        for (int band = 0; band < bands; band++) {
            const long long at = band * plane + (long long)row * cols + col;
            const float f = fine[at], c = coarse[at], v = target[at];
            all &= f == f && c == c && v == v;
        }
        parts[0] = all;
    }
};

// Weights of the positions of a window.
struct ByPosition {
    const float *weights;

    __device__ float operator()(const NearestSample &sample) const { return weights[sample.position]; }
};

} // namespace

// Share of the window's pixels inside the scene that are valid in all images. Shared memory: an int for each thread and
// column of the rim.
extern "C" __global__ void obsum_valid(const float *fine, const float *coarse, const float *target, float *fraction,
                                       ObsumTile t) {
    const int first = int(blockIdx.x * blockDim.x), col = first + int(threadIdx.x), row = int(blockIdx.y);
    int sums[1];
    window_sums<int, 1>(IsValid{fine, coarse, target, t.bands, t.cols, pixels(t)}, t.row_offset + row,
                        t.col_offset + first, t.rows, t.cols, t.half, dynamic_shared<int>(), sums);
    if (col >= t.out_cols || row >= t.out_rows)
        return;
    const int r = t.scene_row + row, c = t.scene_col + col;
    const int rows_inside = min(r + t.half + 1, t.scene_rows) - max(r - t.half, 0);
    const int cols_inside = min(c + t.half + 1, t.scene_cols) - max(c - t.half, 0);
    fraction[(long long)row * t.out_cols + col] = float(sums[0]) / float((long long)rows_inside * cols_inside);
}

// The prediction, and the support (similar pixels, valid fraction, fallback, one layer after the other). `changes`
// holds a number for each object and band, `fallbacks` one for each object. `support` and `fraction` may be null.
extern "C" __global__ void obsum_predict(const float *fine, const float *coarse, const float *target,
                                         const float *residuals, const NearestSample *samples, const int *counts,
                                         const int2 *offsets, const float *weights, const int *objects,
                                         const double *changes, const unsigned char *fallbacks, const float *fraction,
                                         float *prediction, float *support, ObsumTile t, NearestShape n) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= t.out_cols || row >= t.out_rows)
        return;
    const long long layer = (long long)t.out_rows * t.out_cols, out = (long long)row * t.out_cols + col;
    const long long around = (long long)t.around_rows * t.around_cols;
    const int object = objects[out], count = counts[out];
    int fallback = object == NO_OBJECT ? 0 : fallbacks[object];
    for (int band = 0; band < t.bands; band++) {
        const long long at = band * pixels(t) + place(t, row, col);
        const float own = fine[at], before = coarse[at], after = target[at];
        float result = STF_NAN;
        if (own == own && before == before && after == after) {
            double change = object == NO_OBJECT ? double(STF_NAN) : changes[(long long)object * t.bands + band];
            if (change == change) {
                const float residual = nearest_mean(n, samples + out, count, offsets, ByPosition{weights},
                                                    residuals + band * around, row, col);
                change += double(residual == residual ? residual : 0.0f);
            } else {
                fallback = max(fallback, CLASS_ABSENT);
                change = double(after) - double(before);
            }
            const float predicted = float(double(own) + change), limited = fminf(fmaxf(predicted, t.low), t.high);
            if (limited != predicted)
                fallback = max(fallback, OUT_OF_RANGE);
            result = is_number(predicted) ? limited : STF_NAN;
        }
        prediction[band * layer + out] = result;
    }
    if (support) {
        support[out] = float(count);
        support[layer + out] = fraction[out];
        support[2 * layer + out] = float(count < t.similar ? max(fallback, FEW_SIMILAR) : fallback);
    }
}
