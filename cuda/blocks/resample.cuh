// Values of an image at positions between its pixels. The twin of native/core/src/resample.rs for whole images: the
// same operations in the same order, so the same values, bit for bit.
#ifndef STF_BLOCKS_RESAMPLE
#define STF_BLOCKS_RESAMPLE

#include "blocks/numbers.cuh"

// The pixels around a position, which must lie inside the image.
struct Tap {
    long long nearest, first;
    int right, below;
    float tx, ty;
    bool inner;
};

__device__ __forceinline__ Tap tap_at(double col, double row, int rows, int cols) {
    const int i = int(col + 0.5) - 1, j = int(row + 0.5) - 1;
    const int i0 = max(i, 0), j0 = max(j, 0), i1 = min(i + 1, cols - 1), j1 = min(j + 1, rows - 1);
    Tap t;
    t.tx = float(col - 0.5 - double(i));
    t.ty = float(row - 0.5 - double(j));
    t.nearest = (long long)int(row) * cols + int(col);
    t.first = (long long)j0 * cols + i0;
    t.right = i1 - i0;
    t.below = (j1 - j0) * cols;
    t.inner = i >= 1 && j >= 1 && i + 2 < cols && j + 2 < rows;
    return t;
}

// Linear between the four pixels around; invalid ones are left out, unless the nearest is.
__device__ __forceinline__ float bilinear_at(const float *values, const Tap &t) {
    const float *first = values + t.first;
    const float corners[4] = {first[0], first[t.right], first[t.below], first[t.below + t.right]};
    const float upper = corners[0] + (corners[1] - corners[0]) * t.tx;
    const float lower = corners[2] + (corners[3] - corners[2]) * t.tx;
    const float value = upper + (lower - upper) * t.ty;
    if (value == value)
        return value;
    const float nearest = values[t.nearest];
    if (nearest != nearest)
        return STF_NAN;
    const double tx = t.tx, ty = t.ty;
    const double weights[4] = {(1.0 - tx) * (1.0 - ty), tx * (1.0 - ty), (1.0 - tx) * ty, tx * ty};
    double sum = 0.0, total = 0.0;
    for (int k = 0; k < 4; k++)
        if (corners[k] == corners[k] && weights[k] > 0.0) {
            sum += weights[k] * double(corners[k]);
            total += weights[k];
        }
    return float(sum / total);
}

// Keys's weights of the four pixels around a distance of 0 to 1 from the second.
__device__ __forceinline__ void cubic_weights(double t, double (&w)[4]) {
    w[0] = ((-0.5 * t + 1.0) * t - 0.5) * t;
    w[1] = (1.5 * t - 2.5) * t * t + 1.0;
    w[2] = ((-1.5 * t + 2.0) * t + 0.5) * t;
    w[3] = (0.5 * t - 0.5) * t * t;
}

// Cubic convolution over sixteen pixels; bilinear where one of them is invalid or beyond the border.
__device__ __forceinline__ float cubic_at(const float *values, int cols, const Tap &t) {
    if (!t.inner)
        return bilinear_at(values, t);
    double wx[4], wy[4];
    cubic_weights(double(t.tx), wx);
    cubic_weights(double(t.ty), wy);
    double sum = 0.0;
    for (int j = 0; j < 4; j++) {
        const float *row = values + t.first + (long long)(j - 1) * cols - 1;
        sum +=
            wy[j] * (wx[0] * double(row[0]) + wx[1] * double(row[1]) + wx[2] * double(row[2]) + wx[3] * double(row[3]));
    }
    return sum == sum ? float(sum) : bilinear_at(values, t);
}

#endif
