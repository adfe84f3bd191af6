// Where in a coarse pixel (cell) its residual R goes: weights of its fine pixels (Zhu et al. 2016, equations 14 to 18),
//
//   w ~ |F_SP - F_TP| HI + |R| (1 - HI), mean 1.
//
// The twin of native/methods/src/blocks/residual_weights.rs: the same operations in the same order in double, so the
// same weights, bit for bit. Eight threads (lanes) share a cell, as eight sums do on the CPU: lane k takes every eighth
// pixel from the k-th, row by row, and means add the lanes in their order. Weights are made anew in each of the passes
// over the cell instead of being kept: some 12 operations, and cells may be large.
#ifndef STF_BLOCKS_RESIDUAL_WEIGHTS
#define STF_BLOCKS_RESIDUAL_WEIGHTS

#include "blocks/cells.cuh"
#include "blocks/numbers.cuh"

#define STF_LANES_OF_CELL 8

// As in native/methods/src/blocks/residual_weights.rs.
struct ResidualRule {
    double cap;
    int sign_rule, unused;
};

// What a pixel brings: its own change, F_SP - F_TP, and its homogeneity.
struct PixelOfCell {
    double own, excess, homogeneity;
};

// One of the eight threads of a cell. Threads without a cell have one without rows.
struct LaneOfCell {
    // number of the cell in the scene
    long long cell;
    // its first pixel in the padded tile, and its pixels inside the scene
    int row, col, rows, cols;
    int lane;

    // Calls visit(place in a plane of the padded tile) for the pixels of this lane.
    template <class Visit>
    __device__ __forceinline__ void each(const CellsOfTile &t, const Visit &visit) const {
        int x = lane, y = 0;
        while (x >= cols) {
            x -= cols;
            y++;
        }
        while (y < rows) {
            visit((long long)(row + y) * t.cols + col + x);
            x += STF_LANES_OF_CELL;
            while (x >= cols) {
                x -= cols;
                y++;
            }
        }
    }
};

// The cell of a thread: eight threads each along x, a row of cells along y.
__device__ __forceinline__ LaneOfCell lane_of_cell(const CellsOfTile &t) {
    const int thread = int(blockIdx.x * blockDim.x + threadIdx.x);
    const int col = thread / STF_LANES_OF_CELL, row = int(blockIdx.y);
    LaneOfCell of;
    of.lane = thread % STF_LANES_OF_CELL;
    const bool inside = col < t.cell_cols && row < t.cell_rows;
    const int r = (t.cell_row + row) * t.scale, c = (t.cell_col + col) * t.scale;
    of.cell = inside ? (long long)(t.cell_row + row) * t.grid_cols + t.cell_col + col : 0;
    of.row = r - t.row;
    of.col = c - t.col;
    of.rows = inside ? min(t.scale, t.scene_rows - r) : 0;
    of.cols = inside ? min(t.scale, t.scene_cols - c) : 1;
    return of;
}

// Sum and number of the values that are not NaN.
struct SumOfCell {
    double sum;
    int count;

    __device__ __forceinline__ void add(double value) {
        const bool valid = value == value;
        sum += valid ? value : 0.0;
        count += valid ? 1 : 0;
    }

    // The mean over the eight lanes. All threads of a warp must call.
    __device__ __forceinline__ double mean() const {
        const int first = int(threadIdx.x) % 32 / STF_LANES_OF_CELL * STF_LANES_OF_CELL;
        double all = __shfl_sync(0xffffffffu, sum, first);
        int number = __shfl_sync(0xffffffffu, count, first);
#pragma unroll 1
        for (int k = 1; k < STF_LANES_OF_CELL; k++) {
            all += __shfl_sync(0xffffffffu, sum, first + k);
            number += __shfl_sync(0xffffffffu, count, first + k);
        }
        return all / double(number);
    }
};

// Mean own change of a cell's pixels, of which `of(place)` tells what they bring.
template <class Of>
__device__ __forceinline__ double mean_own_change(const CellsOfTile &t, const LaneOfCell &lane, const Of &of) {
    SumOfCell sum = {0.0, 0};
    lane.each(t, [&](long long at) { sum.add(of(at).own); });
    return sum.mean();
}

// Weights of the pixels of a cell with the residual `residual`.
struct ResidualWeights {
    ResidualRule rule;
    double residual, magnitude, least;
    double first, second;

    __device__ __forceinline__ double raw(const PixelOfCell &pixel) const {
        const bool against = rule.sign_rule && (residual <= 0.0 ? pixel.excess > 0.0 : pixel.excess < 0.0);
        const double excess = against ? 0.0 : fabs(pixel.excess);
        return excess * pixel.homogeneity + magnitude * (1.0 - pixel.homogeneity) + least;
    }
    __device__ __forceinline__ double capped(const PixelOfCell &pixel) const {
        const double weight = raw(pixel) * first;
        return weight > rule.cap ? 1.0 : weight;
    }
    // The weight of a pixel; NaN where it brings a NaN.
    __device__ __forceinline__ double operator()(const PixelOfCell &pixel) const { return capped(pixel) * second; }
};

// All threads of a warp must call.
template <class Of>
__device__ __forceinline__ ResidualWeights residual_weights(const ResidualRule &rule, double residual,
                                                            const CellsOfTile &t, const LaneOfCell &lane,
                                                            const Of &of) {
    ResidualWeights weights = {rule, residual, fabs(residual), 0.0, 1.0, 1.0};
    // where nothing speaks for any pixel all count the same; the last number is the smallest normal one
    weights.least = 1e-8 * weights.magnitude + 2.2250738585072014e-308;
    SumOfCell raw = {0.0, 0};
    lane.each(t, [&](long long at) { raw.add(weights.raw(of(at))); });
    weights.first = 1.0 / raw.mean();
    SumOfCell capped = {0.0, 0};
    lane.each(t, [&](long long at) { capped.add(weights.capped(of(at))); });
    weights.second = 1.0 / capped.mean();
    return weights;
}

// Writes to `to` the own changes of the pixels of a cell and their parts of what these leave of its change; NaN for
// pixels without a change. All threads of a warp must call.
template <class Of>
__device__ __forceinline__ void distribute(const ResidualRule &rule, double coarse_change, const CellsOfTile &t,
                                           const LaneOfCell &lane, const Of &of, float *to) {
    const double residual = coarse_change - mean_own_change(t, lane, of);
    const ResidualWeights weights = residual_weights(rule, residual, t, lane, of);
    lane.each(t, [&](long long at) {
        const PixelOfCell pixel = of(at);
        const float change = float(pixel.own + weights(pixel) * residual);
        to[at] = is_number(change) ? change : STF_NAN;
    });
}

#endif
