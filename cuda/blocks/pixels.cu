// Methods without a neighbourhood, the baselines: a value from the values at the same pixel. The meaning is that of
// native/methods/src/blocks/pixels.rs and of nearest_pair, coarse_increment and linear_in_time there: the same
// operations in the same order, so the same values, bit for bit.
//
// Launch shape: x columns, y rows. A thread owns a pixel and goes through its bands; it reads each value once or twice
// and writes one for each band, so the memory is the limit.

#include "blocks/numbers.cuh"
#include "blocks/pair_order.cuh"

// As in native/methods/src/blocks/pixels/cuda.rs.
struct PixelsTile {
    int rows, cols, bands, pairs;
    // 0: the fine value, 1: the fine value and the change of the coarse one, 2: the line through two fine values
    int rule;
};

namespace {

// A pixel of a band: values of the pairs are `step` apart.
struct PixelValues {
    const float *fine, *coarse;
    float target;
    long long step;

    // Whether a pair has what is needed.
    __device__ __forceinline__ bool operator()(int pair) const {
        const float value = fine[pair * step];
        if (!coarse)
            return value == value;
        const float before = coarse[pair * step];
        return value == value && before == before && target == target;
    }

    __device__ __forceinline__ double predicted(int pair) const {
        const double value = double(fine[pair * step]);
        return coarse ? value + (double(target) - double(coarse[pair * step])) : value;
    }
};

} // namespace

// The prediction, and the support (similar pixels, valid fraction, fallback, one layer after the other), which may be
// null. `fine` and `coarse` hold the images of all pairs; `coarse` and `target` are null where the rule does not need
// them.
extern "C" __global__ void pixels_predict(const float *fine, const float *coarse, const float *target,
                                          const PairInTime *order, float *prediction, float *support, PixelsTile t) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= t.cols || row >= t.rows)
        return;
    const long long layer = (long long)t.rows * t.cols, out = (long long)row * t.cols + col;
    int predicted = 0, usable = 0;
    for (int band = 0; band < t.bands; band++) {
        const long long at = band * layer + out;
        const PixelValues values = {fine + at, coarse ? coarse + at : nullptr, target ? target[at] : 0.0f,
                                    t.bands * layer};
        const ChosenPairs chosen = chosen_pairs(order, t.pairs, values);
        float value = STF_NAN;
        if (chosen.first.number >= 0) {
            const double a = values.predicted(chosen.first.number);
            const double b = chosen.second.number >= 0 ? values.predicted(chosen.second.number) : 0.0;
            if (t.rule == 2 && chosen.second.number >= 0) {
                const double days = double(-chosen.first.gap);
                value = float(a + (b - a) * (days / (double(chosen.second.gap) - double(chosen.first.gap))));
            } else {
                value = float(chosen.combined(a, b));
            }
        }
        prediction[at] = is_number(value) ? value : STF_NAN;
        predicted += is_number(value);
#pragma unroll 1
        for (int k = 0; support && k < t.pairs; k++)
            usable += values(k);
    }
    if (support) {
        support[out] = predicted == t.bands ? 1.0f : 0.0f;
        support[layer + out] = float(usable) / float(t.bands * t.pairs);
        support[2 * layer + out] = 0.0f;
    }
}
