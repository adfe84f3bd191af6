// The changes of fine pixels averaged over similar pixels and added to the fine image (Zhu et al. 2016, equations 21 to
// 24). The meaning is that of native/methods/src/blocks/similar_changes and pair_weights.rs: the same operations in the
// same order, so the same values, bit for bit. Similar pixels and means are those of blocks/nearest.cu.
//
//   similar_usable   0 where a pixel has a change in some band, NaN elsewhere             a thread: a pixel
//   nearest_rim, nearest_absolute, nearest_means (blocks/nearest.cu)
//   similar_valid    usable pixels in the window of every pixel, for the support          a thread: a pixel
//   similar_finish   prediction, support, and the mean over the pairs                     a thread: a pixel, all bands
//
// Launch shape: x columns (blocks of 32 to 256 threads), y rows. similar_finish reads 12 bytes for a pixel and band and
// writes 4, and reads and writes 16 more for each pair of several.

#include "blocks/box_sums.cuh"
#include "blocks/cells.cuh"
#include "blocks/launch.cuh"
#include "blocks/numbers.cuh"

// As in native/methods/src/blocks/similar_changes/cuda.rs.
struct SimilarFinish {
    // smallest and largest possible value
    double low, high;
    // pixels to predict, and where they begin in the padded tile
    int out_rows, out_cols, row_offset, col_offset;
    int half;
    // classes, and the steps between the marks of bands and of cells
    int classes;
    long long band_step, cell_step;
    // pairs in use
    int pairs;
    // whether this is the first and the last of the pairs that predict
    int is_first, is_last, unused;
};

namespace {

constexpr float OUT_OF_RANGE = 1.0f, FEW_SIMILAR = 2.0f, CLASS_ABSENT = 4.0f;

struct IsUsable {
    const float *usable;
    int cols;

    __device__ void operator()(int row, int col, int (&parts)[1]) const {
        const float value = usable[(long long)row * cols + col];
        parts[0] = value == value;
    }
};

// Pixels within `half` of the i-th of n.
__device__ __forceinline__ int side(int i, int half, int n) { return min(i + half + 1, n) - max(i - half, 0); }

} // namespace

extern "C" __global__ void similar_usable(const float *changes, float *usable, CellsOfTile t) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= t.cols || row >= t.rows)
        return;
    const long long at = (long long)row * t.cols + col;
    bool any = false;
#pragma unroll 1
    for (int band = 0; band < t.bands; band++) {
        const float change = changes[band * pixels(t) + at];
        any |= change == change;
    }
    usable[at] = any ? 0.0f : STF_NAN;
}

// Shared memory: an int for each thread and column of the rim.
extern "C" __global__ void similar_valid(const float *usable, int *valid, CellsOfTile t, SimilarFinish f) {
    const int first = int(blockIdx.x * blockDim.x), col = first + int(threadIdx.x), row = int(blockIdx.y);
    int sums[1];
    window_sums<int, 1>(IsUsable{usable, t.cols}, f.row_offset + row, f.col_offset + first, t.rows, t.cols, f.half,
                        dynamic_shared<int>(), sums);
    if (col < f.out_cols && row < f.out_rows)
        valid[(long long)row * f.out_cols + col] = sums[0];
}

// `fine` is followed by the labels of its pixels. `marks` are the numbers of the fallbacks of classes. With several
// pairs `weights` are those of this one's cells, and `sums` the weighted predictions and the weights so far; both are
// null otherwise. `valid` and `support` (similar pixels, valid fraction, fallback, one layer after the other) may be
// null.
extern "C" __global__ void similar_finish(const float *fine, const float *changes, const float *means,
                                          const int *counts, const float *coarse_changes, const unsigned char *marks,
                                          const float *weights, const int *valid, double *sums, float *image,
                                          float *support, CellsOfTile t, SimilarFinish f) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= f.out_cols || row >= f.out_rows)
        return;
    const int r = f.row_offset + row, c = f.col_offset + col;
    const long long at = (long long)r * t.cols + c, cell = cell_at(t, r, c);
    const long long layer = (long long)f.out_rows * f.out_cols, to = (long long)row * f.out_cols + col;
    const int label = int(fine[t.bands * pixels(t) + at]), count = counts[to];
    float fallback = count == 0 ? FEW_SIMILAR : 0.0f;
    bool predicts = false;
#pragma unroll 1
    for (int band = 0; band < t.bands; band++) {
        const float value = fine[band * pixels(t) + at], coarse_change = coarse_changes[band * cells(t) + cell];
        const float mean = means[band * layer + to], own = changes[band * pixels(t) + at];
        const float change = mean == mean ? mean : own == own ? own : coarse_change;
        // a cell without coarse values is not predicted from its neighbours
        float predicted = coarse_change == coarse_change ? value + change : STF_NAN;
        if (double(predicted) < f.low || double(predicted) > f.high) {
            predicted = float(fmin(fmax(double(value) + double(coarse_change), f.low), f.high));
            fallback = fmaxf(fallback, OUT_OF_RANGE);
        }
        const bool valid_value = is_number(predicted);
        predicts |= valid_value;
        if (sums) {
            double *sum = sums + band * layer + to, *total = sum + t.bands * layer;
            const double weight = valid_value ? double(weights[band * cells(t) + cell]) : 0.0;
            const double more = valid_value ? weight * double(predicted) : 0.0;
            *sum = f.is_first ? more : *sum + more;
            *total = f.is_first ? weight : *total + weight;
            predicted = float(*sum / *total);
        }
        if (f.is_last)
            image[band * layer + to] = is_number(predicted) ? predicted : STF_NAN;
        const float mark =
            label < f.classes ? float(marks[band * f.band_step + cell * f.cell_step + label]) : CLASS_ABSENT;
        fallback = fmaxf(fallback, mark);
    }
    if (!support)
        return;
    const long long all = (long long)side(t.row + r, f.half, t.scene_rows) * side(t.col + c, f.half, t.scene_cols);
    support[layer + to] += float(valid[to]) / float(all) / float(f.pairs);
    if (predicts) {
        support[to] += float(count);
        support[2 * layer + to] = fmaxf(support[2 * layer + to], fallback);
    }
}
