// STARFM (Gao, Masek, Schwaller and Hall 2006): weighted mean over the similar pixels of a window, equations 5 to 16.
// The meaning is that of native/methods/src/starfm: the same expressions in the same order, so the same candidates;
// weights are rounded elsewhere.
//
//   starfm_bounds             bounds of the filter from all pairs                          a thread: a pixel and band
//   for each pair:
//     starfm_planes…          key, S, T, a and proposal of every sample                    a thread: a sample and band
//     starfm_keys             keys of further similarity bands                             a thread: a sample and such
//     a band starfm_ranges…          range of similar keys of every pixel                         a thread: a pixel and
//     band starfm_valid            samples that count, for the support                          a thread: a pixel and
//     band starfm_window…          the window loop                                              a thread: ROWS pixels
//     of a column and band
//   starfm_finish             the prediction                                               a thread: a pixel and band
//   starfm_support            the support                                                  a thread: a pixel
//
// Launch shape: x columns (blocks of 32 to 256 threads), y rows (of the window kernels: ROWS of them), z bands.
//
// The window loop. A block owns ROWS rows of as many columns as it has threads. Sample rows pass through shared memory
// in slabs of `slab_rows`, each with half a window on both sides, so that any window fits. One load of a sample serves
// ROWS pixels:
//
//   for each slab; for each sample row in it; for each column q of the window:
//     key, s, t, a, v = sample (row, thread + q)                      2 loads, for ROWS pixels
//     d[0..ROWS]      = 1 / D of that row for each pixel               ROWS / 4 loads, the same for all threads
//     for each pixel i:
//       keep = key + low[i] > least[i]  and  (s < bound_s[i] or|and t < bound_t[i])      add, 3 comparisons
//       W[i] += a d[i];  P[i] += (a v) d[i]   where kept                                  2 multiply-adds
//
// Where candidates within the uncertainty weigh 1, the weight is a d + b and an addition more. Every pixel adds its
// candidates in one order (pairs, rows, columns; one subtotal for each row), so the result does not depend on tiles,
// blocks or slabs. No atomics.

#include "blocks/box_sums.cuh"
#include "blocks/keys.cuh"
#include "blocks/launch.cuh"
#include "blocks/numbers.cuh"

// A tile; as in native/methods/src/starfm/cuda.rs.
struct StarfmTile {
    // pixels of the padded tile
    int rows, cols;
    int bands, pairs;
    // pixels to compute, and where they begin in the padded tile
    int out_rows, out_cols, row_offset, col_offset;
    // the same in the scene
    int scene_row, scene_col, scene_rows, scene_cols;
    int half;
    // planes of keys beyond the first
    int more_keys;
    int largest_bound, logarithmic, temporal;
    // 0: nothing; 1: copy where the coarse value did not change; 2: also where fine and coarse agree
    int zero_difference;
};

// What depends on the band.
struct StarfmBand {
    double spectral, temporal;
    float scale, offset, smallest, within;
};

namespace {

// Differences of a pixel and pair (equations 6 and 7) and its proposal (of equation 5).
struct Differences {
    float s, t, proposal;
    bool valid;
};

__device__ __forceinline__ Differences differences_of(float fine, float coarse, float target) {
    const float change = target - coarse;
    Differences d = {fabsf(fine - coarse), fabsf(change), fine + change, false};
    d.valid = is_number(d.s) && is_number(d.t) && is_number(d.proposal);
    return d;
}

__device__ __forceinline__ long long pixels(const StarfmTile &t) { return (long long)t.rows * t.cols; }
__device__ __forceinline__ long long out_pixels(const StarfmTile &t) { return (long long)t.out_rows * t.out_cols; }

// Images lie one behind the other: target, then fine and coarse of each pair; each with all bands of the padded tile.
__device__ __forceinline__ const float *fine_band(const float *images, const StarfmTile &t, int pair, int band) {
    return images + ((1 + 2 * pair) * (long long)t.bands + band) * pixels(t);
}
__device__ __forceinline__ const float *coarse_band(const float *images, const StarfmTile &t, int pair, int band) {
    return images + ((2 + 2 * pair) * (long long)t.bands + band) * pixels(t);
}

// Position in the padded tile of a pixel to compute.
__device__ __forceinline__ long long centre_of(const StarfmTile &t, int row, int col) {
    return (long long)(t.row_offset + row) * t.cols + t.col_offset + col;
}

// Weight of a candidate, a / D + b (equations 10 and 11).
__device__ __forceinline__ float2 parts_of_weight(const StarfmTile &tile, const StarfmBand &band, float s, float t) {
    s = band.offset + band.scale * s;
    t = band.offset + band.scale * t;
    if (tile.logarithmic) {
        s = logf(s);
        t = tile.temporal ? logf(t) : 1.0f;
    }
    const float product = tile.temporal ? s * t : s;
    if (product < band.within)
        return make_float2(0.0f, 1.0f);
    return make_float2(1.0f / fmaxf(product, band.smallest), 0.0f);
}

} // namespace

// Bounds of S and T for every pixel: the smallest or largest difference at the centre over the pairs, plus its
// uncertainty (equations 13 to 16).
extern "C" __global__ void starfm_bounds(const float *images, const StarfmBand *bands, float2 *bounds, StarfmTile t) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y), band = int(blockIdx.z);
    if (col >= t.out_cols || row >= t.out_rows)
        return;
    const long long at = centre_of(t, row, col);
    const float target = images[band * pixels(t) + at];
    const bool largest = t.largest_bound != 0;
    float s = largest ? -STF_INFINITY : STF_INFINITY, u = s;
    for (int k = 0; k < t.pairs; k++) {
        const Differences d =
            differences_of(fine_band(images, t, k, band)[at], coarse_band(images, t, k, band)[at], target);
        if (d.valid && (d.s > s) == largest)
            s = d.s;
        if (d.valid && (d.t > u) == largest)
            u = d.t;
    }
    bounds[band * out_pixels(t) + (long long)row * t.out_cols + col] =
        make_float2(rounded_up(double(s) + bands[band].spectral), rounded_up(double(u) + bands[band].temporal));
}

namespace {

__device__ __forceinline__ void put(float *proposals, long long at, float a, float, float v) { proposals[at] = a * v; }
__device__ __forceinline__ void put(float2 *proposals, long long at, float, float b, float v) {
    proposals[at] = make_float2(v, b);
}

// Samples {key, s, t, a}, and either a v or {v, b}.
template <class V>
__device__ __forceinline__ void planes(const float *images, const float *classes, const StarfmBand *bands,
                                       int4 *samples, V *proposals, const StarfmTile &t, int pair,
                                       int similarity_band) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y), band = int(blockIdx.z);
    if (col >= t.cols || row >= t.rows)
        return;
    const long long at = (long long)row * t.cols + col;
    const float fine = fine_band(images, t, pair, band)[at];
    const Differences d = differences_of(fine, coarse_band(images, t, pair, band)[at], images[band * pixels(t) + at]);
    int4 sample = make_int4(STF_KEY_OF_NAN, 0, 0, 0);
    float a = 0.0f, b = 0.0f, v = 0.0f;
    if (d.valid) {
        const float similar = classes               ? classes[at]
                              : similarity_band < 0 ? fine
                                                    : fine_band(images, t, pair, similarity_band)[at];
        const float2 weight = parts_of_weight(t, bands[band], d.s, d.t);
        a = weight.x;
        b = weight.y;
        v = d.proposal;
        sample = make_int4(key_of(similar), __float_as_int(d.s), __float_as_int(d.t), __float_as_int(a));
    }
    samples[band * pixels(t) + at] = sample;
    put(proposals, band * pixels(t) + at, a, b, v);
}

} // namespace

// Samples of a pair. `classes` may be null; `similarity_band` below 0 means the band itself.
extern "C" __global__ void starfm_planes(const float *images, const float *classes, const StarfmBand *bands,
                                         int4 *samples, float *proposals, StarfmTile t, int pair, int similarity_band) {
    planes(images, classes, bands, samples, proposals, t, pair, similarity_band);
}

// As starfm_planes, for weights that may not depend on the distance.
extern "C" __global__ void starfm_planes_within(const float *images, const float *classes, const StarfmBand *bands,
                                                int4 *samples, float2 *proposals, StarfmTile t, int pair,
                                                int similarity_band) {
    planes(images, classes, bands, samples, proposals, t, pair, similarity_band);
}

// Keys of the similarity bands after the first; z counts them.
extern "C" __global__ void starfm_keys(const float *images, const int *similarity_bands, int *keys, StarfmTile t,
                                       int pair) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y), plane = int(blockIdx.z);
    if (col >= t.cols || row >= t.rows)
        return;
    const long long at = (long long)row * t.cols + col;
    keys[plane * pixels(t) + at] = key_of(fine_band(images, t, pair, similarity_bands[plane + 1])[at]);
}

namespace {

// The value that similarity to a pixel is judged by, and its band. z counts the bands, then the further planes of keys.
struct Centre {
    float value;
    int band;
};

__device__ __forceinline__ Centre centre_value(const float *images, const int *similarity_bands, const int4 *samples,
                                               const StarfmTile &t, int pair, int row, int col) {
    const int z = int(blockIdx.z);
    const long long at = centre_of(t, row, col);
    if (z < t.bands)
        return {value_of_key(samples[z * pixels(t) + at].x), similarity_bands ? similarity_bands[0] : z};
    const int band = similarity_bands[z - t.bands + 1];
    return {fine_band(images, t, pair, band)[at], band};
}

} // namespace

// Range of similar keys of every pixel, from one tolerance for each band (`tolerances`), or within half a class when
// that is null. `similarity_bands` may be null: the band itself.
extern "C" __global__ void starfm_ranges(const float *images, const int *similarity_bands, const double *tolerances,
                                         const int4 *samples, int2 *ranges, StarfmTile t, int pair) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= t.out_cols || row >= t.out_rows)
        return;
    const Centre centre = centre_value(images, similarity_bands, samples, t, pair, row, col);
    const double tolerance = tolerances ? tolerances[pair * t.bands + centre.band] : 0.5;
    ranges[blockIdx.z * out_pixels(t) + (long long)row * t.out_cols + col] =
        range_of_keys<false>(centre.value, tolerance);
}

namespace {

struct IsValid {
    const int4 *samples;
    int cols;

    __device__ void operator()(int row, int col, int (&parts)[1]) const {
        parts[0] = samples[(long long)row * cols + col].x != STF_KEY_OF_NAN;
    }
};

} // namespace

// As starfm_ranges, from the standard deviation of the window around each pixel, taken near `means` (one for each
// band). Shared memory: 3 doubles for each thread and column of the rim.
extern "C" __global__ void starfm_ranges_local(const float *images, const int *similarity_bands, const double *means,
                                               const int4 *samples, int2 *ranges, StarfmTile t, int pair,
                                               double classes) {
    const int first = int(blockIdx.x * blockDim.x), col = first + int(threadIdx.x), row = int(blockIdx.y);
    const int z = int(blockIdx.z);
    const int band = z >= t.bands ? similarity_bands[z - t.bands + 1] : similarity_bands ? similarity_bands[0] : z;
    double sums[3];
    const MomentsNear moments = {fine_band(images, t, pair, band), t.cols, means[pair * t.bands + band]};
    window_sums<double, 3>(moments, t.row_offset + row, t.col_offset + first, t.rows, t.cols, t.half,
                           dynamic_shared<double>(), sums);
    if (col >= t.out_cols || row >= t.out_rows)
        return;
    const Centre centre = centre_value(images, similarity_bands, samples, t, pair, row, col);
    ranges[z * out_pixels(t) + (long long)row * t.out_cols + col] =
        range_of_keys<false>(centre.value, 2.0 * deviation_of(sums) / classes);
}

// Adds the samples that count in the window of every pixel, or sets them for the first pair.
// Shared memory: an int for each thread and column of the rim.
extern "C" __global__ void starfm_valid(const int4 *samples, int *valid, StarfmTile t, int pair) {
    const int first = int(blockIdx.x * blockDim.x), col = first + int(threadIdx.x), row = int(blockIdx.y);
    const int band = int(blockIdx.z);
    int sums[1];
    window_sums<int, 1>(IsValid{samples + band * pixels(t), t.cols}, t.row_offset + row, t.col_offset + first, t.rows,
                        t.cols, t.half, dynamic_shared<int>(), sums);
    if (col >= t.out_cols || row >= t.out_rows)
        return;
    int *to = valid + band * out_pixels(t) + (long long)row * t.out_cols + col;
    *to = sums[0] + (pair ? *to : 0);
}

namespace {

// Pixels of a thread of the window kernels: in general, and where several planes of keys decide.
constexpr int ROWS = 8;
constexpr int ROWS_MANY_KEYS = 4;

// What the window kernels read and write.
struct Window {
    const int4 *samples;
    const int *keys;
    const int2 *ranges;
    const float2 *bounds;
    const float *inverse_distances;
    float2 *totals;
    int *counts;
    int pair, slab_rows;
};

// Pixels of a thread.
template <int R>
struct Pixels {
    int low[R], least[R];
    float bound_s[R], bound_t[R];
    // subtotals of a row of samples
    float weight[R], value[R];
    int count[R];
};

// A row of a slab.
template <class V>
struct SlabRow {
    const int4 *samples;
    const V *proposals;
    // 1 / D, R numbers for each column of the window
    const float *distances;
    // further keys, a plane every `key_stride`; ranges of this thread, a pixel every blockDim.x, R of them a plane
    const int *keys;
    int key_stride;
    const int2 *ranges;
    int more_keys;
};

template <int R>
__device__ __forceinline__ void load(const float *from, float (&to)[R]) {
    static_assert(R % 4 == 0, "distances are loaded by four");
    for (int i = 0; i < R; i += 4) {
        const float4 four = *reinterpret_cast<const float4 *>(from + i);
        to[i] = four.x;
        to[i + 1] = four.y;
        to[i + 2] = four.z;
        to[i + 3] = four.w;
    }
}

__device__ __forceinline__ void add(float a, float proposal, float d, float &weight, float &value) {
    weight = fmaf(a, d, weight);
    value = fmaf(proposal, d, value);
}
__device__ __forceinline__ void add(float a, float2 proposal, float d, float &weight, float &value) {
    const float w = fmaf(a, d, proposal.y);
    weight += w;
    value = fmaf(w, proposal.x, value);
}

// Adds sample `q` of a row to the subtotals of the pixels first..=last; of all, unless EDGE.
template <int R, bool STRICT, bool COUNT, bool MANY_KEYS, bool EDGE, class V>
__device__ __forceinline__ void add_sample(const SlabRow<V> &row, int q, int first, int last, Pixels<R> &p) {
    const int4 sample = row.samples[q];
    const V proposal = row.proposals[q];
    const float s = __int_as_float(sample.y), t = __int_as_float(sample.z), a = __int_as_float(sample.w);
    float d[R];
    load<R>(row.distances + q * R, d);
#pragma unroll
    for (int i = 0; i < R; i++) {
        if (EDGE && (i < first || i > last))
            continue;
        bool keep = is_in_range(sample.x, p.low[i], p.least[i]);
        if (STRICT)
            keep = keep & (s < p.bound_s[i]) & (t < p.bound_t[i]);
        else
            keep = keep & ((s < p.bound_s[i]) | (t < p.bound_t[i]));
        if (MANY_KEYS) {
#pragma unroll 1
            for (int k = 0; k < row.more_keys; k++) {
                const int2 range = row.ranges[(k * R + i) * int(blockDim.x)];
                keep = keep & is_in_range(row.keys[k * row.key_stride + q], range.x, range.y);
            }
        }
        if (keep) {
            add(a, proposal, d[i], p.weight[i], p.value[i]);
            if (COUNT)
                p.count[i] += 1;
        }
    }
}

// Columns of the window that are added at once: four where nothing is counted, since that is what a prediction waits
// for.
template <bool COUNT>
constexpr int UNROLLED = COUNT ? 1 : 4;

// Adds a row of samples to the subtotals of the pixels first..=last.
template <int R, bool STRICT, bool COUNT, bool MANY_KEYS, class V>
__device__ __forceinline__ void add_row(const SlabRow<V> &row, int side, int first, int last, Pixels<R> &p) {
    constexpr int AT_ONCE = UNROLLED<COUNT>;
    int q = 0;
    if (first == 0 && last == R - 1) {
#pragma unroll 1
        for (; q + AT_ONCE <= side; q += AT_ONCE) {
#pragma unroll
            for (int k = 0; k < AT_ONCE; k++)
                add_sample<R, STRICT, COUNT, MANY_KEYS, false>(row, q + k, first, last, p);
        }
    }
    // rows that do not serve all pixels, and the columns that are left
#pragma unroll 1
    for (; q < side; q++)
        add_sample<R, STRICT, COUNT, MANY_KEYS, true>(row, q, first, last, p);
}

// The window loop; see the head of the file. Shared memory, in this order: distances, R for each column of the window
// and row of the slab; samples, then proposals, then each plane of further keys, for each column of the block with its
// rim and row of the slab; ranges of further keys for each thread and pixel.
template <int R, bool STRICT, bool COUNT, bool MANY_KEYS, class V>
__device__ __forceinline__ void window(const Window &w, const V *proposals, const StarfmTile &t) {
    const int threads = int(blockDim.x), thread = int(threadIdx.x);
    const int first_col = int(blockIdx.x) * threads, col = first_col + thread;
    const int first_row = int(blockIdx.y) * R, band = int(blockIdx.z);
    const int side = 2 * t.half + 1, span = threads + 2 * t.half;
    const int rows_here = min(R, t.out_rows - first_row);
    const int more_keys = MANY_KEYS ? t.more_keys : 0;

    float *slab_distances = dynamic_shared<float>();
    int4 *slab_samples = reinterpret_cast<int4 *>(slab_distances + w.slab_rows * side * R);
    V *slab_proposals = reinterpret_cast<V *>(slab_samples + w.slab_rows * span);
    int2 *key_ranges = reinterpret_cast<int2 *>(slab_proposals + (w.slab_rows * span + 1) / 2 * 2);
    int *slab_keys = reinterpret_cast<int *>(key_ranges + more_keys * R * threads);

    Pixels<R> p;
    float total_weight[R], total_value[R];
    // pixels beyond the output are in no range; they read what their neighbours do
    const long long out = band * out_pixels(t) + (long long)first_row * t.out_cols + min(col, t.out_cols - 1);
#pragma unroll
    for (int i = 0; i < R; i++) {
        const bool inside = i < rows_here && col < t.out_cols;
        const long long at = out + (long long)min(i, rows_here - 1) * t.out_cols;
        const int2 range = w.ranges[at], none = no_range();
        const float2 bound = w.bounds[at];
        p.low[i] = inside ? range.x : none.x;
        p.least[i] = inside ? range.y : none.y;
        p.bound_s[i] = bound.x;
        p.bound_t[i] = bound.y;
        total_weight[i] = total_value[i] = 0.0f;
        p.count[i] = 0;
#pragma unroll 1
        for (int k = 0; k < more_keys; k++) {
            const long long plane = (t.bands + k) * out_pixels(t) + (long long)(first_row + i) * t.out_cols + col;
            key_ranges[(k * R + i) * threads + thread] = inside ? w.ranges[plane] : no_range();
        }
    }

    if (w.pair) {
#pragma unroll
        for (int i = 0; i < R; i++) {
            const long long at = out + (long long)min(i, rows_here - 1) * t.out_cols;
            const float2 total = w.totals[at];
            total_weight[i] = total.x;
            total_value[i] = total.y;
            if (COUNT)
                p.count[i] = w.counts[at];
        }
    }

    // sample rows count from the top of the window of the first pixel; those outside the padded tile are left out
    const int top = t.row_offset + first_row - t.half, left = t.col_offset + first_col - t.half;
    const int begin = max(0, -top), end = min(rows_here + 2 * t.half, t.rows - top);
    for (int slab = begin; slab < end; slab += w.slab_rows) {
        const int slab_end = min(slab + w.slab_rows, end);
        __syncthreads();
#pragma unroll 1
        for (int r = slab; r < slab_end; r++) {
            const long long line = band * pixels(t) + (long long)(top + r) * t.cols;
#pragma unroll 1
            for (int c = thread; c < span; c += threads) {
                const int to = (r - slab) * span + c, from = left + c;
                const bool inside = from >= 0 && from < t.cols;
                slab_samples[to] = inside ? w.samples[line + from] : make_int4(STF_KEY_OF_NAN, 0, 0, 0);
                slab_proposals[to] = inside ? proposals[line + from] : V{};
#pragma unroll 1
                for (int k = 0; k < more_keys; k++)
                    slab_keys[k * w.slab_rows * span + to] =
                        inside ? w.keys[k * pixels(t) + (long long)(top + r) * t.cols + from] : STF_KEY_OF_NAN;
            }
#pragma unroll 1
            for (int c = thread; c < side * R; c += threads) {
                const int window_row = r - c % R;
                slab_distances[(r - slab) * side * R + c] =
                    window_row >= 0 && window_row < side ? w.inverse_distances[window_row * side + c / R] : 0.0f;
            }
        }
        __syncthreads();
#pragma unroll 1
        for (int r = slab; r < slab_end; r++) {
            const int first = max(0, r - 2 * t.half), last = min(rows_here - 1, r);
            const int at = (r - slab) * span + thread;
            const SlabRow<V> row = {slab_samples + at, slab_proposals + at, slab_distances + (r - slab) * side * R,
                                    slab_keys + at,    w.slab_rows * span,  key_ranges + thread,
                                    more_keys};
#pragma unroll
            for (int i = 0; i < R; i++)
                p.weight[i] = p.value[i] = 0.0f;
            add_row<R, STRICT, COUNT, MANY_KEYS>(row, side, first, last, p);
#pragma unroll
            for (int i = 0; i < R; i++) {
                total_weight[i] += p.weight[i];
                total_value[i] += p.value[i];
            }
        }
    }

    if (col >= t.out_cols)
        return;
#pragma unroll
    for (int i = 0; i < R; i++) {
        if (i >= rows_here)
            break;
        const long long to = out + (long long)i * t.out_cols;
        w.totals[to] = make_float2(total_weight[i], total_value[i]);
        if (COUNT)
            w.counts[to] = p.count[i];
    }
}

} // namespace

// The window kernels: a name for each kind. `totals` (weights, weighted proposals) and `counts` (candidates) are set
// for the first pair and added to for the others.
#define STARFM_WINDOW(name, rows, strict, count, many_keys, V)                                                         \
    extern "C" __global__ void __launch_bounds__(256, 2)                                                               \
        name(const int4 *samples, const V *proposals, const int *keys, const int2 *ranges, const float2 *bounds,       \
             const float *inverse_distances, float2 *totals, int *counts, StarfmTile t, int pair, int slab_rows) {     \
        const Window w = {samples, keys, ranges, bounds, inverse_distances, totals, counts, pair, slab_rows};          \
        window<rows, strict, count, many_keys>(w, proposals, t);                                                       \
    }

STARFM_WINDOW(starfm_window_strict, ROWS, true, false, false, float)
STARFM_WINDOW(starfm_window_strict_count, ROWS, true, true, false, float)
STARFM_WINDOW(starfm_window_strict_within, ROWS, true, false, false, float2)
STARFM_WINDOW(starfm_window_strict_within_count, ROWS, true, true, false, float2)
STARFM_WINDOW(starfm_window_loose, ROWS, false, false, false, float)
STARFM_WINDOW(starfm_window_loose_count, ROWS, false, true, false, float)
STARFM_WINDOW(starfm_window_loose_within, ROWS, false, false, false, float2)
STARFM_WINDOW(starfm_window_loose_within_count, ROWS, false, true, false, float2)
STARFM_WINDOW(starfm_window_strict_many_keys, ROWS_MANY_KEYS, true, true, true, float2)
STARFM_WINDOW(starfm_window_loose_many_keys, ROWS_MANY_KEYS, false, true, true, float2)

// The prediction from the totals (equation 5), and what stands in where there are none; NaN where nothing can be
// predicted.
extern "C" __global__ void starfm_finish(const float *images, const float2 *totals, float *prediction, StarfmTile t) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y), band = int(blockIdx.z);
    if (col >= t.out_cols || row >= t.out_rows)
        return;
    const long long at = centre_of(t, row, col);
    const long long to = band * out_pixels(t) + (long long)row * t.out_cols + col;
    const float target = images[band * pixels(t) + at];
    int pairs = 0, unchanged = 0;
    double increments = 0.0, copies = 0.0;
    bool agrees = false;
    for (int k = 0; k < t.pairs; k++) {
        const float fine = fine_band(images, t, k, band)[at];
        const Differences d = differences_of(fine, coarse_band(images, t, k, band)[at], target);
        if (!d.valid)
            continue;
        pairs++;
        increments += double(d.proposal);
        agrees |= d.s == 0.0f;
        if (d.t == 0.0f) {
            unchanged++;
            copies += double(fine);
        }
    }
    const float2 total = totals[to];
    const float mean = total.y / total.x;
    float value = STF_NAN;
    if (pairs == 0) {
    } else if (unchanged > 0 && t.zero_difference > 0) {
        value = float(copies / double(unchanged));
    } else if (agrees && t.zero_difference > 1) {
        value = target;
    } else if (total.x > 0.0f && is_number(mean)) {
        value = mean;
    } else {
        value = float(increments / double(pairs));
    }
    prediction[to] = is_number(value) ? value : STF_NAN;
}

// The support: candidates in the band that has fewest, and the part of the samples inside the scene that counts.
extern "C" __global__ void starfm_support(const float *prediction, const int *counts, const int *valid, float *fewest,
                                          float *fraction, StarfmTile t) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= t.out_cols || row >= t.out_rows)
        return;
    const int r = t.scene_row + row, c = t.scene_col + col;
    const int rows_inside = min(r + t.half + 1, t.scene_rows) - max(r - t.half, 0);
    const int cols_inside = min(c + t.half + 1, t.scene_cols) - max(c - t.half, 0);
    const double samples = double((long long)rows_inside * cols_inside * t.pairs * t.bands);
    const long long to = (long long)row * t.out_cols + col;
    float least = 0.0f, part = 0.0f;
    for (int band = 0; band < t.bands; band++) {
        const long long at = band * out_pixels(t) + to;
        const float candidates = prediction[at] == prediction[at] ? float(counts[at]) : 0.0f;
        const float more = float(double(valid[at]) / samples);
        least = band == 0 || candidates < least ? candidates : least;
        part = band == 0 ? more : part + more;
    }
    fewest[to] = least;
    fraction[to] = part;
}
