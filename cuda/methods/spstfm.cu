// SPSTFM (Huang and Song 2012): the coarse change of every patch as a sum of few atoms of a coarse dictionary (equation
// 8), the same sum of fine atoms as its fine change (equations 10 and 11), the predictions from both pairs weighed
// (equations 12 to 14), overlapping patches averaged. The meaning is that of native/methods/src/spstfm: the same
// operations in double precision in the same order, so the same bits. The dictionaries come from the CPU, which learns
// them once for the scene.
//
//   spstfm_built_up     whether a pixel became or ceased to be built-up, if the pairs are weighed so  a thread: a pixel
//   spstfm_patches      weights, means that fill gaps, valid part, and which sides must be coded      a thread: a patch
//   spstfm_code_{256,1024}   sparse codes and the fine changes they stand for                         a warp: a code
//   spstfm_combine      the mean over the patches of a pixel                                          a thread: a pixel
//
// Launch shape: x columns (of pixels or of patches), y rows, z bands where a thread serves one. Codes: any number of
// blocks of 2 to 8 whole warps; a block takes CODES places of codes at once, lists those that are needed, and codes
// them, one in each warp.
//
// Codes. The block multiplies the atoms with the signals of its warps, so that the dictionary is read once for them
// all. Then each warp follows the path of its code alone, with the correlations of atom k and its rate in registers of
// lane k % 32 (at most 256 or 1024 atoms), and active atoms in shared memory, with the first KEPT_ROWS rows of the
// factor; further rows lie in global memory. Sums whose order decides run from the first to the last term: the
// solutions of triangular systems column by column, the rates atom by atom. Of a division for each atom and corner, one
// for each lane is left: quotients are compared by their products, exactly where these are close.
//
// Count, for 49 pixels, 256 atoms and 10 corners with 5 atoms in the mean: 25,000 operations in double precision for
// the products, 2,600 for the rates of a corner and 2,600 for its steps: 77,000 for a code, 3,000 a pixel, band and
// side with the default overlap. Bytes of the L2 cache for a code: 13 KB of the dictionary (eight warps), and 10 KB of
// the Gram matrix for each corner, less what L1 still holds of the rows of active atoms.
//
// Shared memory of a block of codes: 272 bytes, and for each warp the signal, KEPT_NUMBERS numbers, and 36 bytes for
// each atom that can be active: 37 KB for 8 warps and 49 pixels.

#include "blocks/launch.cuh"
#include "blocks/numbers.cuh"

// A tile; as in native/methods/src/spstfm/cuda.rs.
struct SpstfmTile {
    // rules: the part of the largest correlation at which a code ends, and by how much relative changes may differ
    double sparsity, threshold;
    // numbers of the factor of a warp that lie in global memory
    long long far_numbers;
    // pixels of the padded tile, and where it begins in the scene
    int rows, cols, row, col;
    // pixels to compute, and where they begin in the scene
    int out_rows, out_cols, out_row, out_col;
    int scene_rows, scene_cols, bands;
    // side of a patch, distance to the next, and pixels by which the first ones begin before the scene
    int patch, stride, lead_rows, lead_cols;
    // patches that touch the pixels to compute, and the first of them
    int grid_rows, grid_cols, grid_row, grid_col;
    // atoms that can be active at once, a multiple of 2
    int most;
    // 0: not, 1: partly, 2: least squares
    int debias;
    // 0: by change, 1: by built-up area, 2: alike; bands of red, near and shortwave infrared
    int weigh, red, near_infrared, short_infrared;
    int unused;
};

// What was learned of a band, and where its numbers lie: the value of every atom at a pixel, one pixel after the other;
// the Gram matrix; the fine atoms. No atoms: nothing was learned.
struct SpstfmBand {
    double fine_scale, coarse_scale, largest_change;
    long long rows, gram, fine;
    int atoms, unused;
};

// What is known of a patch before it is coded; two numbers are of the pair before and the pair after.
struct SpstfmPatch {
    double weight[2];
    // of the scaled change: what gaps become
    double mean[2];
    double valid;
    // bit s: side s must be coded
    int coded, unused;
};

namespace {

// Rows of the factor in shared memory, and their numbers.
constexpr int KEPT_ROWS = 24, KEPT_NUMBERS = KEPT_ROWS * (KEPT_ROWS + 1) / 2;
// Atoms whose products with the signals a block computes at once; at most KEPT_NUMBERS.
constexpr int ATOMS_AT_ONCE = 256;
// Places of codes that a block looks through at once.
constexpr int CODES = 64;
// Most warps of a block.
constexpr int WARPS = 8;

// As in native/methods/src/spstfm/sparse_code.rs.
constexpr double COLLINEAR = 1e-10, DEBIASED = 0.1;
constexpr int CORNERS_PER_PIXEL = 8;

// Products that differ by a larger part order quotients as the quotients themselves, rounded, are ordered.
constexpr double CLOSE = 1e-14;

// A step that no atom needs.
constexpr double NEVER = 1e300;

constexpr float NOTHING_LEARNED = 6.0f;

// Images of the tile, one behind the other.
enum Layer { TARGET = 0, FINE = 1, COARSE = 2, LAYERS_OF_A_SIDE = 2 };

__device__ __forceinline__ long long pixels(const SpstfmTile &t) { return (long long)t.rows * t.cols; }

__device__ __forceinline__ const float *image(const float *images, const SpstfmTile &t, int layer, int side, int band) {
    return images + ((long long)(layer + side * LAYERS_OF_A_SIDE) * t.bands + band) * pixels(t);
}

__device__ __forceinline__ long long patches(const SpstfmTile &t) { return (long long)t.grid_rows * t.grid_cols; }

// First row (column) of a patch in the scene, by its number among those of the tile.
__device__ __forceinline__ int first_row(const SpstfmTile &t, int i) {
    return (t.grid_row + i) * t.stride - t.lead_rows;
}
__device__ __forceinline__ int first_col(const SpstfmTile &t, int j) {
    return (t.grid_col + j) * t.stride - t.lead_cols;
}

// Whether a pixel is built-up: 1 or 0, or -1 where that is not known.
__device__ __forceinline__ int built_up(double red, double near, double short_wave) {
    const double index = (short_wave - near) / (short_wave + near) - (near - red) / (near + red);
    return index != index ? -1 : index > 0.0;
}

// Weight of the pair before from the relative changes of both, which are NaN where nothing of a side is valid; the
// other has `other`.
__device__ __forceinline__ double weigh(double before, double after, double threshold, double &other) {
    other = 0.0;
    if (after != after && before == before)
        return 1.0;
    other = 1.0;
    if (before != before)
        return 0.0;
    if (before == after) {
        other = 0.5;
        return 0.5;
    }
    if (before == 0.0 || after == 0.0 || fabs(before - after) > threshold) {
        other = before < after ? 0.0 : 1.0;
        return 1.0 - other;
    }
    other = before / (before + after);
    return after / (before + after);
}

// A number and where it was found.
struct Found {
    double value;
    int at;
};

// The smallest value of the warp, and of several the one with the lowest place.
__device__ __forceinline__ Found least_of_warp(Found own) {
    for (int by = 16; by > 0; by /= 2) {
        const double value = __shfl_xor_sync(0xffffffffu, own.value, by);
        const int at = __shfl_xor_sync(0xffffffffu, own.at, by);
        if (value < own.value || (value == own.value && at < own.at))
            own = {value, at};
    }
    return own;
}

// A code at work: what a warp has in shared memory.
struct Work {
    double *signal;
    // rows of the Cholesky factor of the Gram matrix of the active atoms, packed: the first KEPT_ROWS, and the others
    double *near, *far;
    double *sign, *coefficient, *direction;
    // what solves `L x = sign`
    double *forward;
    int *atoms;

    __device__ double *row(int i) const {
        const int begin = i * (i + 1) / 2;
        return i < KEPT_ROWS ? near + begin : far + (begin - KEPT_NUMBERS);
    }
};

// Solves `L x = b` in place for `count` rows of the factor, column by column.
__device__ __forceinline__ void solve_forward(const Work &w, double *x, int count, int lane) {
    double before = 0.0;
#pragma unroll 1
    for (int i = 0; i < count; i++) {
        const double v = x[i] / w.row(i)[i];
        // one step late: now nobody reads it
        if (lane == 0 && i > 0)
            x[i - 1] = before;
#pragma unroll 1
        for (int k = i + 1 + lane; k < count; k += 32)
            x[k] -= w.row(k)[i] * v;
        before = v;
        __syncwarp();
    }
    if (lane == 0 && count > 0)
        x[count - 1] = before;
    __syncwarp();
}

// Solves `L^T x = b` in place.
__device__ __forceinline__ void solve_back(const Work &w, double *x, int count, int lane) {
    double before = 0.0;
#pragma unroll 1
    for (int i = count - 1; i >= 0; i--) {
        const double *row = w.row(i);
        const double v = x[i] / row[i];
        if (lane == 0 && i < count - 1)
            x[i + 1] = before;
#pragma unroll 1
        for (int j = lane; j < i; j += 32)
            x[j] -= row[j] * v;
        before = v;
        __syncwarp();
    }
    if (lane == 0 && count > 0)
        x[0] = before;
    __syncwarp();
}

// Writes row `place` of the factor, and its number of `forward`; false where the row has no length, as its atom lies in
// the span of those before.
__device__ __forceinline__ bool extend_factor(const Work &w, const double *gram, int atoms, int place, int lane) {
    double *row = w.row(place);
    const double *products = gram + (long long)w.atoms[place] * atoms;
#pragma unroll 1
    for (int i = lane; i < place; i += 32)
        row[i] = products[w.atoms[i]];
    __syncwarp();
    solve_forward(w, row, place, lane);
    const double square = products[w.atoms[place]];
    double rest = square, sum = w.sign[place];
#pragma unroll 1
    for (int i = 0; i < place; i++) {
        rest -= row[i] * row[i];
        sum -= row[i] * w.forward[i];
    }
    const double length = sqrt(rest > 0.0 ? rest : 0.0);
    if (lane == 0) {
        row[place] = length;
        w.forward[place] = sum / length;
    }
    __syncwarp();
    return rest > COLLINEAR * square;
}

// Takes the number at `place` out of `count`.
template <class T>
__device__ __forceinline__ void take_out(T *values, int place, int count, int lane) {
#pragma unroll 1
    for (int begin = place; begin < count - 1; begin += 32) {
        const int i = begin + lane;
        const T next = i < count - 1 ? values[i + 1] : T(0);
        __syncwarp();
        if (i < count - 1)
            values[i] = next;
        __syncwarp();
    }
}

// The sum over active atoms of what `atom` has of each, times `x`.
__device__ __forceinline__ double gram_product(const Work &w, const double *gram, int atoms, int atom, const double *x,
                                               int count) {
    double sum = -0.0;
#pragma unroll 1
    for (int j = 0; j < count; j++)
        sum += gram[(long long)atom * atoms + w.atoms[j]] * x[j];
    return sum;
}

__device__ __forceinline__ double dot(const double *a, const double *b, int count) {
    double sum = -0.0;
#pragma unroll 1
    for (int i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

// What the signal has of an atom.
__device__ __forceinline__ double part_of_signal(const Work &w, const double *rows, int atoms, int atom, int pixels) {
    double sum = 0.0;
#pragma unroll 1
    for (int p = 0; p < pixels; p++)
        sum += w.signal[p] * rows[(long long)p * atoms + atom];
    return sum;
}

// Conjugate gradients towards the least squares on the active atoms. `sign` and `forward` are lost.
__device__ __forceinline__ void descend(const Work &w, const double *rows, const double *gram, int atoms, int pixels,
                                        int count, int lane) {
    double *residual = w.forward, *moved = w.sign;
#pragma unroll 1
    for (int i = lane; i < count; i += 32) {
        const double part = part_of_signal(w, rows, atoms, w.atoms[i], pixels);
        residual[i] = part - gram_product(w, gram, atoms, w.atoms[i], w.coefficient, count);
        w.direction[i] = residual[i];
    }
    __syncwarp();
    double square = dot(residual, residual, count);
    const double goal = DEBIASED * square;
#pragma unroll 1
    for (int turn = 0; turn < count && square > goal; turn++) {
#pragma unroll 1
        for (int i = lane; i < count; i += 32)
            moved[i] = gram_product(w, gram, atoms, w.atoms[i], w.direction, count);
        __syncwarp();
        const double curvature = dot(w.direction, moved, count);
        if (curvature <= 0.0)
            break;
        const double step = square / curvature;
#pragma unroll 1
        for (int i = lane; i < count; i += 32) {
            w.coefficient[i] += step * w.direction[i];
            residual[i] -= step * moved[i];
        }
        __syncwarp();
        const double next = dot(residual, residual, count), part = next / square;
#pragma unroll 1
        for (int i = lane; i < count; i += 32)
            w.direction[i] = residual[i] + part * w.direction[i];
        __syncwarp();
        square = next;
    }
}

// Follows the path of a code from the products `c` of signal and atoms, and returns how many atoms are active in the
// end.
template <int OF_LANE>
__device__ __forceinline__ int follow(const Work &w, const double *gram, int atoms, int pixels, double sparsity,
                                      double (&c)[OF_LANE], int lane) {
    Found first = {1.0, 0};
#pragma unroll
    for (int s = 0; s < OF_LANE; s++)
        if (s * 32 + lane < atoms && -fabs(c[s]) < first.value)
            first = {-fabs(c[s]), s * 32 + lane};
    first = least_of_warp(first);
    double lambda = -first.value;
    if (!(lambda > 0.0 && lambda < double(STF_INFINITY)))
        return 0;
    const double tau = sparsity * lambda;
    double correlation = 0.0;
#pragma unroll
    for (int s = 0; s < OF_LANE; s++)
        correlation = s * 32 + lane == first.at ? c[s] : correlation;

    int count = 0, joining = first.at, dropped = -1, anew = 0;
    double dropped_sign = 0.0;
    unsigned barred = 0;
#pragma unroll 1
    for (int corner = 0;; corner++) {
        // the atom that joins comes last; rows from `anew` on are not those of the active atoms
        const bool joins = joining >= 0 && count < pixels;
        if (joining >= 0) {
            correlation = __shfl_sync(0xffffffffu, correlation, joining % 32);
            if (joining % 32 == lane)
                barred |= 1u << (joining / 32);
            if (joins && lane == 0) {
                w.atoms[count] = joining;
                w.sign[count] = correlation < 0.0 ? -1.0 : 1.0;
                w.coefficient[count] = 0.0;
            }
            __syncwarp();
        }
        bool independent = true;
#pragma unroll 1
        for (int i = anew; i < count + joins; i++)
            independent = extend_factor(w, gram, atoms, i, lane);
        // an atom in the span of the others stays out, and is not offered again
        count += joins && independent;
        anew = count;
        if (corner == CORNERS_PER_PIXEL * pixels || count == 0)
            return count;

#pragma unroll 1
        for (int i = lane; i < count; i += 32)
            w.direction[i] = w.forward[i];
        __syncwarp();
        solve_back(w, w.direction, count, lane);
        double rate[OF_LANE];
#pragma unroll
        for (int s = 0; s < OF_LANE; s++)
            rate[s] = 0.0;
#pragma unroll 1
        for (int i = 0; i < count; i++) {
            const double d = w.direction[i];
            const double *products = gram + (long long)w.atoms[i] * atoms + lane;
#pragma unroll
            for (int s = 0; s < OF_LANE; s++)
                if (s * 32 + lane < atoms)
                    rate[s] += d * products[s * 32];
        }

        // the atom outside that reaches lambda first: the smallest of distance / speed, compared by products
        double distance = NEVER, speed = 1.0;
        int at = 0;
#pragma unroll
        for (int s = 0; s < OF_LANE; s++) {
            const int k = s * 32 + lane;
            const bool above = k == dropped ? dropped_sign < 0.0 : c[s] > lambda * rate[s];
            double n = above ? lambda - c[s] : lambda + c[s];
            const double d = above ? 1.0 - rate[s] : 1.0 + rate[s];
            n = n > 0.0 || k == dropped ? n : 0.0;
            if (k < atoms && (barred >> s & 1) == 0 && d > 0.0) {
                const double mine = n * speed, best = distance * d;
                const bool apart = fabs(mine - best) > CLOSE * best;
                if (apart ? mine < best : n / d < distance / speed) {
                    distance = n;
                    speed = d;
                    at = k;
                }
            }
        }
        const Found join = least_of_warp({distance / speed, at});

        // the active atom whose coefficient reaches 0 first
        Found leave = {double(STF_INFINITY), 0};
#pragma unroll 1
        for (int i = lane; i < count; i += 32) {
            const double a = w.coefficient[i], d = w.direction[i], step = -a / d;
            if (a * d < 0.0 && step < leave.value)
                leave = {step, i};
        }
        leave = least_of_warp(leave);

        const double end = lambda - tau;
        double step = join.value < leave.value ? join.value : leave.value;
        step = step < end ? step : end;
#pragma unroll 1
        for (int i = lane; i < count; i += 32)
            w.coefficient[i] += step * w.direction[i];
        __syncwarp();
        if (step >= end)
            return count;
#pragma unroll
        for (int s = 0; s < OF_LANE; s++) {
            c[s] -= step * rate[s];
            correlation = s * 32 + lane == join.at ? c[s] : correlation;
        }
        lambda -= step;
        dropped = -1;
        joining = join.at;
        if (leave.value <= join.value) {
            joining = -1;
            dropped = w.atoms[leave.at];
            dropped_sign = w.sign[leave.at];
            __syncwarp();
            take_out(w.atoms, leave.at, count, lane);
            take_out(w.sign, leave.at, count, lane);
            take_out(w.coefficient, leave.at, count, lane);
            count--;
            anew = leave.at;
            // atoms that lay in the span of the others are offered again
            barred = 0;
#pragma unroll 1
            for (int i = 0; i < count; i++)
                if (w.atoms[i] % 32 == lane)
                    barred |= 1u << (w.atoms[i] / 32);
        }
    }
}

// Products of the atoms with the signals of all warps of the block; a warp gets those of its own. The signals must be
// there for all. Signals are `region` numbers apart, and so is what the warps pass through.
template <int OF_LANE>
__device__ __forceinline__ void products(const double *rows, int atoms, int pixels, const double *signals, double *pass,
                                         int region, int warps, int warp, int lane, double (&c)[OF_LANE]) {
#pragma unroll 1
    for (int begin = 0; begin < atoms; begin += ATOMS_AT_ONCE) {
        const int end = min(begin + ATOMS_AT_ONCE, atoms);
#pragma unroll 1
        for (int k = begin + int(threadIdx.x); k < end; k += int(blockDim.x)) {
            double sums[WARPS];
#pragma unroll
            for (int j = 0; j < WARPS; j++)
                sums[j] = 0.0;
#pragma unroll 1
            for (int p = 0; p < pixels; p++) {
                const double value = rows[(long long)p * atoms + k];
#pragma unroll
                for (int j = 0; j < WARPS; j++)
                    if (j < warps)
                        sums[j] += signals[j * region + p] * value;
            }
#pragma unroll
            for (int j = 0; j < WARPS; j++)
                if (j < warps)
                    pass[j * region + k - begin] = sums[j];
        }
        __syncthreads();
#pragma unroll
        for (int s = 0; s < OF_LANE; s++)
            if (s / (ATOMS_AT_ONCE / 32) == begin / ATOMS_AT_ONCE && s * 32 + lane < atoms)
                c[s] = pass[warp * region + s * 32 + lane - begin];
        __syncthreads();
    }
}

// Codes what must be coded, and sets `predicted` of it: the fine change of every pixel of the patch.
template <int OF_LANE>
__device__ __forceinline__ void code(const float *images, const SpstfmBand *bands, const double *numbers,
                                     const SpstfmPatch *known, double *predicted, double *scratch,
                                     const SpstfmTile &t) {
    const int warps = int(blockDim.x) / 32, warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
    const int pixels = t.patch * t.patch, region = pixels + KEPT_NUMBERS + 4 * t.most + t.most / 2;
    int *list = dynamic_shared<int>(), *counts = list + CODES;
    double *regions = reinterpret_cast<double *>(counts + 4);

    Work w;
    w.signal = regions + warp * region;
    w.near = w.signal + pixels;
    w.sign = w.near + KEPT_NUMBERS;
    w.coefficient = w.sign + t.most;
    w.direction = w.coefficient + t.most;
    w.forward = w.direction + t.most;
    w.atoms = reinterpret_cast<int *>(w.forward + t.most);
    w.far = scratch + ((long long)blockIdx.x * warps + warp) * t.far_numbers;

    const long long places = 2 * patches(t), parts = (places + CODES - 1) / CODES;
#pragma unroll 1
    for (long long part = blockIdx.x; part < parts * t.bands; part += gridDim.x) {
        const int band = int(part / parts);
        const SpstfmBand &learned = bands[band];
        const int atoms = learned.atoms;
        if (atoms == 0)
            continue;
        const double *rows = numbers + learned.rows, *gram = numbers + learned.gram, *fine = numbers + learned.fine;

        // the places that must be coded, in their order
        const int place = int(part % parts) * CODES + int(threadIdx.x);
        bool wanted = false;
        if (int(threadIdx.x) < CODES && place < places)
            wanted = (known[band * patches(t) + place / 2].coded >> (place % 2) & 1) != 0;
        const unsigned votes = __ballot_sync(0xffffffffu, wanted);
        if (lane == 0 && warp < CODES / 32)
            counts[warp] = __popc(votes);
        __syncthreads();
        if (wanted)
            list[(warp == 0 ? 0 : counts[0]) + __popc(votes & ((1u << lane) - 1))] = place;
        __syncthreads();
        const int codes = counts[0] + counts[1];

#pragma unroll 1
        for (int first = 0; first < codes; first += warps) {
            const int mine = first + warp < codes ? list[first + warp] : -1;
            const int side = mine & 1;
            const SpstfmPatch *patch = known + band * patches(t) + max(mine, 0) / 2;
            const int i = max(mine, 0) / 2 / t.grid_cols, j = max(mine, 0) / 2 % t.grid_cols;
            const int r0 = first_row(t, i) - t.row, c0 = first_col(t, j) - t.col;
            const float *now = image(images, t, TARGET, 0, band), *then = image(images, t, COARSE, side, band);
#pragma unroll 1
            for (int p = lane; p < pixels; p += 32) {
                const int r = r0 + p / t.patch, c = c0 + p % t.patch;
                double value = double(STF_NAN);
                if (mine >= 0 && r >= 0 && r < t.rows && c >= 0 && c < t.cols) {
                    const long long at = (long long)r * t.cols + c;
                    value = (double(now[at]) - double(then[at])) / learned.coarse_scale;
                }
                w.signal[p] = mine < 0 ? 0.0 : value != value ? patch->mean[side] : value;
            }
            __syncthreads();
            double c[OF_LANE];
#pragma unroll
            for (int s = 0; s < OF_LANE; s++)
                c[s] = 0.0;
            products(rows, atoms, pixels, regions, regions + pixels, region, warps, warp, lane, c);
            if (mine < 0)
                continue;

            const int count = follow(w, gram, atoms, pixels, t.sparsity, c, lane);
            if (t.debias == 1)
                descend(w, rows, gram, atoms, pixels, count, lane);
            if (t.debias == 2) {
#pragma unroll 1
                for (int a = lane; a < count; a += 32)
                    w.coefficient[a] = part_of_signal(w, rows, atoms, w.atoms[a], pixels);
                __syncwarp();
                solve_forward(w, w.coefficient, count, lane);
                solve_back(w, w.coefficient, count, lane);
            }
            double *to = predicted + (band * places + mine) * pixels;
#pragma unroll 1
            for (int p = lane; p < pixels; p += 32) {
                double sum = 0.0;
#pragma unroll 1
                for (int a = 0; a < count; a++)
                    sum += w.coefficient[a] * learned.fine_scale * fine[(long long)w.atoms[a] * pixels + p];
                to[p] = sum;
            }
            __syncwarp();
        }
        // the list is used by all until here
        __syncthreads();
    }
}

} // namespace

// Whether a pixel of the padded tile became or ceased to be built-up between either pair and the target: 0 where that
// is not known, 1 where not, 2 where so. `changed` holds a layer for each pair.
extern "C" __global__ void spstfm_built_up(const float *images, unsigned char *changed, SpstfmTile t) {
    const int col = int(blockIdx.x * blockDim.x + threadIdx.x), row = int(blockIdx.y);
    if (col >= t.cols || row >= t.rows)
        return;
    const long long at = (long long)row * t.cols + col;
    const int now = built_up(image(images, t, TARGET, 0, t.red)[at], image(images, t, TARGET, 0, t.near_infrared)[at],
                             image(images, t, TARGET, 0, t.short_infrared)[at]);
#pragma unroll 1
    for (int side = 0; side < 2; side++) {
        const int then =
            built_up(image(images, t, COARSE, side, t.red)[at], image(images, t, COARSE, side, t.near_infrared)[at],
                     image(images, t, COARSE, side, t.short_infrared)[at]);
        changed[side * pixels(t) + at] = now < 0 || then < 0 ? 0 : now == then ? 1 : 2;
    }
}

// What is known of every patch of a band before it is coded. `changed` is that of spstfm_built_up, or null.
extern "C" __global__ void spstfm_patches(const float *images, const SpstfmBand *bands, const unsigned char *changed,
                                          SpstfmPatch *known, SpstfmTile t) {
    const int j = int(blockIdx.x * blockDim.x + threadIdx.x), i = int(blockIdx.y), band = int(blockIdx.z);
    if (j >= t.grid_cols || i >= t.grid_rows)
        return;
    const SpstfmBand &learned = bands[band];
    const float *target = image(images, t, TARGET, 0, band);
    int count[2] = {0, 0}, known_pixels[2] = {0, 0}, changed_pixels[2] = {0, 0}, valid_pixels = 0, alone = 0;
    double sum[2] = {0.0, 0.0}, scaled[2] = {0.0, 0.0};
    // inside the scene all pixels of the patch are in the images
    const int r0 = max(first_row(t, i), 0), r1 = min(first_row(t, i) + t.patch, t.scene_rows);
    const int c0 = max(first_col(t, j), 0), c1 = min(first_col(t, j) + t.patch, t.scene_cols);
#pragma unroll 1
    for (int r = r0; r < r1; r++) {
#pragma unroll 1
        for (int c = c0; c < c1; c++) {
            const long long at = (long long)(r - t.row) * t.cols + c - t.col;
            const double now = double(target[at]);
            int valid = 0;
#pragma unroll
            for (int side = 0; side < 2; side++) {
                const double change = now - double(image(images, t, COARSE, side, band)[at]);
                const float fine = image(images, t, FINE, side, band)[at];
                if (change == change) {
                    count[side]++;
                    sum[side] += fabs(change);
                    scaled[side] += change / learned.coarse_scale;
                    valid |= fine == fine ? 1 << side : 0;
                }
                if (changed) {
                    const int what = changed[side * pixels(t) + at];
                    known_pixels[side] += what != 0;
                    changed_pixels[side] += what == 2;
                }
            }
            valid_pixels += __popc(unsigned(valid));
            const bool asked =
                r >= t.out_row && r < t.out_row + t.out_rows && c >= t.out_col && c < t.out_col + t.out_cols;
            if (asked && (valid == 1 || valid == 2))
                alone |= valid;
        }
    }
    double relative[2];
    SpstfmPatch patch;
#pragma unroll
    for (int side = 0; side < 2; side++) {
        patch.mean[side] = count[side] > 0 ? scaled[side] / double(count[side]) : 0.0;
        relative[side] = 0.0;
        if (count[side] == 0)
            relative[side] = double(STF_NAN);
        else if (t.weigh == 0 && learned.largest_change > 0.0)
            relative[side] = sum[side] / double(count[side]) / learned.largest_change;
        else if (t.weigh == 1)
            relative[side] = double(changed_pixels[side]) / double(max(known_pixels[side], 1));
    }
    patch.weight[0] = weigh(relative[0], relative[1], t.threshold, patch.weight[1]);
    patch.valid = double(valid_pixels) / double(2 * (r1 - r0) * (c1 - c0));
    patch.coded = alone | (patch.weight[0] > 0.0 ? 1 : 0) | (patch.weight[1] > 0.0 ? 2 : 0);
    patch.unused = 0;
    known[band * patches(t) + (long long)i * t.grid_cols + j] = patch;
}

// Codes over at most 256 atoms: 8 for each lane.
extern "C" __global__ void __launch_bounds__(256, 2)
    spstfm_code_256(const float *images, const SpstfmBand *bands, const double *numbers, const SpstfmPatch *known,
                    double *predicted, double *scratch, SpstfmTile t) {
    code<8>(images, bands, numbers, known, predicted, scratch, t);
}

// Codes over at most 1024 atoms: 32 for each lane.
extern "C" __global__ void __launch_bounds__(256, 1)
    spstfm_code_1024(const float *images, const SpstfmBand *bands, const double *numbers, const SpstfmPatch *known,
                     double *predicted, double *scratch, SpstfmTile t) {
    code<32>(images, bands, numbers, known, predicted, scratch, t);
}

// The mean over the patches of every pixel to compute. `support` (similar pixels, valid fraction, fallback, one layer
// after the other) may be null.
extern "C" __global__ void spstfm_combine(const float *images, const SpstfmBand *bands, const SpstfmPatch *known,
                                          const double *predicted, float *out, float *support, SpstfmTile t) {
    const int x = int(blockIdx.x * blockDim.x + threadIdx.x), y = int(blockIdx.y);
    if (x >= t.out_cols || y >= t.out_rows)
        return;
    const int row = t.out_row + y, col = t.out_col + x;
    const long long at = (long long)(row - t.row) * t.cols + col - t.col, to = (long long)y * t.out_cols + x;
    const long long layer = (long long)t.out_rows * t.out_cols;
    // patches that hold the pixel
    const int i0 = max((row + t.lead_rows + t.stride - t.patch) / t.stride - t.grid_row, 0);
    const int i1 = min((row + t.lead_rows) / t.stride + 1 - t.grid_row, t.grid_rows);
    const int j0 = max((col + t.lead_cols + t.stride - t.patch) / t.stride - t.grid_col, 0);
    const int j1 = min((col + t.lead_cols) / t.stride + 1 - t.grid_col, t.grid_cols);
    float similar = 1.0f, fraction = 0.0f, fallback = 0.0f;
#pragma unroll 1
    for (int band = 0; band < t.bands; band++) {
        const int atoms = bands[band].atoms;
        double fine[2], change[2];
        bool valid[2];
#pragma unroll
        for (int side = 0; side < 2; side++) {
            const float value = image(images, t, FINE, side, band)[at];
            fine[side] = double(value);
            change[side] =
                double(image(images, t, TARGET, 0, band)[at]) - double(image(images, t, COARSE, side, band)[at]);
            valid[side] = value == value && change[side] == change[side];
        }
        double prediction = 0.0, valid_part = 0.0, count = 0.0;
#pragma unroll 1
        for (int i = i0; i < i1; i++) {
#pragma unroll 1
            for (int j = j0; j < j1; j++) {
                const long long number = band * patches(t) + (long long)i * t.grid_cols + j;
                const SpstfmPatch &patch = known[number];
                const int p = (row - first_row(t, i)) * t.patch + col - first_col(t, j);
                const double *values = predicted + 2 * number * t.patch * t.patch + p;
                const double before = patch.weight[0], after = patch.weight[1];
                const bool first = valid[0] && !(valid[1] && before == 0.0);
                const bool second = valid[1] && !(valid[0] && after == 0.0);
                double one = 0.0, other = 0.0;
                if (first)
                    one = fine[0] + (atoms > 0 ? values[0] : change[0]);
                if (second)
                    other = fine[1] + (atoms > 0 ? values[t.patch * t.patch] : change[1]);
                double value = double(STF_NAN);
                if (first && second)
                    value = before * one + after * other;
                else if (first || second)
                    value = first ? one : other;
                prediction += value;
                valid_part += patch.valid;
                count += 1.0;
            }
        }
        const float value = float(prediction / count);
        const bool is_predicted = is_number(value);
        out[band * layer + to] = is_predicted ? value : STF_NAN;
        if (!is_predicted)
            similar = 0.0f;
        else if (atoms == 0)
            fallback = NOTHING_LEARNED;
        fraction += float(valid_part / count / double(t.bands));
    }
    if (support) {
        support[to] = similar;
        support[layer + to] = fraction;
        support[2 * layer + to] = fallback;
    }
}
