// Kernels of the mock driver's own tests, as plain loops over threads; their PTX is in native/gpu/tests.
#include "kernels.h"

#include <cstring>

namespace {

template <typename T>
T argument(void **arguments, int at) {
    T value;
    std::memcpy(&value, arguments[at], sizeof value);
    return value;
}

// mock_scale(float *data, int count, float factor)
void scale(unsigned threads, void **arguments) {
    auto *data = argument<float *>(arguments, 0);
    int count = argument<int>(arguments, 1);
    float factor = argument<float>(arguments, 2);
    for (unsigned i = 0; i < threads; i++)
        if (static_cast<int>(i) < count)
            data[i] *= factor;
}

struct Line {
    float slope, offset;
    long long count;
};

// mock_line(const float *from, float *to, Line line): `from` may be null, and counts as the thread's number then
void line(unsigned threads, void **arguments) {
    auto *from = argument<const float *>(arguments, 0);
    auto *to = argument<float *>(arguments, 1);
    auto line = argument<Line>(arguments, 2);
    for (unsigned i = 0; i < threads; i++)
        if (i < line.count)
            to[i] = line.slope * (from ? from[i] : i) + line.offset;
}

} // namespace

int run_test_kernel(const char *name, const unsigned grid[3], const unsigned block[3], void **arguments) {
    unsigned threads = grid[0] * block[0];
    if (std::strcmp(name, "mock_scale") == 0)
        return scale(threads, arguments), 0;
    if (std::strcmp(name, "mock_line") == 0)
        return line(threads, arguments), 0;
    return 1;
}
