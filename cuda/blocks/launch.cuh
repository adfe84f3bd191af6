// What every kernel needs of its launch.
#ifndef STF_BLOCKS_LAUNCH
#define STF_BLOCKS_LAUNCH

// The dynamic shared memory of the block, aligned to 16 bytes.
template <class T>
__device__ __forceinline__ T *dynamic_shared() {
#ifdef STF_ON_CPU
    return static_cast<T *>(::stf::dynamic_shared());
#else
    extern __shared__ __align__(16) unsigned char stf_dynamic_shared[];
    return reinterpret_cast<T *>(stf_dynamic_shared);
#endif
}

#endif
