// Makes the kernels of this folder C++17, so that tests run them without a GPU.
//
// Every thread of a block is a fiber (fibers.cpp). Fibers of a block run one after the other until a barrier; a block
// begins when the one before has ended, with its shared memory full of bytes 0xff, which are NaN. Decides nothing about
// speed, and two threads that race without a barrier meet in one of two orders only (forward and reversed).
//
// Known: what the kernels use. Static __shared__ variables stand in functions that are no templates; dynamic shared
// memory comes from dynamic_shared() of blocks/launch.cuh.
#pragma once

#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#include "shim.h"

#define STF_ON_CPU 1
#ifdef STF_MARK_KERNELS // preprocessed only, for the list of kernels
#define __global__ stf_kernel_follows
#else
#define __global__
#endif
#define __device__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("stf_shared")))

struct uint3 {
    unsigned x, y, z;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

namespace stf {

// The thread that runs, and the launch it belongs to.
extern uint3 thread, block, block_size, grid_size;

// Returns when all threads of the block have come to this line.
void block_barrier(int line);
// Returns when all living threads of `mask` of the warp have come to this line.
void warp_barrier(unsigned mask, int line);
// As warp_barrier; returns the lanes that voted yes.
unsigned ballot(unsigned mask, bool vote, int line);
// A value of eight bytes that each lane of the warp shows to the others.
unsigned long long &lane_slot(unsigned lane);
unsigned lane();
void *dynamic_shared();

template <class T>
T shuffle(unsigned mask, T value, unsigned from, int line) {
    static_assert(sizeof(T) <= sizeof(unsigned long long), "shuffled values have at most eight bytes");
    std::memcpy(&lane_slot(lane()), &value, sizeof(T));
    warp_barrier(mask, line);
    T result;
    std::memcpy(&result, &lane_slot(from & 31), sizeof(T));
    warp_barrier(mask, line);
    return result;
}

// A kernel in the table of all kernels.
struct Entry {
    const char *name;
    int parameters;
    const unsigned *sizes;
    void (*run)(void **arguments);
};

template <auto kernel>
struct Unpacked;
template <class... P, void (*kernel)(P...)>
struct Unpacked<kernel> {
    static constexpr unsigned sizes[sizeof...(P) + 1] = {sizeof(P)..., 0};
    template <std::size_t... I>
    static void call(void **arguments, std::index_sequence<I...>) {
        kernel(*static_cast<std::remove_cv_t<P> *>(arguments[I])...);
    }
    static void run(void **arguments) { call(arguments, std::index_sequence_for<P...>()); }
    static Entry entry(const char *name) { return {name, int(sizeof...(P)), sizes, run}; }
};

// Kernels of one source; the build writes these functions and `sources`, which ends with a null.
using Source = const Entry *(*)(int *count);
extern const Source sources[];

} // namespace stf

#define threadIdx (::stf::thread)
#define blockIdx (::stf::block)
#define blockDim (::stf::block_size)
#define gridDim (::stf::grid_size)

#define __syncthreads() ::stf::block_barrier(__LINE__)
#define __syncwarp(...) ::stf::warp_barrier(0xffffffffu, __LINE__)
#define __shfl_sync(mask, value, from) ::stf::shuffle(mask, value, unsigned(from), __LINE__)
#define __shfl_xor_sync(mask, value, by) ::stf::shuffle(mask, value, ::stf::lane() ^ unsigned(by), __LINE__)
#define __shfl_down_sync(mask, value, by)                                                                              \
    ::stf::shuffle(mask, value, ::stf::lane() + unsigned(by) > 31 ? ::stf::lane() : ::stf::lane() + unsigned(by),      \
                   __LINE__)
#define __shfl_up_sync(mask, value, by)                                                                                \
    ::stf::shuffle(mask, value, ::stf::lane() < unsigned(by) ? ::stf::lane() : ::stf::lane() - unsigned(by), __LINE__)
#define __ballot_sync(mask, vote) ::stf::ballot(mask, vote, __LINE__)
#define __any_sync(mask, vote) (::stf::ballot(mask, vote, __LINE__) != 0)

template <class T>
T __ldg(const T *p) {
    return *p;
}
inline int __float_as_int(float v) {
    int bits;
    std::memcpy(&bits, &v, 4);
    return bits;
}
inline float __int_as_float(int v) {
    float value;
    std::memcpy(&value, &v, 4);
    return value;
}
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __clz(int v) { return v ? __builtin_clz(unsigned(v)) : 32; }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
