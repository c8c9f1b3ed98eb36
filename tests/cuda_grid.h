// Launches whose blocks wait for one another, on the host: all threads of all blocks are fibers at once.
//
// A thread runs until it waits, at a barrier of its block or for what the lanes of its warp show each other, or until it
// looks whether other blocks have arrived. A block runs as far as it gets alone before the next one does, so that what
// it reads of others without waiting is not there yet. Where nobody gets on, all would wait for ever: an error. Blocks
// and threads take turns in ascending, descending or mixed order. Shared memory holds nonsense at the start. What memory
// fences order is looked at elsewhere (cuda_races.cpp); here all is in order.

#pragma once

#include <algorithm>
#include <math.h>
#include <cstring>
#include <functional>
#include <ucontext.h>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define __ldcg(place) (*(place))
#define __threadfence() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define __syncthreads() host::wait(host::AT_BARRIER, __LINE__)

struct Index { unsigned x, y, z; };
static Index threadIdx, blockIdx;
struct alignas(16) float4 { float x, y, z, w; };
using std::min;

#include "cuda_lanes.h"
#include "cuda_watch.h"

static inline unsigned atomicAdd(unsigned *place, unsigned value)
{
    return __atomic_fetch_add(place, value, __ATOMIC_RELAXED);
}

namespace host {

enum State { READY, AT_BARRIER, AT_EXCHANGE, DONE };
const int WARP = 32, STACK = 64 << 10, BEYOND = 4096;
enum Error { NONE, PARTED, BLOCK_SIZE };

struct Fiber {
    ucontext_t context;
    State state;
    int line, phase;
};

static std::vector<Fiber> fibers;
static ucontext_t scheduler;
static std::function<void()> kernel;
static int current, error;
static std::vector<Shown> shown;  // what lanes show each other: two for each, in turn
static std::vector<char> shared;
static int block_threads, shared_bytes;
static bool looking;  // whether the thread that ran has only looked whether others have arrived

static void wait(State state, int line)
{
    fibers[current].state = state;
    fibers[current].line = line;
    swapcontext(&fibers[current].context, &scheduler);
}

static void body()
{
    kernel();
    fibers[current].state = DONE;
    swapcontext(&fibers[current].context, &scheduler);
}

static int place(int i, int n, int order)  // the i-th to run
{
    if (order == 0) return i;
    if (order == 1) return n - 1 - i;
    return n % 7 ? int((i * 7ll + order) % n) : int((i * 11ll + order) % n);
}

// Threads that wait alike go on together; whether there were any.
static bool released(int first, int count, State state)
{
    for (int i = 0; i < count; i++)
        if (fibers[first + i].state != state || fibers[first + i].line != fibers[first].line) return false;
    for (int i = 0; i < count; i++) fibers[first + i].state = READY;
    if (state == AT_BARRIER) WATCH(barrier(first / block_threads));
    if (state == AT_EXCHANGE) WATCH(lanes(first / block_threads, first % block_threads));
    return true;
}

// The threads of one block, for as long as one of them gets on; whether any has.
static bool run_block(int block, int order)
{
    const int first = block * block_threads;
    for (bool ever = false;; ever = true) {
        bool moved = false;
        for (int i = 0; i < block_threads; i++) {
            current = first + place(i, block_threads, order);
            if (fibers[current].state != READY) continue;
            threadIdx = {(unsigned)(current - first), 0, 0};
            blockIdx = {(unsigned)block, 0, 0};
            looking = false;
            WATCH(thread(block, current - first));
            swapcontext(&scheduler, &fibers[current].context);
            moved |= !looking;
        }
        for (int i = 0; i < block_threads; i += WARP) moved |= released(first + i, WARP, AT_EXCHANGE);
        moved |= released(first, block_threads, AT_BARRIER);
        if (!moved) return ever;
    }
}

// Each block as far as it gets without the others, in turn.
static void run_grid(int blocks, int order)
{
    for (;;) {
        bool moved = false, all_done = true;
        for (int i = 0; i < blocks; i++) moved |= run_block(place(i, blocks, order), order);
        for (Fiber &fiber : fibers) all_done &= fiber.state == DONE;
        if (all_done) return;
        if (!moved) {
            error = PARTED;
            return;
        }
    }
}

static int launch_grid(std::function<void()> call, int grid, int block, int bytes, int order)
{
    if (block % WARP || block > 1024 || block < 1) return BLOCK_SIZE;
    const size_t all = (size_t)grid * block;
    std::vector<char> memory(all * STACK);
    fibers.assign(all, Fiber());
    shown.resize(2 * all);
    block_threads = block, shared_bytes = bytes;
    shared.assign((size_t)grid * bytes + BEYOND, 0x5a);
    WATCH(launch(grid, block, 1, shared.data(), bytes, __ehdr_start, _end));
    kernel = std::move(call);
    error = NONE;
    for (size_t i = 0; i < all; i++) {
        Fiber &fiber = fibers[i];
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = memory.data() + i * STACK;
        fiber.context.uc_stack.ss_size = STACK;
        fiber.context.uc_link = &scheduler;
        fiber.state = READY;
        fiber.phase = 0;
        makecontext(&fiber.context, body, 0);
    }
    run_grid(grid, order);
    WATCH(end());
    return error;
}

template <class... A, size_t... I>
static void call(void (*kernel)(A...), void **arguments, std::index_sequence<I...>)
{
    kernel((A)arguments[I]...);
}

template <class... A>
static int launch_together(void (*kernel)(A...), void **arguments, int grid, int block, int bytes, int order)
{
    return launch_grid([=] { call(kernel, arguments, std::index_sequence_for<A...>()); }, grid, block, bytes, order);
}

static const Shown *exchange(const Shown &own)
{
    const int self = current, phase = fibers[self].phase++ % 2, all = shown.size() / 2;
    shown[phase * all + self] = own;
    wait(AT_EXCHANGE, __LINE__);
    return &shown[phase * all + self / WARP * WARP];
}

}  // namespace host

static inline float *host_shared()
{
    return (float *)&host::shared[(size_t)host::current / host::block_threads * host::shared_bytes];
}

static inline unsigned host_load(const unsigned *place)
{
    host::looking = true;
    swapcontext(&host::fibers[host::current].context, &host::scheduler);
    return __atomic_load_n(place, __ATOMIC_ACQUIRE);
}

#define ENTRY_TOGETHER(name)                                                                               \
    extern "C" int launch_##name(void **arguments, int grid, int block, int bytes, int order)              \
    {                                                                                                      \
        return host::launch_together(name, arguments, grid, block, bytes, order);                          \
    }
