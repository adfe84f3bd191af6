// From class values of coarse pixels to fine pixels: the tiles of UBDF (Zurita-Milla, Clevers and Schaepman 2008),
// STDFA (Wu et al. 2012) and STRUM (Gevaert and García-Haro 2015). The meaning is that of
// native/methods/src/blocks/unmixing/assigned.rs: the same operations in the same order, so the same values, bit for
// bit. Class values come from the CPU, which unmixes once for the scene.
//
//   classes_of_means | classes_of_map (blocks/classes.cu), for every pair
//   unmixing_assign   every pair's prediction, and the mean of those that are chosen        a thread: a pixel
//
// Launch shape: x columns, y rows. A pixel and band takes two or three values of each pair that is tried and a class
// value, which neighbours of the same coarse pixel share; the memory is the limit.

#include "blocks/classes.cuh"
#include "blocks/numbers.cuh"
#include "blocks/pair_order.cuh"

// A pair; as in native/methods/src/blocks/unmixing/cuda.rs.
struct UnmixingPair {
    // bands of the tile with the labels behind them, and the coarse image, which may be null
    const float *fine, *coarse;
    // (band, cell, class), null for a pair without classes
    const float *values;
    // (cell, class): numbers of fallbacks, and cells that hold the class
    const unsigned char *marks;
    const unsigned short *holders;
    // of every cell the valid part of its window
    const float *valid;
    int classes, unused;
};

// A tile; as in native/methods/src/blocks/unmixing/cuda.rs.
struct UnmixingTile {
    // pixels, and where they begin in the scene
    int rows, cols, row, col;
    int bands, pairs;
    // pixels along a side of a coarse pixel, coarse pixels of a row and of the scene
    int scale, cell_cols, cells;
    // whether class values are changes
    int change;
};

namespace {

constexpr int OUT_OF_RANGE = 1, CLASS_ABSENT = 4;

// A pixel of a band.
struct UnmixedPixel {
    const UnmixingPair *pairs;
    long long at, label_at, cell;
    int band;
    float target;
    const UnmixingTile &t;

    // Where the prediction of a pair starts; NaN without one.
    __device__ __forceinline__ double start(int k) const {
        const float fine = pairs[k].fine[at];
        if (t.change)
            return double(fine);
        return fine == fine || label(k) >= 0 ? 0.0 : double(STF_NAN);
    }

    // The prediction without a class value.
    __device__ __forceinline__ double instead(int k) const {
        return start(k) + (double(target) - (t.change ? double(pairs[k].coarse[at]) : 0.0));
    }

    // Whether a pair predicts.
    __device__ __forceinline__ bool operator()(int k) const {
        const double value = instead(k);
        return value == value;
    }

    // The label in a pair, below 0 without one.
    __device__ __forceinline__ int label(int k) const {
        const float value = pairs[k].values ? pairs[k].fine[label_at] : STF_NO_CLASS;
        return value == STF_NO_CLASS ? -1 : int(value);
    }

    __device__ __forceinline__ long long of_class(int k) const { return cell * pairs[k].classes + label(k); }

    // The prediction of a pair; `mark` grows to why it leaves the rule.
    __device__ __forceinline__ double predicted(int k, int &mark) const {
        float value = STF_NAN;
        int reason = CLASS_ABSENT;
        if (label(k) >= 0) {
            value = pairs[k].values[(long long)band * t.cells * pairs[k].classes + of_class(k)];
            reason = pairs[k].marks[of_class(k)];
        }
        const bool found = is_number(value);
        mark = max(mark, found ? reason : max(reason, OUT_OF_RANGE));
        return found ? start(k) + double(value) : instead(k);
    }

    __device__ __forceinline__ float holders(int k) const {
        return label(k) >= 0 ? float(pairs[k].holders[of_class(k)]) : 0.0f;
    }
};

} // namespace

// The prediction, and the support (similar pixels, valid fraction, fallback, one layer after the other), which may be
// null.
extern "C" __global__ void unmixing_assign(const UnmixingPair *pairs, const PairInTime *order, const float *target,
                                           float *prediction, float *support, UnmixingTile t) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= t.cols || row >= t.rows)
        return;
    const long long layer = (long long)t.rows * t.cols, out = (long long)row * t.cols + col;
    const long long cell = (long long)((t.row + row) / t.scale) * t.cell_cols + (t.col + col) / t.scale;
    int mark = 0;
    float similar = STF_INFINITY;
    for (int band = 0; band < t.bands; band++) {
        const long long at = band * layer + out;
        const UnmixedPixel pixel = {pairs, at, t.bands * layer + out, cell, band, target[at], t};
        const ChosenPairs chosen = chosen_pairs(order, t.pairs, pixel);
        float value = STF_NAN, holders = 0.0f;
        if (chosen.first.number >= 0) {
            const double a = pixel.predicted(chosen.first.number, mark);
            holders += pixel.holders(chosen.first.number);
            double b = 0.0;
            if (chosen.second.number >= 0) {
                b = pixel.predicted(chosen.second.number, mark);
                holders += pixel.holders(chosen.second.number);
            }
            value = float(chosen.combined(a, b));
        }
        prediction[at] = is_number(value) ? value : STF_NAN;
        similar = fminf(similar, holders);
    }
    if (support) {
        float valid = 0.0f;
#pragma unroll 1
        for (int k = 0; k < t.pairs; k++)
            if (pairs[k].values)
                valid += pairs[k].valid[cell];
        support[out] = similar;
        support[layer + out] = fminf(fmaxf(valid / float(t.pairs), 0.0f), 1.0f);
        support[2 * layer + out] = float(mark);
    }
}
