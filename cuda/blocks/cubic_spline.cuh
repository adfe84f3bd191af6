// The cubic spline through the values of coarse pixels, at fine pixels. The twin of
// native/methods/src/blocks/cubic_spline.rs: the same operations in the same order, so the same values, bit for bit.
#ifndef STF_BLOCKS_CUBIC_SPLINE
#define STF_BLOCKS_CUBIC_SPLINE

// The place in 0..count that a place beyond an end is reflected to, the end itself not repeated: -1 becomes 1.
__device__ __forceinline__ int reflected(int place, int count) {
    if (count <= 1)
        return 0;
    const int period = 2 * (count - 1);
    place %= period;
    place += place < 0 ? period : 0;
    return min(place, period - place);
}

// Coefficients along an axis, and their weights, for a fine pixel.
struct SplineTap {
    int at[4];
    float weights[4];

    __device__ __forceinline__ float weighted(const float (&values)[4]) const {
        return weights[0] * values[0] + weights[1] * values[1] + weights[2] * values[2] + weights[3] * values[3];
    }
};

// For the fine pixel `i` of a row or column of `count` coarse pixels, each `scale` fine ones.
__device__ __forceinline__ SplineTap spline_tap(int i, int scale, int count) {
    const double position = (double(i) + 0.5) / double(scale) - 0.5, whole = floor(position);
    const double t = position - whole, u = 1.0 - t;
    const double weights[4] = {u * u * u, 4.0 - 6.0 * t * t + 3.0 * t * t * t, 4.0 - 6.0 * u * u + 3.0 * u * u * u,
                               t * t * t};
    SplineTap tap;
    for (int k = 0; k < 4; k++) {
        tap.at[k] = reflected(int(whole) + k - 1, count);
        tap.weights[k] = float(weights[k] / 6.0);
    }
    return tap;
}

// The value where two taps meet in a plane of coefficients with `cols` columns, within `low` and `high`.
__device__ __forceinline__ float spline_at(const float *coefficients, int cols, const SplineTap &down,
                                           const SplineTap &right, float low, float high) {
    float sums[4];
    for (int k = 0; k < 4; k++) {
        const float column[4] = {coefficients[(long long)down.at[0] * cols + right.at[k]],
                                 coefficients[(long long)down.at[1] * cols + right.at[k]],
                                 coefficients[(long long)down.at[2] * cols + right.at[k]],
                                 coefficients[(long long)down.at[3] * cols + right.at[k]]};
        sums[k] = down.weighted(column);
    }
    return fminf(fmaxf(right.weighted(sums), low), high);
}

#endif
