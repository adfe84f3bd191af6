// IFSDAF (Liu et al. 2019): the change of every fine pixel of a cell (coarse pixel), from the change of its class and
// the coarse change brought to fine pixels, weighted, and its part of what both leave unexplained in the cell. The
// meaning is that of native/methods/src/ifsdaf/cpu.rs: the same operations in the same order, so the same changes, bit
// for bit. Changes of classes in every cell and weights of increments come from the CPU, which solves for them once for
// the scene.
//
//   classes_of_means | classes_of_map (blocks/classes.cu), homogeneity_shares (blocks/homogeneity.cu),
//   spatial_* (blocks/spatial_prediction.cu)
//   ifsdaf_changes     changes of the pixels of the cells of the tile        8 threads: a cell in a band
//   similar_* (blocks/similar_changes.cu) with nearest_* (blocks/nearest.cu)
//
// Launch shape: x cells (8 threads each), y rows of cells, z bands. No shared memory.
//
// A pixel and band takes four passes (mean increment, mean weight, mean capped weight, change) of 16 bytes, of which
// the later ones mostly find the first-level cache, and 45 operations in double; see fsdaf.cu.

#include "blocks/residual_weights.cuh"

namespace {

struct IfsdafPixels {
    const float *fine, *labels, *homogeneity, *spatial;
    // changes of the classes in the cell, and the weight of the time-dependent increment
    const float *class_changes;
    double weight;
    int classes;

    __device__ __forceinline__ PixelOfCell operator()(long long at) const {
        const int label = int(labels[at]);
        const double temporal = double(label < classes ? class_changes[label] : STF_NAN);
        const double smooth = double(spatial[at]);
        const double both = weight * temporal + (1.0 - weight) * smooth;
        const double own = fine[at] == fine[at] ? both : double(STF_NAN);
        return {own, smooth - own, double(homogeneity[at])};
    }
};

} // namespace

// `fine` is followed by the labels of its pixels; `class_changes` are (band, cell, class), `temporal_weights` and
// `coarse_changes` (band, cell).
extern "C" __global__ void ifsdaf_changes(const float *fine, const float *homogeneity, const float *spatial,
                                          const float *class_changes, const float *temporal_weights,
                                          const float *coarse_changes, float *changes, CellsOfTile t, ResidualRule rule,
                                          int classes) {
    const int band = int(blockIdx.z);
    const LaneOfCell lane = lane_of_cell(t);
    const long long plane = band * pixels(t), cell = band * cells(t) + lane.cell;
    const IfsdafPixels of = {fine + plane,    fine + t.bands * pixels(t),     homogeneity,
                             spatial + plane, class_changes + cell * classes, double(temporal_weights[cell]),
                             classes};
    distribute(rule, double(coarse_changes[cell]), t, lane, of, changes + plane);
}
