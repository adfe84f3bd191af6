// Small questions about numbers.
#ifndef STF_BLOCKS_NUMBERS
#define STF_BLOCKS_NUMBERS

#define STF_NAN __int_as_float(0x7fc00000)
#define STF_INFINITY __int_as_float(0x7f800000)

__device__ __forceinline__ bool is_number(float v) { return (__float_as_int(v) & 0x7f800000) != 0x7f800000; }

// The smallest float that is not below `value`: x < value decides the same with it.
__device__ __forceinline__ float rounded_up(double value) {
    const float near = float(value);
    if (!(double(near) < value))
        return near;
    const int bits = __float_as_int(near);
    if (near == 0.0f)
        return __int_as_float(1);
    return __int_as_float(near > 0.0f ? bits + 1 : bits - 1);
}

#endif
