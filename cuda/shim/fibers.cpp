// Runs kernels on the CPU: every thread of a block is a fiber, with a stack of its own, that runs until its next
// barrier.
//
//   for each block: shared memory = NaN; until all threads have ended:
//     run every thread until it waits or ends        (those of a warp first among themselves, when they wait for their
//     warp) all that live must wait at the same barrier     otherwise the process ends with a message
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <vector>

#include <sys/mman.h>

#include "shim.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define STF_SANITIZED 1
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

// Ends of the section of all static __shared__ variables, made by the linker.
extern "C" {
__attribute__((weak)) extern unsigned char __start_stf_shared[];
__attribute__((weak)) extern unsigned char __stop_stf_shared[];
}

namespace stf {

uint3 thread, block, block_size, grid_size;

namespace {

constexpr std::size_t STACK_BYTES = 64 * 1024;
constexpr unsigned MOST_THREADS = 1024;
constexpr unsigned MOST_SHARED_BYTES = 227 * 1024;
constexpr std::size_t GUARD_BYTES = 64;
constexpr unsigned char GUARD = 0xa5, UNINITIALISED = 0xff;

enum class State { Ready, AtBlockBarrier, AtWarpBarrier, Ended };

#if defined(__x86_64__)
// The stack pointer of a fiber that does not run; the registers that a call keeps lie on its stack.
using Context = void *;
extern "C" void stf_switch(Context *from, Context to);
asm(R"(
.text
.type stf_switch, @function
stf_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size stf_switch, .-stf_switch
)");
#else
using Context = ucontext_t;
#endif

struct Fiber {
    Context context;
    unsigned char *stack;
    uint3 thread;
    State state;
    unsigned mask;
    int line;
    // what the thread voted at a warp barrier, and all votes when it goes on
    bool vote;
    unsigned votes;
#ifdef STF_SANITIZED
    // what the sanitizer remembers of the stack while the fiber waits
    void *fake_stack;
#endif
};

struct Launch {
    const Entry *kernel;
    void **arguments;
};

std::mutex one_launch;
std::vector<Fiber> fibers;
std::vector<unsigned long long> slots;
Context scheduler;
#ifdef STF_SANITIZED
void *scheduler_fake_stack;
const void *scheduler_stack;
std::size_t scheduler_stack_bytes;
#endif
Fiber *running;
Launch launch;
unsigned char *dynamic;

[[noreturn]] void end_process(const char *what, int line) {
    std::fprintf(stderr, "kernel %s, block (%u, %u, %u): %s", launch.kernel->name, block.x, block.y, block.z, what);
    if (line)
        std::fprintf(stderr, " at line %d", line);
    std::fputc('\n', stderr);
    std::fflush(stderr);
    std::abort();
}

void to_scheduler() {
    Fiber *self = running;
#ifdef STF_SANITIZED
    __sanitizer_start_switch_fiber(self->state == State::Ended ? nullptr : &self->fake_stack, scheduler_stack,
                                   scheduler_stack_bytes);
#endif
#if defined(__x86_64__)
    stf_switch(&self->context, scheduler);
#else
    swapcontext(&self->context, &scheduler);
#endif
#ifdef STF_SANITIZED
    __sanitizer_finish_switch_fiber(self->fake_stack, &scheduler_stack, &scheduler_stack_bytes);
#endif
}

void wait(State state, unsigned mask, int line) {
    running->state = state;
    running->mask = mask;
    running->line = line;
    to_scheduler();
}

void body() {
#ifdef STF_SANITIZED
    __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_stack_bytes);
#endif
    launch.kernel->run(launch.arguments);
    running->state = State::Ended;
    to_scheduler();
    std::abort();
}

void start(Fiber &fiber) {
    fiber.state = State::Ready;
#ifdef STF_SANITIZED
    fiber.fake_stack = nullptr;
#endif
#if defined(__x86_64__)
    // six registers, the address of the body, and a frame that is aligned as after a call
    auto *top = reinterpret_cast<std::uintptr_t *>(fiber.stack + STACK_BYTES - 16);
    *--top = 0;
    *--top = reinterpret_cast<std::uintptr_t>(&body);
    for (int i = 0; i < 6; i++)
        *--top = 0;
    fiber.context = top;
#else
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack;
    fiber.context.uc_stack.ss_size = STACK_BYTES;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, body, 0);
#endif
}

void resume(Fiber &fiber) {
    running = &fiber;
    thread = fiber.thread;
#ifdef STF_SANITIZED
    __sanitizer_start_switch_fiber(&scheduler_fake_stack, fiber.stack, STACK_BYTES);
#endif
#if defined(__x86_64__)
    stf_switch(&scheduler, fiber.context);
#else
    swapcontext(&scheduler, &fiber.context);
#endif
#ifdef STF_SANITIZED
    __sanitizer_finish_switch_fiber(scheduler_fake_stack, nullptr, nullptr);
#endif
}

unsigned number(unsigned i, unsigned count, bool reversed) { return reversed ? count - 1 - i : i; }

// Runs the threads of a warp until each has ended or waits for the block.
void run_warp(unsigned first, unsigned last, bool reversed) {
    for (;;) {
        unsigned waiting = 0, ended = 0;
        for (unsigned i = 0; i < last - first; i++) {
            Fiber &fiber = fibers[first + number(i, last - first, reversed)];
            if (fiber.state == State::Ready)
                resume(fiber);
        }
        for (unsigned i = first; i < last; i++) {
            waiting |= fibers[i].state == State::AtWarpBarrier ? 1u << (i - first) : 0u;
            ended |= fibers[i].state == State::Ended ? 1u << (i - first) : 0u;
        }
        if (!waiting)
            return;
        // those that end are not waited for, as on a device
        const unsigned living = (last - first == 32 ? ~0u : (1u << (last - first)) - 1) & ~ended;
        bool released = false;
        for (unsigned i = first; i < last; i++) {
            Fiber &fiber = fibers[i];
            if (!(waiting >> (i - first) & 1))
                continue;
            const unsigned needed = fiber.mask & living;
            if ((needed & waiting) != needed)
                continue;
            for (unsigned j = first; j < last; j++)
                if (needed >> (j - first) & 1 && fibers[j].line != fiber.line)
                    end_process("threads of a warp wait in different places", fiber.line);
            unsigned votes = 0;
            for (unsigned j = first; j < last; j++)
                votes |= (needed >> (j - first) & 1) && fibers[j].vote ? 1u << (j - first) : 0u;
            for (unsigned j = first; j < last; j++)
                if (needed >> (j - first) & 1) {
                    fibers[j].state = State::Ready;
                    fibers[j].votes = votes;
                    waiting &= ~(1u << (j - first));
                }
            released = true;
        }
        if (!released)
            end_process("threads of a warp wait for threads that wait elsewhere", fibers[first].line);
    }
}

void run_block(unsigned threads, unsigned shared_bytes, bool reversed) {
    if (__start_stf_shared)
        std::memset(__start_stf_shared, UNINITIALISED, __stop_stf_shared - __start_stf_shared);
    std::memset(dynamic, UNINITIALISED, shared_bytes);
    for (unsigned i = 0; i < threads; i++) {
        fibers[i].thread = {i % block_size.x, i / block_size.x % block_size.y, i / block_size.x / block_size.y};
        start(fibers[i]);
    }
    const unsigned warps = (threads + 31) / 32;
    for (;;) {
        for (unsigned i = 0; i < warps; i++) {
            const unsigned first = number(i, warps, reversed) * 32;
            run_warp(first, first + 32 < threads ? first + 32 : threads, reversed);
        }
        unsigned ended = 0;
        int line = 0;
        for (unsigned i = 0; i < threads; i++) {
            if (fibers[i].state == State::Ended)
                ended++;
            else if (line && fibers[i].line != line)
                end_process("threads wait at different barriers", line);
            else
                line = fibers[i].line;
        }
        if (ended == threads)
            break;
        if (ended)
            end_process("some threads ended while others wait at a barrier", line);
        for (unsigned i = 0; i < threads; i++)
            fibers[i].state = State::Ready;
    }
#ifndef STF_SANITIZED
    for (std::size_t i = 0; i < GUARD_BYTES; i++)
        if (dynamic[shared_bytes + i] != GUARD)
            end_process("written behind its shared memory", 0);
#endif
}

const Entry *find(const char *kernel) {
    for (const Source *source = sources; *source; source++) {
        int count = 0;
        const Entry *entries = (*source)(&count);
        for (int i = 0; i < count; i++)
            if (!std::strcmp(entries[i].name, kernel))
                return &entries[i];
    }
    return nullptr;
}

} // namespace

void block_barrier(int line) { wait(State::AtBlockBarrier, 0, line); }
void warp_barrier(unsigned mask, int line) { wait(State::AtWarpBarrier, mask, line); }
unsigned long long &lane_slot(unsigned lane) { return slots[std::size_t(running - fibers.data()) / 32 * 32 + lane]; }
unsigned lane() { return unsigned(running - fibers.data()) % 32; }
void *dynamic_shared() { return dynamic; }

unsigned ballot(unsigned mask, bool vote, int line) {
    running->vote = vote;
    warp_barrier(mask, line);
    return running->votes;
}

} // namespace stf

using namespace stf;

extern "C" int stf_shim_launch_ordered(const char *kernel, const unsigned grid[3], const unsigned size[3],
                                       unsigned shared_bytes, void **arguments, int reversed) {
    const Entry *entry = find(kernel);
    if (!entry)
        return STF_SHIM_NO_SUCH_KERNEL;
    for (int i = 0; i < 3; i++)
        if (!grid[i] || !size[i] || size[i] > MOST_THREADS || (i && grid[i] > 65535))
            return STF_SHIM_SHAPE_NOT_ALLOWED;
    const std::uint64_t threads = std::uint64_t(size[0]) * size[1] * size[2];
    if (threads > MOST_THREADS || shared_bytes > MOST_SHARED_BYTES)
        return STF_SHIM_SHAPE_NOT_ALLOWED;

    std::lock_guard<std::mutex> alone(one_launch);
    while (fibers.size() < threads) {
        Fiber fiber = {};
        void *stack = mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stack == MAP_FAILED)
            return STF_SHIM_SHAPE_NOT_ALLOWED;
        fiber.stack = static_cast<unsigned char *>(stack);
        fibers.push_back(fiber);
    }
    slots.assign((threads + 31) / 32 * 32, 0);
    launch = {entry, arguments};
    grid_size = {grid[0], grid[1], grid[2]};
    block_size = {size[0], size[1], size[2]};
#ifdef STF_SANITIZED
    const std::size_t guard = 0; // the sanitizer watches what lies behind
#else
    const std::size_t guard = GUARD_BYTES;
#endif
    dynamic = static_cast<unsigned char *>(std::malloc(shared_bytes + guard));
    std::memset(dynamic + shared_bytes, GUARD, guard);
    const std::uint64_t blocks = std::uint64_t(grid[0]) * grid[1] * grid[2];
    for (std::uint64_t i = 0; i < blocks; i++) {
        const std::uint64_t n = reversed ? blocks - 1 - i : i;
        block = {unsigned(n % grid[0]), unsigned(n / grid[0] % grid[1]), unsigned(n / grid[0] / grid[1])};
        run_block(unsigned(threads), shared_bytes, reversed);
    }
    std::free(dynamic);
    dynamic = nullptr;
    return STF_SHIM_RAN;
}

extern "C" int stf_shim_launch(const char *kernel, const unsigned grid[3], const unsigned size[3],
                               unsigned shared_bytes, void **arguments) {
    const char *order = std::getenv("STFUSION_SHIM_REVERSED");
    return stf_shim_launch_ordered(kernel, grid, size, shared_bytes, arguments, order && !std::strcmp(order, "1"));
}

extern "C" int stf_shim_parameters(const char *kernel, unsigned *sizes, int room) {
    const Entry *entry = find(kernel);
    if (!entry)
        return -1;
    for (int i = 0; i < entry->parameters && i < room; i++)
        sizes[i] = entry->sizes[i];
    return entry->parameters;
}

extern "C" const char *stf_shim_kernel(int index) {
    for (const Source *source = sources; *source; source++) {
        int count = 0;
        const Entry *entries = (*source)(&count);
        if (index < count)
            return entries[index].name;
        index -= count;
    }
    return nullptr;
}
