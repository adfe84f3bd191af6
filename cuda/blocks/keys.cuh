// Integers in the order of float values, so that "between two ends" is one addition and one comparison, and is decided
// as in exact arithmetic. The twin of native/methods/src/blocks/keys.rs, which derives it: a value lies in a range
// (low, least) when key(value) + low > least, where the addition wraps around.
#ifndef STF_BLOCKS_KEYS
#define STF_BLOCKS_KEYS

#include "blocks/numbers.cuh"

// The key of NaN, which is in no range.
#define STF_KEY_OF_NAN 0x7fffffff

// An integer in the order of the values; the smallest, which no number has, for NaN.
__device__ __forceinline__ int order_of(float value) {
    // -0.0 + 0.0 is 0.0
    const int bits = __float_as_int(value + 0.0f);
    const int ordered = bits ^ int(unsigned(bits >> 31) >> 1);
    return value != value ? int(0x80000000u) : ordered;
}

__device__ __forceinline__ int key_of(float value) { return ~order_of(value); }

// The value that has this key; zero has no sign.
__device__ __forceinline__ float value_of_key(int key) {
    const int ordered = ~key;
    if (ordered == int(0x80000000u))
        return __int_as_float(0x7fc00000);
    return __int_as_float(ordered ^ int(unsigned(ordered >> 31) >> 1));
}

__device__ __forceinline__ bool is_in_range(int key, int low, int least) {
    return int(unsigned(key) + unsigned(low)) > least;
}

__device__ __forceinline__ int2 no_range() { return make_int2(0, 0x7fffffff); }

// The range of the values within `tolerance` of `centre`; both ends excluded, or included when CLOSED. Of none for NaN.
template <bool CLOSED>
__device__ __forceinline__ int2 range_of_keys(float centre, double tolerance) {
    const bool wide = CLOSED ? tolerance >= 0.0 : tolerance > 0.0;
    if (centre != centre || !wide)
        return no_range();
    const double low = double(centre) - tolerance, high = double(centre) + tolerance;
    const float near_low = float(low), near_high = float(high);
    int l = order_of(near_low), h = order_of(near_high);
    // outwards, so that comparing with rounded ends decides as comparing with exact ones
    if (double(near_low) > low || (CLOSED && double(near_low) == low))
        l -= 1;
    if (double(near_high) < high || (CLOSED && double(near_high) == high))
        h += 1;
    const unsigned inside = unsigned(h) - unsigned(l) - 1u;
    return make_int2(int(unsigned(l) + 1u + 0x80000000u), int(~(inside + 0x80000000u)));
}

#endif
