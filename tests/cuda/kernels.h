// Kernels of the mock driver's own tests.
#pragma once

// Runs the test kernel `name`: 0 when it ran, 1 when there is none of that name.
int run_test_kernel(const char *name, const unsigned grid[3], const unsigned block[3], void **arguments);
