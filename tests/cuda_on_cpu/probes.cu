// Kernels that do wrong on purpose, and some that do not: the shim is tried with them. Never compiled for a GPU.

#include "blocks/launch.cuh"

// Every thread writes its number; with `beyond` > 0 the last one also behind the end.
extern "C" __global__ void probe_write(int *to, int count, int beyond) {
    const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < count + beyond)
        to[i] = i;
}

// Hands each value to the neighbour through shared memory; a thread that is left out hands nothing.
extern "C" __global__ void probe_shared(float *to, int left_out) {
    __shared__ float values[64];
    float *more = dynamic_shared<float>();
    const int i = int(threadIdx.x), n = int(blockDim.x);
    if (i != left_out) {
        values[i] = float(i);
        more[i] = 100.0f * float(i);
    }
    __syncthreads();
    const int j = (i + 1) % n;
    to[int(blockIdx.x) * n + i] = values[j] + more[j];
}

// Writes behind the dynamic shared memory.
extern "C" __global__ void probe_shared_overrun(int bytes) {
    unsigned char *shared = dynamic_shared<unsigned char>();
    if (threadIdx.x == 0)
        shared[bytes] = 1;
}

// A barrier that half of the threads never reach.
extern "C" __global__ void probe_divergence(int *to) {
    if (threadIdx.x % 2) {
        __syncthreads();
    }
    to[threadIdx.x] = 1;
}

// Numbers the threads in the order in which they run: a race, on purpose.
extern "C" __global__ void probe_order(int *next, int *to) {
    to[blockIdx.x * blockDim.x + threadIdx.x] = next[0];
    next[0] += 1;
}

// Sum over each warp by shuffles, and the votes for an odd number.
extern "C" __global__ void probe_warp(int *sums, unsigned *votes) {
    int sum = int(threadIdx.x);
    for (int by = 16; by > 0; by /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, by);
    const unsigned odd = __ballot_sync(0xffffffffu, threadIdx.x % 2 == 1);
    sums[threadIdx.x] = sum;
    votes[threadIdx.x] = odd;
}

struct ProbeParameters {
    double wide;
    int whole;
};

// A structure by value, and every kind of number.
extern "C" __global__ void __launch_bounds__(32) probe_parameters(double *to, ProbeParameters p, long long l, float f) {
    if (threadIdx.x == 0) {
        to[0] = p.wide;
        to[1] = p.whole;
        to[2] = double(l);
        to[3] = f;
    }
}
