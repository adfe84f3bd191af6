// The most similar pixels of the window of every pixel: what kernels that use the lists share. See nearest.cu and
// native/methods/src/blocks/nearest.
#ifndef STF_BLOCKS_NEAREST
#define STF_BLOCKS_NEAREST

// As in native/methods/src/blocks/nearest/cuda.rs.
struct NearestShape {
    // pixels of the planes
    int rows, cols;
    // pixels whose windows are searched, and where they begin in the planes
    int out_rows, out_cols, row_offset, col_offset;
    int half;
    // planes by which pixels are compared, and planes in which a chosen pixel must be valid
    int compared, required;
    // positions of the window, and how many pixels are wanted
    int positions, most;
    // whether pixels beyond the border are copies of those at the border, instead of none
    int replicate;
    // added to every key before the factor of its position, if there are such
    float added;
};

// A chosen pixel: its key and its position in the window. Those of a pixel are `out_rows * out_cols` apart, by
// ascending key; where there are fewer than wanted, the others have an infinite key.
struct alignas(8) NearestSample {
    float key;
    int position;
};

// Place in the planes of the pixel at an offset from the pixel (row, col) that is searched for.
__device__ __forceinline__ long long nearest_place(const NearestShape &n, int row, int col, int2 offset) {
    int r = n.row_offset + row + offset.x, c = n.col_offset + col + offset.y;
    if (n.replicate) {
        r = min(max(r, 0), n.rows - 1);
        c = min(max(c, 0), n.cols - 1);
    }
    return (long long)r * n.cols + c;
}

// A plane by which pixels are compared: its number among the planes of a buffer, and for differences that count by
// their magnitude the factor and what they must be below. The factor is divided by the magnitude of the centre's value
// when `relative`.
struct NearestPlane {
    int number, relative;
    float factor, below;
};

// The weighted mean of `plane` over `count` chosen pixels; values that are NaN are left out, and without any other the
// mean is NaN. Sums are taken in the order of the list.
template <class Weight>
__device__ __forceinline__ float nearest_mean(const NearestShape &n, const NearestSample *list, int count,
                                              const int2 *offsets, const Weight &weight_of, const float *plane, int row,
                                              int col) {
    const long long stride = (long long)n.out_rows * n.out_cols;
    float sum = 0.0f, total = 0.0f;
    for (int i = 0; i < count; i++) {
        const NearestSample sample = list[i * stride];
        const float value = plane[nearest_place(n, row, col, offsets[sample.position])], weight = weight_of(sample);
        const bool valid = value == value;
        sum += valid ? weight * value : 0.0f;
        total += valid ? weight : 0.0f;
    }
    return sum / total;
}

#endif
