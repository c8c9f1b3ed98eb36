// CUDA C on the host: what generated kernels use of the language, and a block whose threads take turns.
//
// Every CUDA thread is a fiber with a stack of its own. It runs until it waits at a barrier: __syncthreads, at which all
// threads of the block must arrive, or a shuffle, at which all lanes of its warp must. Threads that wait at different
// places, or that end where others wait, are an error. Blocks and threads run in ascending, descending or mixed order;
// in ascending order all threads go on side by side, in others each warp as far as it can before the next one moves. So
// what needs a barrier and has none goes wrong in one of them. Shared memory holds nonsense when a block starts.

#pragma once

#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("shared_memory")))
#define __builtin_assume(what)
#define __syncthreads() host::wait(host::AT_BARRIER, __LINE__)
#define __syncwarp(...) host::wait(host::AT_WARP, __LINE__)
#define __shfl_xor_sync(mask, value, other) host::exchanged(mask, value, other, __LINE__)

struct Index { unsigned x, y, z; };
static Index threadIdx, blockIdx, blockDim = {1, 1, 1}, gridDim = {1, 1, 1};

struct alignas(8) float2 {
    float x, y;
    float2() = default;
    float2(float a, float b) : x(a), y(b) {}  // so that two are stored as one
};
struct alignas(16) float4 { float x, y, z, w; };
static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }

#include "cuda_lanes.h"
#include "cuda_watch.h"

extern char __start_shared_memory[] __attribute__((weak));
extern char __stop_shared_memory[] __attribute__((weak));

static inline double __longlong_as_double(long long bits) { double x; memcpy(&x, &bits, 8); return x; }
static inline long long __double_as_longlong(double x) { long long bits; memcpy(&bits, &x, 8); return bits; }

static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned long long)a * b >> 32; }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned __int128)a * b >> 64;
}
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fsqrt_rn(float a) { return sqrtf(a); }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __ddiv_rn(double a, double b) { return a / b; }
static inline double __dsqrt_rn(double a) { return sqrt(a); }

namespace host {

enum State { NEW, READY, AT_BARRIER, AT_WARP, AT_SHUFFLE, DONE };
enum Error { NONE, PARTED, PARTIAL_MASK, BLOCK_SIZE };
const int WARP = 32, MOST = 1024, STACK = 64 << 10;

struct Fiber {
    jmp_buf context;  // which changes no signal masks: switching is no system call
    State state;
    int line, phase;
};

static Fiber fibers[MOST];
static uint64_t slots[2 * MOST];  // what lanes show each other: two for each, in turn
static Shown shown[2 * MOST];
static jmp_buf scheduler;
static ucontext_t starting;
static void (*kernel)(void **);
static void **arguments;
static int current, error;
static char *stacks;

static void wait(State state, int line)
{
    Fiber &self = fibers[current];
    self.state = state;
    self.line = line;
    if (!_setjmp(self.context)) _longjmp(scheduler, 1);
}

template <class T> static T exchanged(unsigned mask, T value, int other, int line)
{
    if (mask != 0xffffffffu) error = PARTIAL_MASK;
    const int self = current, warp = self / WARP * WARP, phase = fibers[self].phase++ & 1;
    memcpy(&slots[2 * self + phase], &value, sizeof(T));
    wait(AT_SHUFFLE, line);
    memcpy(&value, &slots[2 * (warp + ((self - warp) ^ other)) + phase], sizeof(T));
    return value;
}

static const Shown *exchange(const Shown &own)
{
    const int self = current, phase = fibers[self].phase++ & 1;
    shown[phase * MOST + self] = own;
    wait(AT_SHUFFLE, __LINE__);
    return &shown[phase * MOST + self / WARP * WARP];
}

// Copies that go on while a thread does: each is made when the thread waits for its group, and not before; from its
// beginning on there is nonsense where it goes to.
struct Copy { void *to; const void *from; int bytes, filled, group; };
static std::vector<Copy> copies[MOST];
static int groups[MOST];

static void begin_copy(void *to, const void *from, int bytes, int filled)
{
    if ((uintptr_t)to % filled || (bytes && (uintptr_t)from % filled)) __builtin_trap();
    WATCH(copy(to, from, bytes, filled));
    memset(to, 0x5a, filled);
    copies[current].push_back({to, from, bytes, filled, groups[current]});
}

static void end_group()
{
    WATCH(end_group());
    groups[current]++;
}

static void wait_for_copies(int but)  // all groups but the last so many
{
    WATCH(wait(but));
    std::vector<Copy> &mine = copies[current], left;
    for (const Copy &copy : mine) {
        if (copy.group >= groups[current] - but) {
            left.push_back(copy);
            continue;
        }
        memset(copy.to, 0, copy.filled);
        if (copy.bytes) memcpy(copy.to, copy.from, copy.bytes);
    }
    mine.swap(left);
}

const int LARGEST = 256 << 10;  // bytes of dynamic shared memory; it ends at a page that may not be touched
static char *dynamic;
static int dynamic_bytes;

static void body()
{
    kernel(arguments);
    fibers[current].state = DONE;
    _longjmp(scheduler, 1);
}

static void resume(bool first)
{
    if (_setjmp(scheduler)) return;
    if (!first) _longjmp(fibers[current].context, 1);
    getcontext(&starting);
    starting.uc_stack.ss_sp = stacks + (size_t)current * STACK;
    starting.uc_stack.ss_size = STACK;
    makecontext(&starting, body, 0);
    setcontext(&starting);
}

static int place(int i, int n, int order)  // the i-th to run
{
    if (order == 0) return i;
    if (order == 1) return n - 1 - i;
    return int((i * (n % 7919 ? 7919ll : 104729ll) + order) % n);
}

// Threads that wait alike go on together; whether there were any.
static bool released(int first, int count, State state)
{
    for (int i = 0; i < count; i++)
        if (fibers[first + i].state != state || fibers[first + i].line != fibers[first].line) return false;
    for (int i = 0; i < count; i++) fibers[first + i].state = READY;
    if (state == AT_BARRIER) WATCH(barrier(blockIdx.x));
    if (state == AT_WARP) WATCH(warp(blockIdx.x, first));
    if (state == AT_SHUFFLE) WATCH(lanes(blockIdx.x, first));
    return true;
}

static bool released_warp(int first) { return released(first, WARP, AT_SHUFFLE) || released(first, WARP, AT_WARP); }

static bool turn(int first, int count, int order)  // whether any of these threads could go on
{
    bool moved = false;
    for (int i = 0; i < count; i++) {
        current = first + place(i, count, order);
        const State state = fibers[current].state;
        if (state != NEW && state != READY) continue;
        threadIdx.x = current;
        WATCH(thread(blockIdx.x, current));
        resume(state == NEW);
        moved = true;
    }
    return moved;
}

static void run_block(int threads, int order)
{
    const int warps = threads / WARP;
    for (int i = 0; i < threads; i++) {
        fibers[i].state = NEW;
        fibers[i].phase = groups[i] = 0;
        copies[i].clear();
    }
    for (;;) {
        bool moved = false, all_done = true;
        if (order == 0) moved = turn(0, threads, order);
        for (int i = 0; i < warps && order; i++) {
            const int first = place(i, warps, order) * WARP;
            while (turn(first, WARP, order) || released_warp(first)) moved = true;
        }
        for (int i = 0; i < threads; i++) all_done &= fibers[i].state == DONE;
        if (all_done) return;
        for (int warp = 0; warp < threads; warp += WARP) moved |= released_warp(warp);
        moved |= released(0, threads, AT_BARRIER);
        if (!moved) {
            error = PARTED;
            return;
        }
    }
}

static int launch(int grid, int block, int order)
{
    if (!dynamic && dynamic_bytes) {
        dynamic = (char *)mmap(0, LARGEST + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#ifndef WATCHED  // which tells of what is beyond, and goes on
        mprotect(dynamic + LARGEST, 4096, PROT_NONE);
#endif
    }
    if (!stacks)
        stacks = (char *)mmap(0, (size_t)STACK * MOST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block % WARP || block > MOST || block < 1) return BLOCK_SIZE;
    error = NONE;
    blockDim.x = block;
    gridDim.x = grid;
    WATCH(launch(grid, block, 0, dynamic + LARGEST - dynamic_bytes, dynamic_bytes, __ehdr_start, _end));
    WATCH(declared(__start_shared_memory, __stop_shared_memory));
    for (int i = 0; i < grid && !error; i++) {
        blockIdx.x = place(i, grid, order);
        if (__start_shared_memory) memset(__start_shared_memory, 0x5a, __stop_shared_memory - __start_shared_memory);
        if (dynamic_bytes) memset(dynamic + LARGEST - dynamic_bytes, 0x5a, dynamic_bytes);
        WATCH(block(blockIdx.x));
        run_block(block, order);
    }
    WATCH(end());
    return error;
}

template <int...> struct Positions {};
template <int N, int... I> struct Counted : Counted<N - 1, N - 1, I...> {};
template <int... I> struct Counted<0, I...> { typedef Positions<I...> type; };

template <class... A, int... I> static void call(void (*entry)(A...), void **given, Positions<I...>)
{
    entry((A)given[I]...);
}

template <class... A> static void call(void (*entry)(A...), void **given)
{
    call(entry, given, typename Counted<sizeof...(A)>::type());
}

}  // namespace host

static inline float *host_shared() { return (float *)(host::dynamic + host::LARGEST - host::dynamic_bytes); }
extern "C" void use_shared(int bytes) { host::dynamic_bytes = bytes; }  // of dynamic shared memory, from now on

#define ENTRY(name)                                                                                        \
    static void call_##name(void **given) { host::call(name, given); }                                     \
    extern "C" int launch_##name(void **given, int grid, int block, int order)                             \
    {                                                                                                      \
        host::kernel = call_##name;                                                                        \
        host::arguments = given;                                                                           \
        return host::launch(grid, block, order);                                                           \
    }
