// A driver of CUDA that is none: the functions of libcuda that native/gpu calls, on the memory of the host, for tests
// without a GPU.
//
// Device memory is host memory with guard bytes, filled with 0xFF (NaN) when it is new. Kernels are functions of
// tests/cuda/kernels.cpp, or the kernels of cuda/ compiled for the processor, which `stf_shim_launch` runs. Work runs
// when it is queued, or, with `deferred=1`, when somebody waits for it: then a forgotten wait shows as old contents. A
// copy must have pinned memory on its host side.
//
// Settings, as in "devices=2 memory=1000000", come from the environment variable STF_MOCK_CUDA and from
// `stf_mock_configure`:
//   devices  memory (bytes)  capability (75, 80, 90)  version (12000)  name  shared (bytes a block may ask for)
//   init (what cuInit returns)  fail_alloc (the n-th allocation from now fails)  lose (the n-th launch from now loses
//   its device) jit (1: compilation fails, with a log)  deferred (0, 1)
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "kernels.h"
#include "shim.h"

namespace {

enum Status {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201,
    NO_BINARY_FOR_GPU = 209,
    INVALID_PTX = 218,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    ILLEGAL_ADDRESS = 700,
};

constexpr size_t GUARD = 256;
constexpr unsigned char GUARD_BYTE = 0xA5, FRESH_BYTE = 0xFF;

struct Stream {
    int device;
    std::deque<std::function<void()>> queued;
};

struct Event {
    Stream *stream = nullptr;
    bool done = true;
    std::chrono::steady_clock::time_point time;
};

struct Kernel {
    std::string name;
    std::vector<size_t> parameters;
    int shared_allowed = 48 << 10;
};

struct Module {
    int device;
    std::map<std::string, std::unique_ptr<Kernel>> kernels;
};

struct Device {
    size_t used = 0;
    int context = 0;
    bool lost = false;
};

struct State {
    std::recursive_mutex mutex;
    std::map<std::string, std::string> settings;
    std::map<std::string, long long> counts;
    std::map<int, Device> devices;
    std::map<uintptr_t, std::pair<size_t, int>> memory;
    std::map<uintptr_t, size_t> pinned;
    std::set<Stream *> streams;
    bool ready = false;
};

void configure(State &state, const char *text) {
    std::string word;
    for (const char *c = text;; c++) {
        if (*c && *c != ' ') {
            word += *c;
            continue;
        }
        size_t equal = word.find('=');
        if (equal != std::string::npos) {
            // a plus sign stands for a space, which separates settings
            std::string value = word.substr(equal + 1);
            for (char &v : value)
                v = v == '+' ? ' ' : v;
            state.settings[word.substr(0, equal)] = value;
        }
        word.clear();
        if (!*c)
            return;
    }
}

State &state() {
    static State *state = [] {
        auto made = new State;
        if (const char *text = std::getenv("STF_MOCK_CUDA"))
            configure(*made, text);
        return made;
    }();
    return *state;
}

using Lock = std::lock_guard<std::recursive_mutex>;
thread_local std::vector<int> contexts;

long long setting(const char *name, long long otherwise) {
    auto found = state().settings.find(name);
    return found == state().settings.end() ? otherwise : std::atoll(found->second.c_str());
}

// Whether this is the call that the setting counted down to.
bool counted_down(const char *name) {
    long long left = setting(name, 0);
    if (left <= 0)
        return false;
    state().settings[name] = std::to_string(left - 1);
    return left == 1;
}

long long memory_bytes() { return setting("memory", 8LL << 30); }

// The device of the calling thread's context in `device`, or why there is none.
Status current(int &device) {
    if (!state().ready)
        return NOT_INITIALIZED;
    if (contexts.empty())
        return INVALID_CONTEXT;
    device = contexts.back();
    return state().devices[device].lost ? ILLEGAL_ADDRESS : SUCCESS;
}

void drain(Stream &stream) {
    while (!stream.queued.empty()) {
        auto work = std::move(stream.queued.front());
        stream.queued.pop_front();
        work();
    }
}

void drain_device(int device) {
    for (Stream *stream : state().streams)
        if (stream->device == device)
            drain(*stream);
}

void submit(Stream &stream, std::function<void()> work) {
    stream.queued.push_back(std::move(work));
    if (!setting("deferred", 0))
        drain(stream);
}

bool inside(const std::map<uintptr_t, size_t> &blocks, uintptr_t at, size_t bytes) {
    auto next = blocks.upper_bound(at);
    if (next == blocks.begin())
        return false;
    auto block = std::prev(next);
    return at + bytes <= block->first + block->second;
}

bool on_device(uintptr_t at, size_t bytes, int device) {
    auto next = state().memory.upper_bound(at);
    if (next == state().memory.begin())
        return false;
    auto block = std::prev(next);
    return block->second.second == device && at + bytes <= block->first + block->second.first;
}

void complain(const char *what) {
    std::fprintf(stderr, "mock driver of CUDA: %s\n", what);
    std::abort();
}

// The kernels of a PTX text with the sizes of their parameters: what stands between `.entry name(` and `)`.
std::map<std::string, std::unique_ptr<Kernel>> kernels_of(const std::string &ptx) {
    static const std::map<std::string, size_t> sizes = {{".u8", 1},  {".s8", 1},  {".b8", 1},  {".u16", 2}, {".s16", 2},
                                                        {".b16", 2}, {".u32", 4}, {".s32", 4}, {".b32", 4}, {".f32", 4},
                                                        {".u64", 8}, {".s64", 8}, {".b64", 8}, {".f64", 8}};
    std::map<std::string, std::unique_ptr<Kernel>> kernels;
    for (size_t at = ptx.find(".entry "); at != std::string::npos; at = ptx.find(".entry ", at)) {
        at += std::strlen(".entry ");
        size_t open = ptx.find('(', at), close = ptx.find(')', open);
        if (close == std::string::npos)
            break;
        auto kernel = std::make_unique<Kernel>();
        kernel->name = ptx.substr(at, ptx.find_first_of(" \n(", at) - at);
        std::string parameters = ptx.substr(open, close - open);
        for (size_t p = parameters.find(".param"); p != std::string::npos; p = parameters.find(".param", p + 1)) {
            size_t end = std::min(parameters.find(',', p), parameters.size());
            std::string text = parameters.substr(p, end - p);
            size_t bytes = 0, bracket = text.find('[');
            for (const auto &[type, size] : sizes)
                if (text.find(type + " ") != std::string::npos)
                    bytes = size;
            if (bracket != std::string::npos)
                bytes *= std::atoll(text.c_str() + bracket + 1);
            kernel->parameters.push_back(bytes);
        }
        std::string name = kernel->name;
        kernels[name] = std::move(kernel);
    }
    return kernels;
}

struct Name {
    int code;
    const char *name, *text;
};
constexpr Name NAMES[] = {
    {SUCCESS, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {INVALID_PTX, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "system has unsupported display driver / cuda driver combination"},
};

} // namespace

extern "C" {

// Changes settings while nothing is running. "reset" forgets all, and what happened before.
void stf_mock_configure(const char *text) {
    Lock lock(state().mutex);
    if (std::strcmp(text, "reset") == 0) {
        state().settings.clear();
        state().counts.clear();
        for (auto &[index, device] : state().devices)
            device.lost = false;
        return;
    }
    configure(state(), text);
}

// What happened since the last reset (allocations, frees, module_loads, launches, copies), or is there now
// (live_blocks, live_bytes, pinned_blocks, streams, contexts).
long long stf_mock_count(const char *what) {
    Lock lock(state().mutex);
    std::string name = what;
    if (name == "live_blocks")
        return state().memory.size();
    if (name == "pinned_blocks")
        return state().pinned.size();
    if (name == "streams")
        return state().streams.size();
    long long bytes = 0, retained = 0;
    for (const auto &[index, device] : state().devices)
        bytes += device.used, retained += device.context;
    if (name == "live_bytes")
        return bytes;
    if (name == "contexts")
        return retained;
    return state().counts[name];
}

int cuInit(unsigned) {
    Lock lock(state().mutex);
    long long code = setting("init", SUCCESS);
    if (code == SUCCESS && setting("devices", 1) == 0)
        code = NO_DEVICE;
    state().ready = code == SUCCESS;
    return code;
}

int cuDriverGetVersion(int *version) {
    Lock lock(state().mutex);
    *version = setting("version", 12040);
    return SUCCESS;
}

int cuGetErrorName(int code, const char **text) {
    for (const Name &name : NAMES)
        if (name.code == code)
            return *text = name.name, SUCCESS;
    return *text = nullptr, INVALID_VALUE;
}

int cuGetErrorString(int code, const char **text) {
    for (const Name &name : NAMES)
        if (name.code == code)
            return *text = name.text, SUCCESS;
    return *text = nullptr, INVALID_VALUE;
}

int cuDeviceGetCount(int *count) {
    Lock lock(state().mutex);
    if (!state().ready)
        return NOT_INITIALIZED;
    *count = setting("devices", 1);
    return SUCCESS;
}

int cuDeviceGet(int *device, int ordinal) {
    Lock lock(state().mutex);
    if (ordinal < 0 || ordinal >= setting("devices", 1))
        return INVALID_DEVICE;
    *device = ordinal;
    return SUCCESS;
}

int cuDeviceGetName(char *name, int length, int) {
    Lock lock(state().mutex);
    auto found = state().settings.find("name");
    std::snprintf(name, length, "%s", found == state().settings.end() ? "Mock GPU" : found->second.c_str());
    return SUCCESS;
}

int cuDeviceTotalMem_v2(size_t *bytes, int) {
    Lock lock(state().mutex);
    *bytes = memory_bytes();
    return SUCCESS;
}

int cuDeviceGetAttribute(int *value, int attribute, int) {
    Lock lock(state().mutex);
    switch (attribute) {
    case 13:
        *value = 1000000;
        return SUCCESS; // clock in kHz
    case 16:
        *value = 4;
        return SUCCESS; // multiprocessors
    case 36:
        *value = 2000000;
        return SUCCESS; // clock of the memory in kHz
    case 37:
        *value = 256;
        return SUCCESS; // bits of its bus
    case 75:
        *value = setting("capability", 80) / 10;
        return SUCCESS; // compute capability, major
    case 76:
        *value = setting("capability", 80) % 10;
        return SUCCESS; // and minor
    case 97:
        *value = setting("shared", 99 << 10);
        return SUCCESS; // shared memory that a block may ask for
    default:
        return INVALID_VALUE;
    }
}

int cuDevicePrimaryCtxRetain(void **context, int device) {
    Lock lock(state().mutex);
    if (!state().ready)
        return NOT_INITIALIZED;
    state().devices[device].context++;
    *context = reinterpret_cast<void *>(static_cast<uintptr_t>(device) + 1);
    return SUCCESS;
}

int cuDevicePrimaryCtxRelease_v2(int device) {
    Lock lock(state().mutex);
    if (state().devices[device].context-- <= 0)
        complain("a context was released more often than retained");
    return SUCCESS;
}

int cuCtxPushCurrent_v2(void *context) {
    if (!context)
        return INVALID_CONTEXT;
    contexts.push_back(static_cast<int>(reinterpret_cast<uintptr_t>(context)) - 1);
    return SUCCESS;
}

int cuCtxPopCurrent_v2(void **context) {
    if (contexts.empty())
        return INVALID_CONTEXT;
    *context = reinterpret_cast<void *>(static_cast<uintptr_t>(contexts.back()) + 1);
    contexts.pop_back();
    return SUCCESS;
}

int cuCtxSynchronize() {
    Lock lock(state().mutex);
    int device;
    if (Status status = current(device))
        return status;
    drain_device(device);
    return current(device);
}

int cuMemGetInfo_v2(size_t *free, size_t *total) {
    Lock lock(state().mutex);
    int device;
    if (Status status = current(device))
        return status;
    *total = memory_bytes();
    *free = *total - std::min(state().devices[device].used, *total);
    return SUCCESS;
}

int cuMemAlloc_v2(unsigned long long *address, size_t bytes) {
    Lock lock(state().mutex);
    int device;
    if (Status status = current(device))
        return status;
    if (bytes == 0)
        return INVALID_VALUE;
    state().counts["allocations"]++;
    auto &used = state().devices[device].used;
    if (counted_down("fail_alloc") || used + bytes > static_cast<size_t>(memory_bytes()))
        return OUT_OF_MEMORY;
    size_t whole = (bytes + 2 * GUARD + 255) / 256 * 256;
    auto *block = static_cast<unsigned char *>(std::aligned_alloc(256, whole));
    if (!block)
        return OUT_OF_MEMORY;
    std::memset(block, GUARD_BYTE, whole);
    std::memset(block + GUARD, FRESH_BYTE, bytes);
    *address = reinterpret_cast<uintptr_t>(block + GUARD);
    state().memory[*address] = {bytes, device};
    used += bytes;
    return SUCCESS;
}

int cuMemFree_v2(unsigned long long address) {
    Lock lock(state().mutex);
    auto found = state().memory.find(address);
    if (found == state().memory.end())
        complain("memory was freed that is not there");
    auto [bytes, device] = found->second;
    drain_device(device);
    auto *block = reinterpret_cast<unsigned char *>(address) - GUARD;
    size_t whole = (bytes + 2 * GUARD + 255) / 256 * 256;
    for (size_t i = 0; i < GUARD; i++)
        if (block[i] != GUARD_BYTE)
            complain("something wrote before the start of device memory");
    for (size_t i = GUARD + bytes; i < whole; i++)
        if (block[i] != GUARD_BYTE)
            complain("something wrote behind the end of device memory");
    std::free(block);
    state().memory.erase(found);
    state().devices[device].used -= bytes;
    state().counts["frees"]++;
    return SUCCESS;
}

int cuMemHostAlloc(void **memory, size_t bytes, unsigned) {
    Lock lock(state().mutex);
    int device;
    if (Status status = current(device))
        return status;
    *memory = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    if (!*memory)
        return OUT_OF_MEMORY;
    std::memset(*memory, FRESH_BYTE, bytes);
    state().pinned[reinterpret_cast<uintptr_t>(*memory)] = bytes;
    return SUCCESS;
}

int cuMemFreeHost(void *memory) {
    Lock lock(state().mutex);
    if (!state().pinned.erase(reinterpret_cast<uintptr_t>(memory)))
        complain("pinned memory was freed that is not there");
    for (Stream *stream : state().streams)
        drain(*stream);
    std::free(memory);
    return SUCCESS;
}

int cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes, void *stream) {
    Lock lock(state().mutex);
    int device;
    if (Status status = current(device))
        return status;
    if (!inside(state().pinned, reinterpret_cast<uintptr_t>(from), bytes))
        return INVALID_VALUE;
    if (!on_device(to, bytes, device))
        return INVALID_VALUE;
    state().counts["copies"]++;
    submit(*static_cast<Stream *>(stream), [=] { std::memcpy(reinterpret_cast<void *>(to), from, bytes); });
    return SUCCESS;
}

int cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes, void *stream) {
    Lock lock(state().mutex);
    int device;
    if (Status status = current(device))
        return status;
    if (!inside(state().pinned, reinterpret_cast<uintptr_t>(to), bytes))
        return INVALID_VALUE;
    if (!on_device(from, bytes, device))
        return INVALID_VALUE;
    state().counts["copies"]++;
    submit(*static_cast<Stream *>(stream), [=] { std::memcpy(to, reinterpret_cast<const void *>(from), bytes); });
    return SUCCESS;
}

int cuMemsetD8Async(unsigned long long to, unsigned char byte, size_t bytes, void *stream) {
    Lock lock(state().mutex);
    int device;
    if (Status status = current(device))
        return status;
    if (!on_device(to, bytes, device))
        return INVALID_VALUE;
    submit(*static_cast<Stream *>(stream), [=] { std::memset(reinterpret_cast<void *>(to), byte, bytes); });
    return SUCCESS;
}

int cuStreamCreate(void **stream, unsigned flags) {
    Lock lock(state().mutex);
    int device;
    if (Status status = current(device))
        return status;
    // a stream that waits for the default stream would not overlap
    if (flags != 1)
        return INVALID_VALUE;
    auto made = new Stream{device, {}};
    state().streams.insert(made);
    *stream = made;
    return SUCCESS;
}

int cuStreamDestroy_v2(void *stream) {
    Lock lock(state().mutex);
    auto *gone = static_cast<Stream *>(stream);
    drain(*gone);
    state().streams.erase(gone);
    delete gone;
    return SUCCESS;
}

int cuStreamSynchronize(void *stream) {
    Lock lock(state().mutex);
    int device;
    if (Status status = current(device))
        return status;
    drain(*static_cast<Stream *>(stream));
    return current(device);
}

int cuEventCreate(void **event, unsigned) {
    *event = new Event;
    return SUCCESS;
}

int cuEventDestroy_v2(void *event) {
    Lock lock(state().mutex);
    auto *gone = static_cast<Event *>(event);
    if (!gone->done)
        drain(*gone->stream);
    delete gone;
    return SUCCESS;
}

int cuEventRecord(void *event, void *stream) {
    Lock lock(state().mutex);
    int device;
    if (Status status = current(device))
        return status;
    auto *at = static_cast<Event *>(event);
    at->stream = static_cast<Stream *>(stream);
    at->done = false;
    submit(*at->stream, [at] {
        at->done = true;
        at->time = std::chrono::steady_clock::now();
    });
    return SUCCESS;
}

int cuEventElapsedTime(float *milliseconds, void *start, void *end) {
    Lock lock(state().mutex);
    auto *from = static_cast<Event *>(start), *to = static_cast<Event *>(end);
    if (!from->done || !to->done)
        return NOT_READY;
    *milliseconds = std::chrono::duration<float, std::milli>(to->time - from->time).count();
    return SUCCESS;
}

int cuEventSynchronize(void *event) {
    Lock lock(state().mutex);
    int device;
    if (Status status = current(device))
        return status;
    auto *at = static_cast<Event *>(event);
    while (!at->done) {
        auto work = std::move(at->stream->queued.front());
        at->stream->queued.pop_front();
        work();
    }
    return current(device);
}

// options: 3 and 4 are the buffer and its size of the information log, 5 and 6 those of the error log
int cuModuleLoadDataEx(void **module, const void *image, unsigned count, const int *options, void **values) {
    Lock lock(state().mutex);
    int device;
    if (Status status = current(device))
        return status;
    state().counts["module_loads"]++;
    if (setting("jit", 0)) {
        char *log = nullptr;
        size_t bytes = 0;
        for (unsigned i = 0; i < count; i++) {
            if (options[i] == 5)
                log = static_cast<char *>(values[i]);
            if (options[i] == 6)
                bytes = reinterpret_cast<uintptr_t>(values[i]);
        }
        if (log)
            std::snprintf(log, bytes,
                          "ptxas application ptx input, line 9; fatal   : Parsing error near 'mock': syntax error");
        return INVALID_PTX;
    }
    auto made = new Module{device, kernels_of(static_cast<const char *>(image))};
    *module = made;
    return made->kernels.empty() ? INVALID_PTX : SUCCESS;
}

int cuModuleUnload(void *module) {
    Lock lock(state().mutex);
    drain_device(static_cast<Module *>(module)->device);
    delete static_cast<Module *>(module);
    return SUCCESS;
}

int cuModuleGetFunction(void **function, void *module, const char *name) {
    Lock lock(state().mutex);
    auto &kernels = static_cast<Module *>(module)->kernels;
    auto found = kernels.find(name);
    if (found == kernels.end())
        return NOT_FOUND;
    *function = found->second.get();
    return SUCCESS;
}

int cuFuncSetAttribute(void *function, int attribute, int value) {
    Lock lock(state().mutex);
    if (attribute != 8 || value > setting("shared", 99 << 10))
        return INVALID_VALUE;
    static_cast<Kernel *>(function)->shared_allowed = value;
    return SUCCESS;
}

int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void *stream, void **arguments, void **) {
    Lock lock(state().mutex);
    int device;
    if (Status status = current(device))
        return status;
    auto *kernel = static_cast<Kernel *>(function);
    if (!gx || !gy || !gz || !bx || !by || !bz || bx * by * bz > 1024 || gy > 65535 || gz > 65535)
        return INVALID_VALUE;
    if (shared > static_cast<unsigned>(kernel->shared_allowed))
        return INVALID_VALUE;
    state().counts["launches"]++;
    bool loses = counted_down("lose");
    // the driver copies the arguments before it returns
    std::vector<std::vector<long double>> copies;
    for (size_t i = 0; i < kernel->parameters.size(); i++) {
        copies.emplace_back(kernel->parameters[i] / sizeof(long double) + 1);
        std::memcpy(copies.back().data(), arguments[i], kernel->parameters[i]);
    }
    std::string name = kernel->name;
    submit(*static_cast<Stream *>(stream), [=]() mutable {
        Device &here = state().devices[device];
        if (here.lost)
            return;
        std::vector<void *> pointers;
        for (auto &copy : copies)
            pointers.push_back(copy.data());
        const unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
        int code = loses ? 2 : run_test_kernel(name.c_str(), grid, block, pointers.data());
        if (code == STF_SHIM_NO_SUCH_KERNEL)
            code = stf_shim_launch(name.c_str(), grid, block, shared, pointers.data());
        if (code == STF_SHIM_NO_SUCH_KERNEL)
            std::fprintf(stderr, "mock driver of CUDA: kernel %s is not compiled for the processor\n", name.c_str());
        here.lost = code != 0;
    });
    return current(device);
}

} // extern "C"
