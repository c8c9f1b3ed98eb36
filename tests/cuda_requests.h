// What a GPU's memory would see of the accesses of a warp: how many sectors of 32 bytes a request touches, and how often
// shared memory answers it, whose 32 banks give a word each at a time.
//
// Lanes run one after the other, so their n-th accesses by one path of calls, counted since they last met, are taken for
// one request. Lanes that have skipped one before are counted wrongly. Neighbours within 16 bytes that one expression
// reads one by one, as members of a float4, are one access: compilers make that of them.

#pragma once

#include "cuda_order.h"

#include <algorithm>
#include <memory>

namespace watch {

enum Space { GLOBAL, SHARED };

struct Traffic {  // of one site; what is least is of the bytes that are asked for
    int space, width;
    long long requests, touched, least, worst;  // worst: hundredths, of one request
};

const int LANES = 32, MANY = 4000;  // requests of a site that are looked at

struct Request {
    int width;
    const char *at[LANES];  // null: nothing
};

struct Requests {
    unsigned site, counts[LANES];
    Space space;
    std::vector<Request> all;
};

struct Recent { Requests *of; unsigned number, site; const char *at; int width; bool writes; };

const int CLOSE = 256;  // bytes of code of one expression

static std::vector<std::vector<Recent>> recent;  // the last few of each thread
static std::vector<std::vector<std::unique_ptr<Requests>>> requests;  // by warp; by site and space
static std::vector<std::vector<Requests *>> open_requests;  // by warp
static std::vector<Traffic> traffic;  // by site and space

static unsigned key(unsigned site, int space) { return 2 * site + space; }

static int distinct(std::vector<size_t> &values)
{
    std::sort(values.begin(), values.end());
    return int(std::unique(values.begin(), values.end()) - values.begin());
}

static void count_sectors(const Request &r, long long &touched, long long &least)
{
    std::vector<size_t> sectors, places;
    for (const char *at : r.at) {
        if (!at) continue;
        places.push_back((size_t)at);
        for (size_t s = (size_t)at / 32; s <= ((size_t)at + r.width - 1) / 32; s++) sectors.push_back(s);
    }
    touched = distinct(sectors), least = (distinct(places) * r.width + 31) / 32;
}

// Of 8 and 16 bytes a lane, halves and quarters of a warp are answered one after the other.
static void count_turns(const Request &r, long long &touched, long long &least)
{
    const int at_once = r.width > 8 ? 8 : r.width > 4 ? 16 : LANES;
    touched = least = 0;
    for (int first = 0; first < LANES; first += at_once) {
        std::vector<size_t> banks[32];
        int most = 0;
        for (int i = first; i < first + at_once; i++)
            for (int b = 0; r.at[i] && b < r.width; b += 4) {
                const size_t word = ((size_t)r.at[i] + b) / 4;
                banks[word % 32].push_back(word);
            }
        for (auto &bank : banks) most = std::max(most, distinct(bank));
        touched += most, least += most > 0;
    }
}

// The lanes of a warp have met: what they ask for from now on is another request.
static void answer(int warp)
{
    for (Requests *of : open_requests[warp]) {
        Traffic &t = traffic[key(of->site, of->space)];
        for (const Request &r : of->all) {
            long long touched, least;
            (of->space == GLOBAL ? count_sectors : count_turns)(r, touched, least);
            t.requests++, t.touched += touched, t.least += least;
            t.worst = std::max(t.worst, 100 * touched / least);
        }
        of->all.clear();
        std::fill(of->counts, of->counts + LANES, 0u);
    }
    open_requests[warp].clear();
    for (int lane = 0; lane < LANES; lane++) recent[warp * LANES + lane].clear();
}

// Whether it goes on with an access of this thread's, by another instruction of one expression.
static bool goes_on(std::vector<Recent> &mine, int lane, unsigned site, const char *at, int width, bool writes)
{
    for (Recent &r : mine) {
        const Site &one = sites[r.site], &other = sites[site];
        const char *first = std::min(at, r.at);
        if (r.writes || writes || (r.at + r.width != at && at + width != r.at)) continue;
        if ((size_t)first / 16 != ((size_t)first + r.width + width - 1) / 16) continue;
        if (one.depth != other.depth || memcmp(one.at + 1, other.at + 1, (one.depth - 1) * sizeof(char *))) continue;
        if (one.at[0] >= other.at[0] || other.at[0] - one.at[0] > CLOSE) continue;
        r.site = site, r.at = first, r.width += width;
        Request &whole = r.of->all[r.number];
        whole.at[lane] = first, whole.width = std::max(whole.width, r.width);
        Traffic &t = traffic[key(r.of->site, r.of->space)];
        t.width = std::max(t.width, r.width);
        return true;
    }
    return false;
}

static void ask(int warp, int lane, unsigned site, Space space, const char *at, int width, bool writes)
{
    std::vector<Recent> &mine = recent[warp * LANES + lane];
    if (goes_on(mine, lane, site, at, width, writes)) return;
    const unsigned both = key(site, space);
    if (traffic.size() <= both) traffic.resize(both + 1);
    Traffic &t = traffic[both];
    t.space = space, t.width = std::max(t.width, width);
    if (t.requests >= MANY) return;
    if (requests[warp].size() <= both) requests[warp].resize(both + 1);
    std::unique_ptr<Requests> &own = requests[warp][both];
    if (!own) own.reset(new Requests{site, {}, space, {}});
    if (own->all.empty()) open_requests[warp].push_back(own.get());
    const unsigned number = own->counts[lane]++;
    if (own->all.size() <= number) own->all.push_back({width, {}});
    own->all[number].at[lane] = at;
    if (mine.size() == 4) mine.erase(mine.begin());
    mine.push_back({own.get(), number, site, at, width, writes});
}

}  // namespace watch
