// Who runs, and what has certainly been done before. Two accesses of different threads, of which one writes, must be in an
// order that barriers make, however threads happen to run: __syncthreads for a block; __syncwarp, but no shuffle, for a
// warp; for blocks nothing within a launch, but for what a thread has released (a fence, then an atomic operation) and
// another one acquired. A barrier orders what the whole block does, so a block's accesses are dated by how many it has
// passed; what a thread knows of other blocks is such a date for each. Lamport, Time, Clocks and the Ordering of Events
// in a Distributed System, 1978; Flanagan and Freund, FastTrack, 2009.

#pragma once

#include <stddef.h>
#include <string.h>
#include <vector>

namespace watch {

// ------------------------------------------------------------------------------------------------ who runs

struct Date {  // of a block: all before its barrier ``interval``; and of one thread what it did before its fence ``fences``
    unsigned interval, thread, fences;
};
typedef std::vector<Date> Clock;  // by block

struct Copy { char *to; const char *from; int bytes, filled, group; unsigned site; };

struct Thread {
    unsigned fences;
    Clock known, released, read;  // empty: what the block knows; nothing
    std::vector<Copy> copies;
    int groups;
};

struct Block { unsigned interval; Clock known; };

static std::vector<Thread> all_threads;
static std::vector<Block> blocks;
static std::vector<unsigned> warps;  // how often each has met at __syncwarp
static std::vector<std::pair<const void *, Clock>> released;  // by atomic operations on a place
static int threads, block, current;  // of a block; the block and the thread that run
static bool together, watched;
static const char *code_first, *code_last;

static int warp_of(int thread) { return (together ? thread : thread % threads) / 32; }

static const Clock &known_to(int thread)
{
    return all_threads[thread].known.empty() ? blocks[thread / threads].known : all_threads[thread].known;
}

static void join(Clock &clock, const Clock &other)
{
    if (clock.empty()) clock.resize(blocks.size());
    for (size_t i = 0; i < other.size(); i++)
        if (other[i].interval > clock[i].interval ||
            (other[i].interval == clock[i].interval && other[i].fences > clock[i].fences))
            clock[i] = other[i];
}

// ------------------------------------------------------------------------------------------------ where in the text

const int DEEP = 24;
struct Site { int depth; const char *at[DEEP]; };

static std::vector<Site> sites(1);
static std::vector<unsigned> site_table(1 << 16);

// The calls by which an access is reached, from the inside.
static unsigned site_of(void **frame)
{
    Site site = {0, {}};
    size_t hash = 0;
    while (site.depth < DEEP) {
        const char *at = (const char *)frame[1];
        if (at < code_first || at >= code_last) break;
        site.at[site.depth++] = at;
        hash = (hash ^ (size_t)at) * 0x9e3779b97f4a7c15ull;
        frame = (void **)frame[0];
    }
    for (size_t i = hash >> 48;; i = (i + 1) % site_table.size()) {
        const unsigned found = site_table[i];
        if (!found) {
            sites.push_back(site);
            return site_table[i] = sites.size() - 1;
        }
        if (sites[found].depth == site.depth && !memcmp(sites[found].at, site.at, site.depth * sizeof(char *)))
            return found;
    }
}

// ------------------------------------------------------------------------------------------------ what is before

struct Stamp { unsigned thread, interval, epoch, fences, site; };  // thread: its number and 1; 0: nobody

static Stamp now(unsigned site)
{
    return {current + 1u, blocks[block].interval, warps[current / 32], all_threads[current].fences, site};
}

static bool is_before(const Stamp &s)
{
    const int thread = s.thread - 1, its_block = thread / threads;
    if (!s.thread || thread == current) return true;
    if (its_block == block)
        return s.interval < blocks[block].interval || (thread / 32 == current / 32 && s.epoch < warps[current / 32]);
    if (!together || known_to(current).empty()) return false;
    const Date &date = known_to(current)[its_block];
    return s.interval < date.interval ||
           (s.interval == date.interval && s.thread == date.thread && s.fences < date.fences);
}

// ------------------------------------------------------------------------------------------------ from block to block

// What a thread has done before its last fence is released by an atomic operation that writes; what it reads so is
// acquired by its next fence, or at once.
static Clock &at_place(const volatile void *place)
{
    for (auto &one : released)
        if (one.first == place) return one.second;
    released.push_back({(const void *)place, Clock()});
    return released.back().second;
}

static void acquire(const Clock &clock)
{
    Thread &thread = all_threads[current];
    if (clock.empty()) return;
    if (thread.known.empty()) thread.known = known_to(current);
    join(thread.known, clock);
}

static void fence()
{
    Thread &thread = all_threads[current];
    acquire(thread.read);
    thread.fences++;
    thread.released.clear();
    join(thread.released, known_to(current));
    thread.released[block] = {blocks[block].interval, current + 1u, thread.fences};
}

}  // namespace watch
