// SFSDAF (Li et al. 2020): fractions of classes in every fine pixel (step 1), their change with that of the cells
// (coarse pixels), averaged over the pixels of most similar fractions (step 5), the change of values that follows (step
// 6), and the part of each pixel in what that leaves unexplained in its cell (step 7). The meaning is that of
// native/methods/src/sfsdaf/{cpu,soft_classes}.rs: the same operations in the same order, so the same changes, bit for
// bit. Classes, their values and changes, and the change of the fractions of cells come from the CPU, once for the
// scene.
//
//   sfsdaf_fractions   fractions from Mahalanobis distances                              a thread: a pixel, all classes
//   spatial_cubic (blocks/spatial_prediction.cu)   changes of fractions at fine pixels
//   nearest_rim, nearest_absolute, nearest_means (blocks/nearest.cu)   their means over similar fractions
//   sfsdaf_temporal    new fractions, and the change of values                           a thread: a pixel, all bands
//   classes_of_means, homogeneity_shares, spatial_* (the coarse image of the target, once for all pairs)
//   sfsdaf_changes     changes of the pixels of the cells of the tile                    8 threads: a cell in a band
//   similar_* (blocks/similar_changes.cu) with nearest_* (blocks/nearest.cu)
//
// Launch shape: x columns, y rows; sfsdaf_changes x cells (8 threads each), y rows of cells, z bands. Shared memory:
// sfsdaf_fractions a double for each thread and band or class, sfsdaf_temporal one for each thread and class.
//
// In double for a pixel, with 6 bands and 5 classes: 315 operations and 11 divisions for fractions, 120 operations and
// 5 divisions for the change of values, 40 operations for each band for its part.

#include "blocks/launch.cuh"
#include "blocks/nearest.cuh"
#include "blocks/residual_weights.cuh"

// As in native/methods/src/sfsdaf/cuda.rs.
struct SfsdafClasses {
    // unit of the means
    double unit;
    int classes, bands;
};

namespace {

// Squared distances below this count as this.
constexpr double LEAST_DISTANCE = 1e-6;

} // namespace

// `means` are (class, band) in units; `whitening` the inverses of the Cholesky factors of the covariances, class by
// class, their rows up to the diagonal. To `fractions` (class, row, col), NaN where a band is invalid.
extern "C" __global__ void sfsdaf_fractions(const float *fine, const double *means, const double *whitening,
                                            float *fractions, CellsOfTile t, SfsdafClasses s) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= t.cols || row >= t.rows)
        return;
    const int threads = int(blockDim.x);
    const long long at = (long long)row * t.cols + col;
    double *values = dynamic_shared<double>() + threadIdx.x, *inverses = values + s.bands * threads;
    bool valid = true;
#pragma unroll 1
    for (int band = 0; band < s.bands; band++) {
        const float value = fine[band * pixels(t) + at];
        valid &= value == value;
        values[band * threads] = double(value) / s.unit;
    }
    double total = 0.0;
#pragma unroll 1
    for (int label = 0; label < s.classes; label++) {
        const double *mean = means + label * s.bands;
        double sum = 0.0;
        for (int band = 0; band < s.bands; band++) {
            double along = 0.0;
            for (int k = 0; k <= band; k++)
                along += *whitening++ * (values[k * threads] - mean[k]);
            sum += along * along;
        }
        const double inverse = 1.0 / fmax(sum, LEAST_DISTANCE);
        inverses[label * threads] = inverse;
        total += inverse;
    }
#pragma unroll 1
    for (int label = 0; label < s.classes; label++)
        fractions[label * pixels(t) + at] = valid ? float(inverses[label * threads] / total) : STF_NAN;
}

// `means` are the changes of fractions over the `counts` pixels of similar fractions, of the pixels that `n` searched;
// `class_values` and `class_changes` are (band, class). To `temporal` (band, row, col of the padded tile), NaN without
// such pixels.
extern "C" __global__ void sfsdaf_temporal(const float *fractions, const float *means, const int *counts,
                                           const double *class_values, const double *class_changes, float *temporal,
                                           CellsOfTile t, NearestShape n, int classes) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= n.out_cols || row >= n.out_rows)
        return;
    const int threads = int(blockDim.x);
    const long long layer = (long long)n.out_rows * n.out_cols, from = (long long)row * n.out_cols + col;
    const long long at = (long long)(n.row_offset + row) * t.cols + n.col_offset + col;
    const bool found = counts[from] > 0;
    double *after = dynamic_shared<double>() + threadIdx.x;
    double total = 0.0;
    bool changed = false;
#pragma unroll 1
    for (int label = 0; label < classes; label++) {
        const float change = means[label * layer + from];
        double fraction = double(fractions[label * pixels(t) + at]) + double(change);
        fraction = fraction < 0.0 ? 0.0 : fraction > 1.0 ? 1.0 : fraction;
        after[label * threads] = fraction;
        total += fraction;
        changed |= change != 0.0f;
    }
#pragma unroll 1
    for (int label = 0; label < classes; label++)
        after[label * threads] =
            changed && total > 0.0 ? after[label * threads] / total : double(fractions[label * pixels(t) + at]);
#pragma unroll 1
    for (int band = 0; band < t.bands; band++) {
        const double *values = class_values + band * classes, *changes = class_changes + band * classes;
        double sum = 0.0;
        for (int label = 0; label < classes; label++) {
            const double before = double(fractions[label * pixels(t) + at]), now = after[label * threads];
            sum += values[label] * (now - before) + changes[label] * now;
        }
        temporal[band * pixels(t) + at] = found ? float(sum) : STF_NAN;
    }
}

namespace {

struct SfsdafPixels {
    const float *fine, *homogeneity, *spatial, *temporal;

    __device__ __forceinline__ PixelOfCell operator()(long long at) const {
        const double own = double(temporal[at]);
        return {own, double(spatial[at]) - (double(fine[at]) + own), double(homogeneity[at])};
    }
};

} // namespace

// `coarse_changes` are (band, cell).
extern "C" __global__ void sfsdaf_changes(const float *fine, const float *homogeneity, const float *spatial,
                                          const float *temporal, const float *coarse_changes, float *changes,
                                          CellsOfTile t, ResidualRule rule) {
    const int band = int(blockIdx.z);
    const LaneOfCell lane = lane_of_cell(t);
    const long long plane = band * pixels(t);
    const SfsdafPixels of = {fine + plane, homogeneity, spatial + plane, temporal + plane};
    distribute(rule, double(coarse_changes[band * cells(t) + lane.cell]), t, lane, of, changes + plane);
}
