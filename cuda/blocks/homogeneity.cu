// How homogeneous the classes around a pixel are (Zhu et al. 2016, equation 16): the share, among the labelled pixels
// of the window around each pixel, of those with its own class. The meaning is that of
// native/methods/src/blocks/homogeneity; numbers are whole until the division, so nothing depends on their order.
//
// Launch shape: x columns, y strips of STRIP rows. A thread owns a column of a strip.
//
// Shared memory: for each of `batch` classes, and for all of them together, the number of pixels in every column of the
// window's rows: 2 (batch + 1) (threads + 2 half) bytes. A thread counts in columns of its own, so that nothing is
// added by two threads, and going a row down adds one row of labels and takes one off. Where the classes are more than
// a batch the strip is swept once for each batch.
//
//   for each row of the strip: 2 labels of a column for each of its pixels and of the rim, and 2 (2 half + 1) numbers
//   from shared memory for a pixel: about 8 half operations.

#include "blocks/launch.cuh"
#include "blocks/numbers.cuh"

// As in native/methods/src/blocks/homogeneity/cuda.rs.
struct HomogeneityTile {
    // pixels of the planes
    int rows, cols;
    // pixels to compute, and the first of them
    int out_rows, out_cols, row, col;
    int half, classes, batch;
    // number of the plane with the labels
    int plane;
};

namespace {

constexpr int STRIP = 16;

// Adds `by` to the numbers of a column for the label at (row, col), if that is inside.
__device__ __forceinline__ void count_label(const float *labels, const HomogeneityTile &t, int row, int col, int from,
                                            int width, int by, unsigned short *column) {
    if (row < 0 || row >= t.rows || col < 0 || col >= t.cols)
        return;
    const int label = int(labels[(long long)row * t.cols + col]);
    if (label >= t.classes)
        return;
    column[t.batch * width] = (unsigned short)(column[t.batch * width] + by);
    if (label >= from && label < from + t.batch)
        column[(label - from) * width] = (unsigned short)(column[(label - from) * width] + by);
}

} // namespace

// Shares go to the places of their pixels; other places are left alone.
extern "C" __global__ void homogeneity_shares(const float *planes, float *shares, HomogeneityTile t) {
    const float *labels = planes + t.plane * ((long long)t.rows * t.cols);
    unsigned short *counts = dynamic_shared<unsigned short>();
    const int width = int(blockDim.x) + 2 * t.half;
    const int first = int(blockIdx.x * blockDim.x), top = int(blockIdx.y) * STRIP;
    const int col = first + int(threadIdx.x);
    const int last = min(top + STRIP, t.out_rows);
    for (int from = 0; from < t.classes; from += t.batch) {
        for (int row = top; row < last; row++) {
            const int r = t.row + row;
            // all threads have read the numbers of the row before
            __syncthreads();
            for (int c = int(threadIdx.x); c < width; c += int(blockDim.x)) {
                const int at = t.col + first - t.half + c;
                unsigned short *column = counts + c;
                if (row == top) {
#pragma unroll 1
                    for (int n = 0; n <= t.batch; n++)
                        column[n * width] = 0;
#pragma unroll 1
                    for (int q = r - t.half; q < r + t.half; q++)
                        count_label(labels, t, q, at, from, width, 1, column);
                } else {
                    count_label(labels, t, r - t.half - 1, at, from, width, -1, column);
                }
                count_label(labels, t, r + t.half, at, from, width, 1, column);
            }
            __syncthreads();
            if (col >= t.out_cols)
                continue;
            const long long to = (long long)r * t.cols + t.col + col;
            const int label = int(labels[to]);
            if (label >= t.classes)
                shares[to] = STF_NAN;
            if (label >= t.classes || label < from || label >= from + t.batch)
                continue;
            int own = 0, all = 0;
            for (int q = 0; q <= 2 * t.half; q++) {
                own += counts[(label - from) * width + int(threadIdx.x) + q];
                all += counts[t.batch * width + int(threadIdx.x) + q];
            }
            // of numbers below 2^24 the quotient in float is that in double, rounded
            shares[to] = float(own) / float(all);
        }
    }
}
