// What is remembered of memory: of each item who wrote it last and who has read it since, and whether a copy is on its way.

#pragma once

#include <algorithm>
#include <memory>

#include "cuda_order.h"

namespace watch {

struct Readers { Stamp one, other; };  // of a warp, since it last met; two stand for all

struct Cell {
    Stamp write, flight;  // flight: the copy that is on its way here
    std::vector<Readers> readers;
    unsigned flights;  // copies that are on their way from here
    bool is_known;
};

const size_t PAGE = 1 << 20, PAGES = 1 << 16;  // of addresses, so that indices that have wrapped around are among them

struct Array {
    char *data;
    size_t bytes;
    int item;
    bool is_known;  // whether it has been given values
    std::vector<std::unique_ptr<Cell[]>> cells;  // 1024 items each
    bool is_declared;
    std::vector<bool> inside;  // by byte; empty: all
};

static char *arena;
static size_t arena_used;
static std::vector<Array> arrays;
static std::vector<short> array_of(PAGES);
static Array dynamic, declared;
static std::vector<Array> dynamics;  // of blocks that run together

enum Kind { RACE, OUTSIDE, UNWRITTEN, IN_FLIGHT };
struct Finding {
    int kind, writes;  // writes: 1 the first, 2 the second
    unsigned first_site, second_site, first_thread, second_thread;
    int array;  // -1: dynamic shared memory, -2: declared
    long long offset;
};
static std::vector<Finding> findings;

static void found(const Finding &f)
{
    for (const Finding &other : findings)
        if (other.kind == f.kind && other.first_site == f.first_site && other.second_site == f.second_site) return;
    if (findings.size() < 200) findings.push_back(f);
}

static Cell *cell_of(Array &array, size_t place)
{
    const size_t number = place / array.item;
    if (array.cells.size() <= number / 1024) array.cells.resize(number / 1024 + 1);
    std::unique_ptr<Cell[]> &some = array.cells[number / 1024];
    if (!some) {
        some.reset(new Cell[1024]());
        for (int i = 0; i < 1024; i++) some[i].is_known = array.is_known;
    }
    return &some[number % 1024];
}

static void forget_accesses(Array &array)
{
    for (auto &some : array.cells)
        for (int i = 0; some && i < 1024; i++) {
            const bool is_known = some[i].is_known;
            some[i] = Cell();
            some[i].is_known = is_known;
        }
}

static void add_reader(Cell &cell, const Stamp &s)
{
    const unsigned warp = (s.thread - 1) / 32;
    for (Readers &r : cell.readers) {
        if ((r.one.thread - 1) / 32 != warp || r.one.interval != s.interval || r.one.epoch != s.epoch) continue;
        if (r.one.thread == s.thread)
            r.one.fences = s.fences;
        else if (!r.other.thread || r.other.thread == s.thread)
            r.other = s;
        return;
    }
    // Whoever writes after the new reader does so after the block's older ones; of blocks that are over, one is enough.
    size_t left = 0;
    bool has_other = false;
    for (const Readers &r : cell.readers) {
        const bool is_own = int(r.one.thread - 1) / threads == block;
        if (is_own && (r.one.interval < s.interval || (r.one.thread - 1) / 32 == warp)) continue;
        if (!is_own && !together && has_other) continue;
        has_other |= !is_own;
        cell.readers[left++] = r;
    }
    cell.readers.resize(left);
    cell.readers.push_back({s, {}});
}

static int number_of(const Array &array)
{
    if (array.is_declared) return -2;
    return &array >= arrays.data() && &array < arrays.data() + arrays.size() ? int(&array - arrays.data()) : -1;
}

static void conflict(const Array &array, size_t place, const Stamp &before, const Stamp &s, int writes)
{
    found({RACE, writes, before.site, s.site, before.thread - 1, s.thread - 1, number_of(array), (long long)place});
}

static void touch(Array &array, size_t place, const Stamp &s, bool writes, bool lands = false)
{
    Cell &cell = *cell_of(array, place);
    if (cell.flight.thread && !lands)
        found({IN_FLIGHT, writes ? 2 : 0, cell.flight.site, s.site, cell.flight.thread - 1, s.thread - 1,
               number_of(array), (long long)place});
    if (cell.flights && writes)
        found({IN_FLIGHT, 2, cell.readers[0].one.site, s.site, cell.readers[0].one.thread - 1, s.thread - 1,
               number_of(array), (long long)place});
    if (!is_before(cell.write)) conflict(array, place, cell.write, s, writes ? 3 : 1);
    if (!writes) {
        if (!cell.is_known)
            found({UNWRITTEN, 0, 0, s.site, 0, s.thread - 1, number_of(array), (long long)place});
        add_reader(cell, s);
        return;
    }
    for (const Readers &r : cell.readers)
        if (!is_before(r.one) || !is_before(r.other))
            conflict(array, place, is_before(r.one) ? r.other : r.one, s, 2);
    cell.readers.clear();
    cell.write = s;
    cell.is_known = true;
}

// The array in or near which an address is; none for what is a thread's own.
static Array *array_at(const char *at)
{
    if (arena_used && (size_t)(at - arena) < PAGE * PAGES)  // behind the last one too
        return &arrays[array_of[std::min(size_t(at - arena), arena_used - 1) / PAGE]];
    if (together) {
        if (dynamics.empty() || at < dynamics[0].data || at >= dynamics.back().data + dynamics.back().bytes + 4096)
            return nullptr;
        return &dynamics[block];
    }
    if (at >= declared.data && at < declared.data + declared.bytes) return &declared;
    if (dynamic.bytes && at >= dynamic.data - 4096 && at < dynamic.data + dynamic.bytes + 4096) return &dynamic;
    return nullptr;
}

static bool is_inside(const Array &array, const char *at, int bytes)
{
    const long long place = at - array.data;
    if (place < 0 || place + bytes > (long long)array.bytes) return false;
    for (int i = 0; i < bytes && !array.inside.empty(); i++)
        if (!array.inside[place + i]) return false;
    return true;
}

// f(place) for each item, if all are inside.
template <class F> static bool each_item(Array &array, const char *at, int bytes, const Stamp &s, bool writes, F f)
{
    const long long place = at - array.data;
    if (!is_inside(array, at, bytes)) {
        found({OUTSIDE, writes ? 2 : 0, 0, s.site, 0, s.thread - 1, number_of(array), place});
        return false;
    }
    for (long long i = place / array.item * array.item; i < place + bytes; i += array.item) f(size_t(i));
    return true;
}

}  // namespace watch
