// Sums over the window of each pixel of a row, in two passes: down the columns, then along the row. The twin of
// native/methods/src/blocks/box_sums.rs: the same additions in the same order, so the same sums, bit for bit.
#ifndef STF_BLOCKS_BOX_SUMS
#define STF_BLOCKS_BOX_SUMS

// Shared memory that window_sums needs, in elements of T: N * (blockDim.x + 2 half).
//
// The block owns the pixels (row, first_col + threadIdx.x) of an image of `rows` x `cols` pixels; `parts(row, col,
// add)` gives the N numbers of a pixel inside it. All threads must call, whether they own a pixel or not.
template <class T, int N, class Parts>
__device__ __forceinline__ void window_sums(const Parts &parts, int row, int first_col, int rows, int cols, int half,
                                            T *columns, T (&sums)[N]) {
    const int width = int(blockDim.x) + 2 * half;
    // whoever used this memory before must have read it
    __syncthreads();
    for (int c = int(threadIdx.x); c < width; c += int(blockDim.x)) {
        const int col = first_col - half + c;
        T column[N] = {};
        if (col >= 0 && col < cols)
            for (int r = max(row - half, 0); r <= min(row + half, rows - 1); r++) {
                T more[N];
                parts(r, col, more);
                for (int n = 0; n < N; n++)
                    column[n] += more[n];
            }
        for (int n = 0; n < N; n++)
            columns[n * width + c] = column[n];
    }
    __syncthreads();
    for (int n = 0; n < N; n++) {
        sums[n] = T(0);
        for (int q = 0; q <= 2 * half; q++)
            sums[n] += columns[n * width + int(threadIdx.x) + q];
    }
}

// Number, sum and sum of squares of the valid values of a plane near an origin, which keeps the squares small.
struct MomentsNear {
    const float *values;
    int cols;
    double origin;

    __device__ void operator()(int row, int col, double (&parts)[3]) const {
        const float value = values[(long long)row * cols + col];
        const double d = double(value) - origin;
        const bool valid = value == value;
        parts[0] = valid ? 1.0 : 0.0;
        parts[1] = valid ? d : 0.0;
        parts[2] = valid ? d * d : 0.0;
    }
};

// Population standard deviation from the sums of these; 0 where there are none.
__device__ __forceinline__ double deviation_of(const double (&sums)[3]) {
    const double n = sums[0];
    const double mean = n > 0.0 ? sums[1] / n : 0.0;
    const double variance = n > 0.0 ? sums[2] / n - mean * mean : 0.0;
    return sqrt(variance > 0.0 ? variance : 0.0);
}

#endif
