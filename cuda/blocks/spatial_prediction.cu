// The spatial prediction: coarse values at the fine pixels of the cells (coarse pixels) of a tile, plane by plane. The
// meaning is that of native/methods/src/blocks/{thin_plate,inverse_distance,cubic_convolution}.rs: the same operations
// in the same order, so the same values, bit for bit. `nodes` are the values of all cells of the scene, plane by plane;
// values go to the places of their pixels in planes of the padded tile.
//
//   spatial_table      thin plate: a table of weights, with 13 x 13 cells around     a block: cells, 4 planes
//   spatial_solve      thin plate near the border: the equations of a square         a block: a square, a plane
//   spatial_border     thin plate near the border: sums over the nodes of a square   a thread: a pixel of a plane
//   spatial_distance   inverse squared distance over 5 x 5 cells                     a thread: a pixel of a plane
//   spatial_cubic      cubic convolution over 5 x 5 cells                            a thread: a pixel of a plane
//   spatial_nearest    the value of the cell, where a spline has no solution         a thread: a pixel of a plane
//
// Launch shape: spatial_table x groups of cells, y rows of cells, z four planes each; spatial_solve x squares, z
// planes; spatial_border x cells, y parts of a cell, z planes; others x columns, y rows, z planes.
//
// spatial_table: a weight is read once for four planes, and their deviations at a node lie side by side in shared
// memory (16 bytes for each node and cell): per node 2 loads and 8 operations, 2.5 for a pixel of a plane, of 169
// nodes.
//
// spatial_border works in double, as the CPU does: its sums cancel. It has 289 nodes of 2 operations and 2 loads. Only
// the six outermost rings of cells of the scene go there, 5 % of a Landsat scene with 16 pixels along a cell. With
// doubles at 1/32 of the rate of floats that takes twice as long as the table for the rest, and a tenth of the search
// of similar pixels in a window of 41.

#include "blocks/cells.cuh"
#include "blocks/launch.cuh"
#include "blocks/numbers.cuh"

// A cell near the border: its place in the scene, and the number of its square and the first node of that.
struct BorderCell {
    int row, col, square, square_row, square_col;
};

// As in native/methods/src/blocks/spatial_prediction/cuda.rs.
struct BorderSquares {
    // nodes of a square, its unknowns, and whether it has slopes
    int rows, cols, size, down, right;
    // columns of the table of kernels
    int width;
};

namespace {

constexpr int TABLE_REACH = 6, TABLE_SIDE = 2 * TABLE_REACH + 1, TABLE_NODES = TABLE_SIDE * TABLE_SIDE;
constexpr int REACH = 2, SIDE = 2 * REACH + 1;

__device__ __forceinline__ float finite_or(float value, float otherwise) {
    return is_number(value) ? value : otherwise;
}

// Place of a pixel of a cell in a plane of the padded tile; negative outside.
__device__ __forceinline__ long long place_in_tile(const CellsOfTile &t, int cell_row, int cell_col, int y, int x) {
    const int r = cell_row * t.scale + y - t.row, c = cell_col * t.scale + x - t.col;
    return r >= 0 && r < t.rows && c >= 0 && c < t.cols ? (long long)r * t.cols + c : -1;
}

__device__ __forceinline__ bool is_in_table(const CellsOfTile &t, int row, int col) {
    return row >= TABLE_REACH && row + TABLE_REACH < t.grid_rows && col >= TABLE_REACH &&
           col + TABLE_REACH < t.grid_cols;
}

// A pixel that a thread owns: its place in the padded tile, its cell, and where it lies in that.
struct PixelOfTile {
    long long at;
    int cell_row, cell_col, y, x, band;
};

// x columns, y rows, z planes over the pixels of the cells of the tile. False where there is none.
__device__ __forceinline__ bool pixel_of_tile(const CellsOfTile &t, PixelOfTile &p) {
    const int row = t.cell_row * t.scale + int(blockIdx.y);
    const int col = t.cell_col * t.scale + int(blockIdx.x * blockDim.x + threadIdx.x);
    p.band = int(blockIdx.z);
    p.cell_row = row / t.scale;
    p.cell_col = col / t.scale;
    p.y = row % t.scale;
    p.x = col % t.scale;
    p.at = place_in_tile(t, p.cell_row, p.cell_col, p.y, p.x);
    return p.at >= 0 && p.band < t.bands && p.cell_row < t.cell_row + t.cell_rows &&
           p.cell_col < t.cell_col + t.cell_cols;
}

} // namespace

// Cells that have all nodes of the table around them; others are left alone. `weights` are (node, pixel of a cell).
// Shared memory: 16 bytes for each node of each of the `group` cells of a block.
extern "C" __global__ void spatial_table(const float *nodes, const float *weights, float *values, CellsOfTile t,
                                         int group) {
    float4 *deviations = dynamic_shared<float4>();
    const int row = t.cell_row + int(blockIdx.y), first = t.cell_col + int(blockIdx.x) * group;
    const int here = min(group, t.cell_col + t.cell_cols - first);
    const int band = 4 * int(blockIdx.z);
#pragma unroll 1
    for (int i = int(threadIdx.x); i < here * TABLE_NODES; i += int(blockDim.x)) {
        const int col = first + i / TABLE_NODES, node = i % TABLE_NODES;
        float apart[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        if (is_in_table(t, row, col))
            for (int k = 0; k < min(4, t.bands - band); k++) {
                const float *plane = nodes + (band + k) * cells(t);
                const int r = row - TABLE_REACH + node / TABLE_SIDE, c = col - TABLE_REACH + node % TABLE_SIDE;
                apart[k] = plane[(long long)r * t.grid_cols + c] - plane[(long long)row * t.grid_cols + col];
            }
        deviations[i] = make_float4(apart[0], apart[1], apart[2], apart[3]);
    }
    __syncthreads();
    const int pixels_of_cell = t.scale * t.scale;
    for (int i = int(threadIdx.x); i < here * pixels_of_cell; i += int(blockDim.x)) {
        const int cell = i / pixels_of_cell, pixel = i % pixels_of_cell;
        const long long at = place_in_tile(t, row, first + cell, pixel / t.scale, pixel % t.scale);
        if (at < 0 || !is_in_table(t, row, first + cell))
            continue;
        float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        const float4 *apart = deviations + cell * TABLE_NODES;
#pragma unroll 4
        for (int node = 0; node < TABLE_NODES; node++) {
            const float weight = weights[(long long)node * pixels_of_cell + pixel];
            const float4 d = apart[node];
            sums[0] += d.x * weight;
            sums[1] += d.y * weight;
            sums[2] += d.z * weight;
            sums[3] += d.w * weight;
        }
        for (int k = 0; k < 4; k++)
            if (band + k < t.bands) {
                const float centre = nodes[(band + k) * cells(t) + (long long)row * t.grid_cols + first + cell];
                // in float as in double: one addition of floats, rounded
                values[(band + k) * pixels(t) + at] = finite_or(centre + sums[k], centre);
            }
    }
}

// Solves for the factors of the nodes of squares: first nodes in `squares` (row, col), `exchanged` the order of the
// rows of the factors L and U, column by column. To `solutions` (square, plane, unknown). Shared memory: a double for
// each unknown.
extern "C" __global__ void spatial_solve(const float *nodes, const int2 *squares, const double *factors,
                                         const int *exchanged, double *solutions, CellsOfTile t, BorderSquares s) {
    double *values = dynamic_shared<double>();
    const int2 first = squares[blockIdx.x];
    const float *plane = nodes + blockIdx.z * cells(t) + (long long)first.x * t.grid_cols + first.y;
    const double middle = double(plane[(long long)(s.rows / 2) * t.grid_cols + s.cols / 2]);
#pragma unroll 1
    for (int i = int(threadIdx.x); i < s.size; i += int(blockDim.x)) {
        const int from = exchanged[i];
        values[i] = from < s.rows * s.cols
                        ? double(plane[(long long)(from / s.cols) * t.grid_cols + from % s.cols]) - middle
                        : 0.0;
    }
    __syncthreads();
    for (int k = 0; k < s.size; k++) {
        const double head = values[k];
        const double *column = factors + (long long)k * s.size;
#pragma unroll 1
        for (int i = k + 1 + int(threadIdx.x); i < s.size; i += int(blockDim.x))
            values[i] -= head * column[i];
        __syncthreads();
    }
    for (int k = s.size - 1; k >= 0; k--) {
        const double *column = factors + (long long)k * s.size;
        if (threadIdx.x == 0)
            values[k] /= column[k];
        __syncthreads();
        const double found = values[k];
#pragma unroll 1
        for (int i = int(threadIdx.x); i < k; i += int(blockDim.x))
            values[i] -= found * column[i];
        __syncthreads();
    }
    double *to = solutions + ((long long)blockIdx.x * t.bands + blockIdx.z) * s.size;
#pragma unroll 1
    for (int i = int(threadIdx.x); i < s.size; i += int(blockDim.x))
        to[i] = values[i];
}

// Cells near the border. `kernels` are the values of the kernel at the offsets of pixels from nodes. Shared memory: a
// double for each unknown.
extern "C" __global__ void spatial_border(const float *nodes, const BorderCell *border, const double *kernels,
                                          const double *solutions, float *values, CellsOfTile t, BorderSquares s) {
    double *factors = dynamic_shared<double>();
    const BorderCell cell = border[blockIdx.x];
    const int band = int(blockIdx.z), pixel = int(blockIdx.y * blockDim.x + threadIdx.x);
    const double *solution = solutions + ((long long)cell.square * t.bands + band) * s.size;
#pragma unroll 1
    for (int i = int(threadIdx.x); i < s.size; i += int(blockDim.x))
        factors[i] = solution[i];
    __syncthreads();
    const int y = pixel / t.scale, x = pixel % t.scale;
    const long long at = place_in_tile(t, cell.row, cell.col, y, x);
    if (pixel >= t.scale * t.scale || at < 0)
        return;
    const float *plane = nodes + band * cells(t);
    const int own_row = cell.row - cell.square_row, own_col = cell.col - cell.square_col;
    const int count = s.rows * s.cols;
    const double level = factors[count], down = s.down ? factors[count + 1] : 0.0;
    const double right = s.right ? factors[count + 1 + s.down] : 0.0;
    const double scale = double(t.scale), half = (scale - 1.0) / 2.0;
    const double at_row = double(own_row) + (double(y) - half) / scale;
    const double at_col = double(own_col) + (double(x) - half) / scale;
    double sum = level + down * at_row + right * at_col;
    const int lines = (2 * s.rows - 1) * t.scale;
    for (int r = 0; r < s.rows; r++) {
        const int offset = (own_row + s.rows - 1 - r) * t.scale + y;
        const double *kernel =
            kernels + (long long)min(offset, lines - 1 - offset) * s.width + (own_col + s.cols - 1) * t.scale + x;
#pragma unroll 4
        for (int c = 0; c < s.cols; c++)
            sum += factors[r * s.cols + c] * kernel[-c * t.scale];
    }
    const long long middle = (long long)(cell.square_row + s.rows / 2) * t.grid_cols + cell.square_col + s.cols / 2;
    const float centre = plane[(long long)cell.row * t.grid_cols + cell.col];
    values[band * pixels(t) + at] = finite_or(float(double(plane[middle]) + sum), centre);
}

// `weights` are (neighbour, pixel of a cell). Invalid cells are left out; NaN where no valid one is within reach.
extern "C" __global__ void spatial_distance(const float *nodes, const float *weights, float *values, CellsOfTile t) {
    PixelOfTile p;
    if (!pixel_of_tile(t, p))
        return;
    const float *plane = nodes + p.band * cells(t);
    // deviations from one value, so that a constant stays one
    float origin = plane[(long long)p.cell_row * t.grid_cols + p.cell_col];
    float sum = 0.0f, total = 0.0f;
#pragma unroll 1
    for (int n = 0; n < SIDE * SIDE; n++) {
        const int r = p.cell_row - REACH + n / SIDE, c = p.cell_col - REACH + n % SIDE;
        if (r < 0 || r >= t.grid_rows || c < 0 || c >= t.grid_cols)
            continue;
        const float value = plane[(long long)r * t.grid_cols + c];
        if (value != value)
            continue;
        if (origin != origin)
            origin = value;
        const float weight = weights[((long long)n * t.scale + p.y) * t.scale + p.x];
        sum += weight * (value - origin);
        total += weight;
    }
    const float mean = origin + sum / total;
    values[p.band * pixels(t) + p.at] = total == 0.0f ? STF_NAN : finite_or(mean, origin);
}

// `weights` are those of five cells in a row for each pixel along a cell. The border is repeated outwards.
extern "C" __global__ void spatial_cubic(const float *nodes, const float *weights, float *values, CellsOfTile t) {
    PixelOfTile p;
    if (!pixel_of_tile(t, p))
        return;
    const float *plane = nodes + p.band * cells(t);
    const float middle = plane[(long long)p.cell_row * t.grid_cols + p.cell_col];
    const float *down = weights + p.y * SIDE, *along = weights + p.x * SIDE;
    float change = 0.0f;
#pragma unroll 1
    for (int x = 0; x < SIDE; x++) {
        const int c = min(max(p.cell_col - REACH + x, 0), t.grid_cols - 1);
        float sum = 0.0f;
        for (int y = 0; y < SIDE; y++) {
            const int r = min(max(p.cell_row - REACH + y, 0), t.grid_rows - 1);
            sum += down[y] * (plane[(long long)r * t.grid_cols + c] - middle);
        }
        change += sum * along[x];
    }
    values[p.band * pixels(t) + p.at] = finite_or(middle + change, middle);
}

extern "C" __global__ void spatial_nearest(const float *nodes, float *values, CellsOfTile t) {
    PixelOfTile p;
    if (pixel_of_tile(t, p))
        values[p.band * pixels(t) + p.at] = nodes[p.band * cells(t) + (long long)p.cell_row * t.grid_cols + p.cell_col];
}
