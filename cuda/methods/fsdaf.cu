// FSDAF (Zhu et al. 2016): the change of every fine pixel of a cell (coarse pixel), from the change of its class and
// its part of what classes leave unexplained in the cell (equations 5 to 20). The meaning is that of
// native/methods/src/fsdaf/cpu.rs: the same operations in the same order, so the same changes, bit for bit. Changes of
// classes and residuals of cells come from the CPU, which finds them once for the scene.
//
//   classes_of_means | classes_of_map (blocks/classes.cu), homogeneity_shares (blocks/homogeneity.cu),
//   spatial_* (blocks/spatial_prediction.cu, once for all pairs)
//   fsdaf_changes      changes of the pixels of the cells of the tile        8 threads: a cell in a band
//   similar_* (blocks/similar_changes.cu) with nearest_* (blocks/nearest.cu)
//
// Launch shape: x cells (8 threads each), y rows of cells, z bands. No shared memory.
//
// A pixel and band takes three passes (mean weight, mean capped weight, change) of 16 bytes, of which the second and
// third mostly find the first-level cache, and 35 operations in double. With 1/32 of the rate of floats these take as
// long as 1100 operations in float; the search of similar pixels in a window of 41 takes 8400 for each band.

#include "blocks/residual_weights.cuh"

// A band, as in native/methods/src/fsdaf/cuda.rs: what a pixel may have after its own change, and what fine values are
// drawn in to before.
struct FsdafBand {
    double least, most;
    float low, high;
};

namespace {

// What a pixel brings, with its value drawn in and the temporal prediction of equation 5.
struct FsdafPixels {
    const float *fine, *labels, *homogeneity, *spatial;
    const double *class_changes;
    FsdafBand band;
    int classes;

    __device__ __forceinline__ double drawn(long long at) const {
        const float value = fine[at];
        return value == value ? double(fminf(fmaxf(value, band.low), band.high)) : double(STF_NAN);
    }
    __device__ __forceinline__ double temporal(long long at) const {
        const int label = int(labels[at]);
        return drawn(at) + (label < classes ? class_changes[label] : double(STF_NAN));
    }
    __device__ __forceinline__ PixelOfCell operator()(long long at) const {
        return {0.0, double(spatial[at]) - temporal(at), double(homogeneity[at])};
    }
};

} // namespace

// `fine` is followed by the labels of its pixels; `class_changes` are (band, class), `residuals` (band, cell).
extern "C" __global__ void fsdaf_changes(const float *fine, const float *homogeneity, const float *spatial,
                                         const double *class_changes, const float *residuals, const FsdafBand *bands,
                                         float *changes, CellsOfTile t, ResidualRule rule, int classes) {
    const int band = int(blockIdx.z);
    const LaneOfCell lane = lane_of_cell(t);
    const long long plane = band * pixels(t);
    const FsdafPixels of = {fine + plane,    fine + t.bands * pixels(t),     homogeneity,
                            spatial + plane, class_changes + band * classes, bands[band],
                            classes};
    const double residual = double(residuals[band * cells(t) + lane.cell]);
    const ResidualWeights weights = residual_weights(rule, residual, t, lane, of);
    lane.each(t, [&](long long at) {
        const double weight = weights(of(at));
        const double predicted = fmin(fmax(of.temporal(at) + weight * residual, of.band.least), of.band.most);
        const float change = float(predicted - of.drawn(at));
        changes[plane + at] = weight == weight && is_number(change) ? change : STF_NAN;
    });
}
