// Who may have read or written what before whom: data races, accesses out of bounds, and memory that nobody has written,
// in CUDA C that runs on the host (cuda_host.h, cuda_grid.h).
//
// The compiler calls __tsan_read4 and the like before each access (-fsanitize=thread; its own library is not linked).

#include <string.h>
#include <sys/mman.h>

#include "cuda_cells.h"
#include "cuda_requests.h"

namespace watch {

static void access(const char *at, int bytes, bool writes, void **frame)
{
    Array *array = watched ? array_at(at) : nullptr;
    if (!array) return;
    const Stamp s = now(site_of(frame));
    if (!each_item(*array, at, bytes, s, writes, [&](size_t i) { touch(*array, i, s, writes); })) return;
    const Space space = array->data >= arena && array->data < arena + arena_used ? GLOBAL : SHARED;
    ask(warp_of(current), current % 32, s.site, space, at, bytes, writes);
}

// ------------------------------------------------------------------------------------------------ copies

static void begin(void *to, const void *from, int bytes, int filled, void **frame)
{
    const Stamp s = now(site_of(frame));
    Array *target = array_at((char *)to), *source = bytes ? array_at((char *)from) : nullptr;
    bool is_well = true;
    if (source) {
        is_well = each_item(*source, (char *)from, bytes, s, false, [&](size_t i) {
            touch(*source, i, s, false);
            cell_of(*source, i)->flights++;
        });
        ask(warp_of(current), current % 32, s.site, GLOBAL, (char *)from, bytes, false);
    }
    if (target) {
        ask(warp_of(current), current % 32, s.site, SHARED, (char *)to, filled, true);
        is_well &= each_item(*target, (char *)to, filled, s, true, [&](size_t i) {
            touch(*target, i, s, true);
            cell_of(*target, i)->flight = s;
        });
    } else
        found({OUTSIDE, 2, 0, s.site, 0, s.thread - 1, -1, 0});
    if (is_well && target)
        all_threads[current].copies.push_back({(char *)to, (char *)from, bytes, filled, all_threads[current].groups, s.site});
}

static void land(const Copy &copy)
{
    const Stamp s = now(copy.site);
    Array *target = array_at(copy.to), *source = copy.bytes ? array_at(copy.from) : nullptr;
    each_item(*target, copy.to, copy.filled, s, true, [&](size_t i) {
        touch(*target, i, s, true, true);
        cell_of(*target, i)->flight = Stamp();
    });
    if (source)
        each_item(*source, copy.from, copy.bytes, s, false, [&](size_t i) {
            touch(*source, i, s, false);
            cell_of(*source, i)->flights--;
        });
}

static void land_all_but(int thread, int groups)
{
    std::vector<Copy> &mine = all_threads[thread].copies, left;
    for (const Copy &copy : mine)
        if (copy.group >= groups) left.push_back(copy);
        else land(copy);
    mine.swap(left);
}

static void end_block()
{
    for (int i = 0; i < threads; i++) {
        current = block * threads + i;
        land_all_but(current, 1 << 30);
        if (i % 32 == 0) answer(warp_of(current));
    }
}

}  // namespace watch

using namespace watch;

// ------------------------------------------------------------------------------------------------ from the harness

extern "C" {

void watch_launch(int count, int size, int at_once, char *shared, size_t bytes, const char *first, const char *last)
{
    threads = size, together = at_once, block = current = 0;
    code_first = first, code_last = last;
    all_threads.assign((size_t)count * size, Thread());
    blocks.assign(count, Block());
    for (Block &b : blocks) b.interval = 1, b.known.clear();
    warps.assign((size_t)count * size / 32, 0);
    requests.clear(), requests.resize(warps.size());
    open_requests.assign(warps.size(), {});
    recent.assign(all_threads.size(), {});
    released.clear();
    for (Array &array : arrays) forget_accesses(array);
    dynamic = Array();
    dynamics.clear();
    for (int i = 0; i < (together ? count : 1); i++) {
        Array array = Array();
        array.data = shared + i * bytes, array.bytes = bytes, array.item = 4;
        if (together) dynamics.push_back(std::move(array));
        else dynamic = std::move(array);
    }
    watched = true;
}

void watch_declared(char *first, char *last)
{
    declared.data = first, declared.bytes = last - first, declared.item = 1, declared.is_declared = true;
}

void watch_block(int number)
{
    end_block();
    block = number;
    dynamic.cells.clear(), declared.cells.clear();
}

void watch_thread(int number, int thread) { block = number, current = number * threads + thread; }

void watch_barrier(int number)
{
    Block &own = blocks[number];
    own.interval++;
    for (int i = number * threads; i < (number + 1) * threads; i++) {
        Thread &thread = all_threads[i];
        if (!thread.known.empty()) join(own.known, thread.known);
        thread.known.clear();
        if (i % 32 == 0) answer(warp_of(i));
    }
}

void watch_warp(int number, int first)
{
    const int all = number * threads + first;
    warps[all / 32]++;
    Clock known;
    for (int i = all; i < all + 32; i++)
        if (!all_threads[i].known.empty()) join(known, all_threads[i].known);
    for (int i = all; i < all + 32 && !known.empty(); i++) all_threads[i].known = known;
    answer(warp_of(all));
}

void watch_lanes(int number, int first) { answer(warp_of(number * threads + first)); }

void watch_copy(const void *to, const void *from, int bytes, int filled)
{
    begin((void *)to, from, bytes, filled, (void **)__builtin_frame_address(0));
}

void watch_end_group() { all_threads[current].groups++; }

void watch_wait(int but) { land_all_but(current, all_threads[current].groups - but); }

void watch_end()
{
    if (!together) end_block();
    for (block = 0; together && block < (int)blocks.size(); block++) end_block();
    watched = false;
}

// ------------------------------------------------------------------------------------------------ from the tests

// Memory for an array: ``item`` bytes are read and written at once; ``is_known``: whether it holds what may be read.
char *watch_array(size_t bytes, int item, int is_known, size_t offset)
{
    if (!arena)
        arena = (char *)mmap(0, PAGE * PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    const size_t pages = (bytes + offset) / PAGE + 3, first = arena_used / PAGE;
    if (arena == MAP_FAILED || first + pages > PAGES) return nullptr;
    Array array = Array();
    array.data = arena + arena_used + PAGE + offset, array.bytes = bytes, array.item = item, array.is_known = is_known;
    for (size_t i = 0; i < pages; i++) array_of[first + i] = arrays.size();
    arrays.push_back(std::move(array));
    arena_used += pages * PAGE;
    return arrays.back().data;
}

void watch_no_symbols() { declared.inside.assign(declared.inside.size(), false); }

void watch_symbol(size_t offset, size_t bytes)  // of declared shared memory, from its beginning
{
    if (declared.inside.size() < offset + bytes) declared.inside.resize(offset + bytes);
    std::fill(declared.inside.begin() + offset, declared.inside.begin() + offset + bytes, true);
}

void watch_forget()
{
    for (Array &array : arrays) forget_accesses(array);
    arrays.clear(), findings.clear(), traffic.clear();
    dynamic = Array(), declared = Array();
    sites.resize(1);
    std::fill(site_table.begin(), site_table.end(), 0);
    if (arena) madvise(arena, arena_used, MADV_DONTNEED);
    arena_used = 0;
}

int watch_findings(Finding *to, int room)
{
    const int count = std::min<int>(room, findings.size());
    std::copy(findings.begin(), findings.begin() + count, to);
    return count;
}

int watch_site(unsigned site, size_t *to)  // the calls, from the inside, as places in the library
{
    for (int i = 0; i < sites[site].depth; i++) to[i] = sites[site].at[i] - code_first;
    return sites[site].depth;
}

int watch_traffic(unsigned site, int space, Traffic *to)
{
    if (key(site, space) >= traffic.size()) return 0;
    *to = traffic[key(site, space)];
    return 1;
}

unsigned watch_sites() { return sites.size(); }

// ------------------------------------------------------------------------------------------------ from the compiler

#define FRAME (void **)__builtin_frame_address(0)
#define ACCESSES(n)                                                                         \
    void __tsan_read##n(void *at) { access((char *)at, n, false, FRAME); }                 \
    void __tsan_write##n(void *at) { access((char *)at, n, true, FRAME); }                 \
    void __tsan_unaligned_read##n(void *at) { access((char *)at, n, false, FRAME); }       \
    void __tsan_unaligned_write##n(void *at) { access((char *)at, n, true, FRAME); }       \
    void __tsan_volatile_read##n(void *at) { access((char *)at, n, false, FRAME); }        \
    void __tsan_volatile_write##n(void *at) { access((char *)at, n, true, FRAME); }
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)
void __tsan_read_range(void *at, size_t bytes) { access((char *)at, bytes, false, FRAME); }
void __tsan_write_range(void *at, size_t bytes) { access((char *)at, bytes, true, FRAME); }
void __tsan_vptr_update(void **, void *) {}
void __tsan_vptr_read(void **) {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
void __tsan_init() {}

static void atomically(const volatile void *place, bool reads, bool writes, int order)
{
    if (!watched) return;
    Thread &thread = all_threads[current];
    Clock &clock = at_place(place);
    if (reads && order != __ATOMIC_RELAXED && order != __ATOMIC_RELEASE) acquire(clock);
    else if (reads && !clock.empty()) join(thread.read, clock);
    if (writes && order != __ATOMIC_RELAXED && order != __ATOMIC_ACQUIRE && order != __ATOMIC_CONSUME) fence();
    if (writes && !thread.released.empty()) join(clock, thread.released);
}

void __tsan_atomic_thread_fence(int)
{
    if (watched) fence();
}

unsigned __tsan_atomic32_fetch_add(volatile unsigned *place, unsigned value, int order)
{
    atomically(place, true, true, order);
    return __atomic_fetch_add(place, value, __ATOMIC_SEQ_CST);
}

unsigned __tsan_atomic32_load(const volatile unsigned *place, int order)
{
    atomically(place, true, false, order);
    return __atomic_load_n(place, __ATOMIC_SEQ_CST);
}

void __tsan_atomic32_store(volatile unsigned *place, unsigned value, int order)
{
    atomically(place, false, true, order);
    __atomic_store_n(place, value, __ATOMIC_SEQ_CST);
}
}
