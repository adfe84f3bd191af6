// Fit-FC (Wang and Atkinson 2018): a line from the pair's coarse image to the target's, applied to the fine image, its
// residual added (equations 1, 2 and 7), then the mean over the most similar pixels (equations 3 to 6, and 8). The
// meaning is that of native/methods/src/fitfc: the same operations in the same order. Lines and residuals of coarse
// pixels come from the CPU, which fits them once for the scene.
//
//   for each pair, as long as something is missing:
//     fitfc_fit | fitfc_fit_fine   prediction and fallback of every pixel of every window          a thread: a pixel
//     nearest_rim, nearest_squared (blocks/nearest.cu)
//     fitfc_valid                  pixels of the window that are predicted, for the support        a thread: a pixel
//     fitfc_average                the mean, where nothing is yet                                  a thread: a pixel
//
// Launch shape: x columns (blocks of 32 to 256 threads), y rows.

#include "blocks/box_sums.cuh"
#include "blocks/launch.cuh"
#include "blocks/nearest.cuh"
#include "blocks/numbers.cuh"
#include "blocks/resample.cuh"

// A tile; as in native/methods/src/fitfc/cuda.rs.
struct FitfcTile {
    // pixels of the padded tile, and where it begins in the scene
    int rows, cols, row, col;
    // pixels that are predicted: those to compute and their windows, in the padded tile
    int fit_rows, fit_cols, fit_row, fit_col;
    int scene_rows, scene_cols;
    int bands, scale;
    // coarse pixels of the scene
    int cell_rows, cell_cols;
    // residuals with their margin
    int residual_rows, residual_cols, residual_margin;
    // pixels on every side of the window of fine regression
    int reach;
};

// A line; `kind` is 0 without one, 1 where the pair does not vary, 2 where it does.
struct FitfcLine {
    double slope, intercept;
    int kind, unused;
};

namespace {

// Variance below this part of the mean square is rounding.
constexpr double ROUNDING = 1e-11;

__device__ __forceinline__ long long pixels(const FitfcTile &t) { return (long long)t.rows * t.cols; }

// The line of least squares from sums over pixels: their number, x, y, x² and x y.
__device__ __forceinline__ FitfcLine line_of(const double (&sums)[5]) {
    const double count = sums[0];
    if (count == 0.0)
        return {0.0, 0.0, 0, 0};
    const double x = sums[1] / count, y = sums[2] / count, square = sums[3] / count, product = sums[4] / count;
    const double variance = square - x * x;
    if (variance > ROUNDING * square) {
        const double slope = (product - x * y) / variance;
        if (slope - slope == 0.0)
            return {slope, y - slope * x, 2, 0};
    }
    return {1.0, y - x, 1, 0};
}

// Sets the prediction of a pixel and band (equations 2 and 7), and returns whether it left the rule.
__device__ __forceinline__ bool predict(const FitfcLine &line, const float *fine, const float *coarse,
                                        const float *target, const float *residuals, float *predicted,
                                        const FitfcTile &t, int band, int row, int col) {
    const long long at = band * pixels(t) + (long long)row * t.cols + col;
    predicted[at] = STF_NAN;
    if (line.kind == 0)
        return false;
    float residual = 0.0f;
    if (residuals) {
        const double scale = double(t.scale), margin = double(t.residual_margin);
        const Tap tap = tap_at((double(t.col + col) + 0.5) / scale + margin,
                               (double(t.row + row) + 0.5) / scale + margin, t.residual_rows, t.residual_cols);
        residual = cubic_at(residuals + (long long)band * t.residual_rows * t.residual_cols, t.residual_cols, tap);
    }
    const float value = float(line.slope * double(fine[at]) + line.intercept + double(residual));
    const float both = coarse[at] + target[at];
    if (both == both && is_number(value))
        predicted[at] = value;
    return line.kind == 1;
}

// A pixel's five numbers for a line.
struct Regression {
    const float *coarse, *target;
    int cols;

    __device__ void operator()(int row, int col, double (&parts)[5]) const {
        const long long at = (long long)row * cols + col;
        double x = double(coarse[at]), y = double(target[at]);
        const bool valid = x + y == x + y;
        x = valid ? x : 0.0;
        y = valid ? y : 0.0;
        parts[0] = valid ? 1.0 : 0.0;
        parts[1] = x;
        parts[2] = y;
        parts[3] = x * x;
        parts[4] = x * y;
    }
};

// Weights of the positions of a window.
struct ByPosition {
    const float *weights;

    __device__ float operator()(const NearestSample &sample) const { return weights[sample.position]; }
};

constexpr float SINGULAR = 5.0f, FEW_SIMILAR = 2.0f;

} // namespace

// Predictions from the lines of coarse pixels. Pixels that are in no window become NaN.
extern "C" __global__ void fitfc_fit(const float *fine, const float *coarse, const float *target,
                                     const FitfcLine *lines, const float *residuals, float *predicted, float *fallback,
                                     FitfcTile t) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= t.cols || row >= t.rows)
        return;
    const bool fits =
        row >= t.fit_row && row < t.fit_row + t.fit_rows && col >= t.fit_col && col < t.fit_col + t.fit_cols;
    const long long cell = fits ? (long long)((t.row + row) / t.scale) * t.cell_cols + (t.col + col) / t.scale : 0;
    bool left = false;
    for (int band = 0; band < t.bands; band++) {
        const FitfcLine none = {0.0, 0.0, 0, 0};
        const FitfcLine line = fits ? lines[(long long)band * t.cell_rows * t.cell_cols + cell] : none;
        left |= predict(line, fine, coarse, target, residuals, predicted, t, band, row, col);
    }
    fallback[(long long)row * t.cols + col] = left ? SINGULAR : 0.0f;
}

// Predictions from lines through the fine pixels around each pixel. Shared memory: 5 doubles for each thread and column
// of the rim.
extern "C" __global__ void fitfc_fit_fine(const float *fine, const float *coarse, const float *target,
                                          const float *residuals, float *predicted, float *fallback, FitfcTile t) {
    const int first = int(blockIdx.x * blockDim.x), col = first + int(threadIdx.x), row = int(blockIdx.y);
    const bool inside = col < t.cols && row < t.rows;
    const bool fits =
        row >= t.fit_row && row < t.fit_row + t.fit_rows && col >= t.fit_col && col < t.fit_col + t.fit_cols;
    bool left = false;
    for (int band = 0; band < t.bands; band++) {
        double sums[5];
        const Regression regression = {coarse + band * pixels(t), target + band * pixels(t), t.cols};
        window_sums<double, 5>(regression, row, first, t.rows, t.cols, t.reach, dynamic_shared<double>(), sums);
        const FitfcLine none = {0.0, 0.0, 0, 0};
        if (inside)
            left |= predict(fits ? line_of(sums) : none, fine, coarse, target, residuals, predicted, t, band, row, col);
    }
    if (inside)
        fallback[(long long)row * t.cols + col] = left ? SINGULAR : 0.0f;
}

namespace {

struct IsPredicted {
    const float *predicted;
    int bands, cols;
    long long plane;

    __device__ void operator()(int row, int col, int (&parts)[1]) const {
        bool all = true;
        for (int band = 0; band < bands; band++) {
            const float value = predicted[band * plane + (long long)row * cols + col];
            all &= value == value;
        }
        parts[0] = all;
    }
};

} // namespace

// Share of the pixels inside the scene that are predicted in every band, in the window of every pixel. Shared memory:
// an int for each thread and column of the rim.
extern "C" __global__ void fitfc_valid(const float *predicted, float *fraction, FitfcTile t, NearestShape n) {
    const int first = int(blockIdx.x * blockDim.x), col = first + int(threadIdx.x), row = int(blockIdx.y);
    int sums[1];
    window_sums<int, 1>(IsPredicted{predicted, t.bands, t.cols, pixels(t)}, n.row_offset + row, n.col_offset + first,
                        t.rows, t.cols, n.half, dynamic_shared<int>(), sums);
    if (col >= n.out_cols || row >= n.out_rows)
        return;
    const int r = t.row + n.row_offset + row, c = t.col + n.col_offset + col;
    const int rows_inside = min(r + n.half + 1, t.scene_rows) - max(r - n.half, 0);
    const int cols_inside = min(c + n.half + 1, t.scene_cols) - max(c - n.half, 0);
    fraction[(long long)row * n.out_cols + col] = float(sums[0]) / float((long long)rows_inside * cols_inside);
}

// Fills what `image` still misses with means over the chosen pixels, and sets `missing` where something stays missing
// that the target's image has. `support` (similar pixels, valid fraction, fallback, one layer after the other) and
// `fraction` may be null.
extern "C" __global__ void fitfc_average(const float *predicted, const float *fallback, const float *target,
                                         const NearestSample *samples, const int *counts, const int2 *offsets,
                                         const float *weights, const float *fraction, float *image, float *support,
                                         int *missing, FitfcTile t, NearestShape n) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= n.out_cols || row >= n.out_rows)
        return;
    const long long layer = (long long)n.out_rows * n.out_cols, to = (long long)row * n.out_cols + col;
    const long long at = (long long)(n.row_offset + row) * t.cols + n.col_offset + col;
    const int count = counts[to];
    bool filled = false, misses = false;
    for (int band = 0; band < t.bands; band++) {
        const float *plane = predicted + band * pixels(t);
        float *value = image + band * layer + to;
        const float own = plane[at];
        if (*value != *value && own == own) {
            const float mean = nearest_mean(n, samples + to, count, offsets, ByPosition{weights}, plane, row, col);
            *value = is_number(mean) ? mean : own;
            filled = true;
        }
        const float asked = target[band * pixels(t) + at];
        misses |= *value != *value && asked == asked;
    }
    // every thread that writes writes the same
    if (misses)
        *missing = 1;
    if (filled && support) {
        support[to] = float(count);
        support[layer + to] = fraction[to];
        float number = fmaxf(support[2 * layer + to], fallback[at]);
        support[2 * layer + to] = count == 0 ? fmaxf(number, FEW_SIMILAR) : number;
    }
}
