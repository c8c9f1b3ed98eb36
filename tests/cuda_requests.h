// What a GPU's memory would see of the accesses of a warp: how many sectors of 32 bytes a request touches, and how often
// shared memory answers it, whose 32 banks give a word each at a time.
//
// Lanes run one after the other, so their n-th accesses by one path of calls, counted since they last met, are taken for
// one request. Lanes that have skipped one before are counted wrongly. Neighbours within 16 bytes of shared memory that
// are read one by one in one place of the code, as members of a float4 are, are one access: compilers make that of them.

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

struct Requests;

struct Request {
    int width;
    const char *at[LANES];  // null: nothing
    const char *whole[LANES];  // with the neighbours that are read beside it, which are requests of their own so far
    int whole_width[LANES];
    std::vector<std::pair<Requests *, unsigned>> others;
    bool is_part;
};

struct Requests {
    unsigned site, counts[LANES];
    Space space;
    std::vector<Request> all;
};

struct Recent { Requests *of; unsigned number, site; const char *at; int width; };

const int CLOSE = 192;  // bytes of code of one expression

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

// If all lanes read as many neighbours, these are one request.
static void join_neighbours(Request &r)
{
    int width = 0;
    for (int lane = 0; lane < LANES; lane++) {
        if (!r.at[lane]) continue;
        if (width && r.whole_width[lane] != width) return;
        width = r.whole_width[lane];
    }
    if (width != 8 && width != 16) return;
    r.width = width;
    std::copy(r.whole, r.whole + LANES, r.at);
    for (auto &other : r.others) other.first->all[other.second].is_part = true;
}

// The lanes of a warp have met: what they ask for from now on is another request.
static void answer(int warp)
{
    for (Requests *of : open_requests[warp])
        for (Request &r : of->all)
            if (!r.others.empty()) join_neighbours(r);
    for (Requests *of : open_requests[warp]) {
        Traffic &t = traffic[key(of->site, of->space)];
        for (const Request &r : of->all) {
            long long touched, least;
            if (r.is_part) continue;
            t.width = std::max(t.width, r.width);
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

// Whether an access goes on with one of this thread's, by another instruction of one expression.
static bool goes_on(const Recent &r, unsigned site, const char *at, int width)
{
    const Site &one = sites[r.site], &other = sites[site];
    const char *first = std::min(at, r.at);
    return (r.at + r.width == at || at + width == r.at) &&
           (size_t)first / 16 == ((size_t)first + r.width + width - 1) / 16 && one.depth == other.depth &&
           !memcmp(one.at + 1, other.at + 1, (one.depth - 1) * sizeof(char *)) && one.at[0] < other.at[0] &&
           other.at[0] - one.at[0] <= CLOSE;
}

static Recent recorded(int warp, int lane, unsigned both, unsigned site, Space space, const char *at, int width)
{
    if (requests[warp].size() <= both) requests[warp].resize(both + 1);
    std::unique_ptr<Requests> &own = requests[warp][both];
    if (!own) own.reset(new Requests{site, {}, space, {}});
    if (own->all.empty()) open_requests[warp].push_back(own.get());
    const unsigned number = own->counts[lane]++;
    if (own->all.size() <= number) own->all.push_back({width, {}, {}, {}, {}, false});
    Request &now = own->all[number];
    now.at[lane] = now.whole[lane] = at, now.whole_width[lane] = width;
    return {own.get(), number, site, at, width};
}

static void ask(int warp, int lane, unsigned site, Space space, const char *at, int width, bool writes)
{
    const unsigned both = key(site, space);
    if (traffic.size() <= both) traffic.resize(both + 1);
    Traffic &t = traffic[both];
    t.space = space;
    std::vector<Recent> &mine = recent[warp * LANES + lane];
    const bool is_joined = space == SHARED && !writes;
    Recent *before = nullptr;
    for (Recent &r : mine)
        if (is_joined && goes_on(r, site, at, width)) before = &r;
    if (before) before->site = site, before->at = std::min(at, before->at), before->width += width;
    Recent now = {nullptr, 0, site, at, width};
    if (t.requests < MANY && !(before && !before->of)) now = recorded(warp, lane, both, site, space, at, width);
    if (before && before->of) {
        Request &whole = before->of->all[before->number];
        whole.whole[lane] = before->at, whole.whole_width[lane] = before->width;
        if (now.of) whole.others.push_back({now.of, now.number});
    }
    if (before || !is_joined) return;
    if (mine.size() == 4) mine.erase(mine.begin());
    mine.push_back(now);
}

}  // namespace watch
