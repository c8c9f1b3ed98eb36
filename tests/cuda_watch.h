// What cuda_host.h and cuda_grid.h tell cuda_races.cpp, if WATCHED is defined: who runs, who has waited for whom, and which
// copies go on meanwhile. Reads, writes and atomic operations it hears of from the compiler (-fsanitize=thread).

#pragma once

#ifdef WATCHED
#include <stddef.h>

// This library in memory.
extern char __ehdr_start[] __attribute__((visibility("hidden")));
extern char _end[] __attribute__((visibility("hidden")));

extern "C" {
// together: whether blocks run at once. Dynamic shared memory: ``bytes`` for each block, or one place for all, one block
// after the other, who have declared memory in common too.
void watch_launch(int blocks, int threads, int together, char *shared, size_t bytes, const char *first, const char *last);
void watch_declared(char *first, char *last);
void watch_block(int block);  // begins
void watch_thread(int block, int thread);  // goes on
void watch_barrier(int block);
void watch_warp(int block, int first_thread);  // has met at __syncwarp
void watch_lanes(int block, int first_thread);  // have shown each other something, which orders no memory
void watch_copy(const void *to, const void *from, int bytes, int filled);
void watch_end_group();
void watch_wait(int but);
void watch_end();
}
#define WATCH(call) watch_##call
#else
#define WATCH(call) ((void)0)
#endif
