// Kernels of this folder on the CPU: what a mock driver and the tests call. See shim.hpp.
#ifndef STF_SHIM_H
#define STF_SHIM_H

#ifdef __cplusplus
extern "C" {
#endif

enum {
    STF_SHIM_RAN = 0,
    STF_SHIM_NO_SUCH_KERNEL = 1,
    STF_SHIM_SHAPE_NOT_ALLOWED = 2,
};

// Runs a kernel to its end. `arguments` points to each argument, as with cuLaunchKernel. Threads run in the order of
// their numbers, or reversed (as the blocks do) when the environment has STFUSION_SHIM_REVERSED=1. Callable from any
// thread; launches wait for each other. A barrier that not all threads reach, or a write behind the shared memory, ends
// the process with a message.
int stf_shim_launch(const char *kernel, const unsigned grid[3], const unsigned block[3], unsigned shared_bytes,
                    void **arguments);

// As stf_shim_launch, with the order chosen by the caller.
int stf_shim_launch_ordered(const char *kernel, const unsigned grid[3], const unsigned block[3], unsigned shared_bytes,
                            void **arguments, int reversed);

// Number of parameters of a kernel, whose first `room` sizes in bytes go to `sizes`; -1 when there is no such kernel.
int stf_shim_parameters(const char *kernel, unsigned *sizes, int room);

// Name of a kernel by its number; NULL after the last.
const char *stf_shim_kernel(int index);

#ifdef __cplusplus
}
#endif
#endif
