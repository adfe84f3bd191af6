// The most similar pixels of the window of every pixel: those with the smallest keys, sums of differences over some
// planes. The meaning is that of native/methods/src/blocks/nearest: the same keys, bit for bit, and equal keys told
// apart by their positions.
//
//   nearest_rim         planes with all pixels of all windows, NaN where none may be chosen     a thread: a pixel of a
//   plane nearest_squared     the lists by squared differences                                        a thread: the
//   list of a pixel nearest_absolute    the lists by weighted magnitudes, within tolerances, with a law of the distance
//   nearest_means       weighted means over the chosen pixels                                   a thread: a pixel of a
//   plane
//
// Launch shape: x columns, y rows; z planes. No shared memory: samples and lists pass through the first-level cache.
//
// A thread sweeps the positions of the window, in their order, some at a time, so that a centre is read once for all of
// them:
//
//   for each stretch of STRETCH positions:
//     for each plane: for each position: d = sample - centre;  key += d²          3 operations and a load (|d|: 5)
//     note the positions whose key is below the last one of the full list
//     while some thread of the warp has a note: insert its key into its list
//
// The whole window is never sorted: about n (1 + ln(N / n)) of N positions are noted when n are wanted. Threads of a
// warp insert their first notes together, then their second ones, so that a warp inserts as often as the thread with
// most notes of the stretch.

#include "blocks/nearest.cuh"
#include "blocks/numbers.cuh"

namespace {

constexpr int STRETCH = 16;
// Far below any value; keeps a relative difference from dividing by zero.
constexpr float SMALLEST_VALUE = 1e-12f;

__device__ __forceinline__ int rimmed_cols(const NearestShape &n) { return n.out_cols + 2 * n.half; }
__device__ __forceinline__ long long rimmed_pixels(const NearestShape &n) {
    return (long long)(n.out_rows + 2 * n.half) * rimmed_cols(n);
}

} // namespace

// Copies the compared planes of `values` with every pixel of every window. A pixel that is invalid in one
// of `required` is invalid in the first plane, which suffices to make its key NaN. `required` may be null.
extern "C" __global__ void nearest_rim(const float *values, const NearestPlane *planes, const float *required,
                                       float *rimmed, NearestShape n) {
    const int c = int(blockIdx.x * blockDim.x + threadIdx.x), r = int(blockIdx.y), plane = int(blockIdx.z);
    if (c >= rimmed_cols(n) || r >= n.out_rows + 2 * n.half)
        return;
    int row = n.row_offset - n.half + r, col = n.col_offset - n.half + c;
    if (n.replicate) {
        row = min(max(row, 0), n.rows - 1);
        col = min(max(col, 0), n.cols - 1);
    }
    float value = STF_NAN;
    if (row >= 0 && row < n.rows && col >= 0 && col < n.cols) {
        const long long pixels = (long long)n.rows * n.cols, at = (long long)row * n.cols + col;
        value = values[planes[plane].number * pixels + at];
        for (int k = 0; plane == 0 && k < n.required; k++)
            value = required[k * pixels + at] == required[k * pixels + at] ? value : STF_NAN;
    }
    rimmed[plane * rimmed_pixels(n) + (long long)r * rimmed_cols(n) + c] = value;
}

namespace {

template <bool SQUARED>
__device__ __forceinline__ void search(const float *values, const NearestPlane *planes, const float *rimmed,
                                       const int2 *offsets, const float *position_factors, NearestSample *samples,
                                       int *counts, const NearestShape &n) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= n.out_cols || row >= n.out_rows)
        return;
    const long long stride = (long long)n.out_rows * n.out_cols, out = (long long)row * n.out_cols + col;
    const long long pixels = (long long)n.rows * n.cols;
    const float *centres = values + (long long)(n.row_offset + row) * n.cols + n.col_offset + col;
    const float *corner = rimmed + (long long)(row + n.half) * rimmed_cols(n) + n.half + col;
    NearestSample *list = samples + out;
    const NearestSample *last = list + (n.most - 1) * stride;
    for (int i = 0; i < n.most; i++)
        list[i * stride] = {STF_INFINITY, 0};

    float bound = STF_INFINITY;
    int count = 0;
    for (int from = 0; from < n.positions; from += STRETCH) {
        const int here = min(STRETCH, n.positions - from);
        int step[STRETCH];
        float key[STRETCH];
#pragma unroll
        for (int j = 0; j < STRETCH; j++) {
            const int2 offset = offsets[from + min(j, here - 1)];
            step[j] = offset.x * rimmed_cols(n) + offset.y;
            key[j] = 0.0f;
        }
        for (int p = 0; p < n.compared; p++) {
            const NearestPlane rule = planes[p];
            const float centre = centres[rule.number * pixels];
            const float factor = rule.relative ? rule.factor / (fabsf(centre) + SMALLEST_VALUE) : rule.factor;
            const float *plane = corner + p * rimmed_pixels(n);
#pragma unroll
            for (int j = 0; j < STRETCH; j++) {
                const float d = plane[step[j]] - centre;
                if (SQUARED)
                    key[j] += d * d;
                else
                    key[j] = fabsf(d) < rule.below ? key[j] + fabsf(d) * factor : STF_INFINITY;
            }
        }
        unsigned notes = 0;
#pragma unroll
        for (int j = 0; j < STRETCH; j++) {
            if (!SQUARED && position_factors)
                key[j] = (key[j] + n.added) * position_factors[from + min(j, here - 1)];
            notes |= j < here && key[j] < bound ? 1u << j : 0u;
        }
        while (notes) {
            const int j = __ffs(int(notes)) - 1;
            notes &= notes - 1;
            float k = key[0];
#pragma unroll
            for (int i = 1; i < STRETCH; i++)
                k = i == j ? key[i] : k;
            if (!(k < bound))
                continue;
            // equal keys stay in the order of their positions
            int at = count < n.most ? count++ : n.most - 1;
            NearestSample *place = list + at * stride;
            for (; at > 0; at--) {
                const NearestSample above = place[-stride];
                if (!(k < above.key))
                    break;
                *place = above;
                place -= stride;
            }
            *place = {k, from + j};
            bound = last->key;
        }
    }
    counts[out] = count;
}

} // namespace

// The lists of all pixels (`samples`) and their lengths (`counts`), by the sum of squared differences. `offsets` are
// the rows and columns from a pixel to every position.
extern "C" __global__ void __launch_bounds__(128)
    nearest_squared(const float *values, const NearestPlane *planes, const float *rimmed, const int2 *offsets,
                    NearestSample *samples, int *counts, NearestShape n) {
    search<true>(values, planes, rimmed, offsets, nullptr, samples, counts, n);
}

// As nearest_squared, by (the sum of weighted magnitudes + n.added) times the factor of the position; by the sum alone
// when `position_factors` is null.
extern "C" __global__ void __launch_bounds__(128)
    nearest_absolute(const float *values, const NearestPlane *planes, const float *rimmed, const int2 *offsets,
                     const float *position_factors, NearestSample *samples, int *counts, NearestShape n) {
    search<false>(values, planes, rimmed, offsets, position_factors, samples, counts, n);
}

namespace {

// The nearness of a pixel, and the inverse of its difference plus one when `by_difference`.
struct Weight {
    const float *nearness, *position_factors;
    float added;
    bool by_difference;

    __device__ float operator()(const NearestSample &s) const {
        if (!by_difference)
            return nearness[s.position];
        const float difference = position_factors ? s.key / position_factors[s.position] - added : s.key;
        return nearness[s.position] * (1.0f / (difference + 1.0f));
    }
};

} // namespace

// Means of every plane of `values` (z counts them) over the chosen pixels of every pixel.
extern "C" __global__ void nearest_means(const float *values, const NearestSample *samples, const int *counts,
                                         const int2 *offsets, const float *nearness, const float *position_factors,
                                         float *means, NearestShape n, int by_difference) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y), plane = int(blockIdx.z);
    if (col >= n.out_cols || row >= n.out_rows)
        return;
    const long long layer = (long long)n.out_rows * n.out_cols, to = (long long)row * n.out_cols + col;
    const Weight weight = {nearness, position_factors, n.added, by_difference != 0};
    means[plane * layer + to] = nearest_mean(n, samples + to, counts[to], offsets, weight,
                                             values + plane * ((long long)n.rows * n.cols), row, col);
}
