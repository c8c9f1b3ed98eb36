// Sums by index in an order that is known: places are sorted, equal ones in the order they came in, and each sum is made
// by one thread, one addend after another. All sizes are known to whoever launches, so that a stream can be captured.

typedef unsigned long long Key;  // a place, and below it the addend's number: no two are equal

const int RUN = 1024, THREADS = 256;

// Sorts as many at a time as a block holds: Batcher, Sorting Networks and Their Applications, 1968. Places out of range
// come last. bytes: of an index, as for ``index_at``. from_back: whether indices below 0 count from the back. plane: after
// so many indices they count from ``step`` places further on; 0 if all count from the first.
extern "C" __global__ void __launch_bounds__(THREADS)
    sort_runs(const void *indices, Key *keys, long long n, long long length, long long bytes, long long from_back,
              long long plane, long long step)
{
    __shared__ Key run[RUN];
    const long long first = (long long)blockIdx.x * RUN;
    for (int i = threadIdx.x; i < RUN; i += THREADS) {
        run[i] = ~0ull;
        if (first + i < n) {
            long long index = index_at(indices, int(bytes), first + i);
            if (from_back && index < 0) index += length;
            if (plane) index += (first + i) / plane * step;
            run[i] = (index >= 0 && index < length ? (Key)index : 0xffffffffull) << 32 | (Key)(first + i);
        }
    }
    for (int size = 2; size <= RUN; size *= 2)
        for (int apart = size / 2; apart; apart /= 2) {
            __syncthreads();
            for (int pair = threadIdx.x; pair < RUN / 2; pair += THREADS) {
                const int i = pair / apart * (2 * apart) + pair % apart;
                const Key low = run[i], high = run[i + apart];
                if ((low > high) == ((i & size) == 0)) run[i] = high, run[i + apart] = low;
            }
        }
    __syncthreads();
    for (int i = threadIdx.x; i < RUN; i += THREADS)
        if (first + i < n) keys[first + i] = run[i];
}

// How many of the n keys, which are sorted, are less.
__device__ __forceinline__ long long how_many_are_less(const Key *keys, long long n, Key than)
{
    long long low = 0, high = n;
    while (low < high) {
        const long long middle = (low + high) / 2;
        if (keys[middle] < than)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// Makes one sorted run of every two: each key goes behind those before it in its own, and those that are less in the other.
extern "C" __global__ void __launch_bounds__(THREADS) merge_runs(const Key *from, Key *to, long long n, long long length)
{
    const long long i = (long long)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n) return;
    const long long pair = i / (2 * length) * (2 * length), middle = pair + length < n ? pair + length : n;
    const long long end = middle + length < n ? middle + length : n;
    const bool is_left = i < middle;
    const long long before = is_left ? how_many_are_less(from + middle, end - middle, from[i])
                                     : how_many_are_less(from + pair, middle - pair, from[i]);
    to[(is_left ? i : i - (middle - pair)) + before] = from[i];
}

// Where the keys of each place begin, and after the last where they end.
extern "C" __global__ void __launch_bounds__(THREADS)
    find_starts(const Key *keys, long long *starts, long long n, long long length)
{
    const long long place = (long long)blockIdx.x * THREADS + threadIdx.x;
    if (place <= length) starts[place] = how_many_are_less(keys, n, (Key)place << 32);
}

// Sum: what is added in.
template <typename T, typename Sum>
__device__ void sum_by_index(const T *values, const Key *keys, const long long *starts, T *sums, long long n,
                             long long length, long long inner, long long size)
{
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < size; i += step) {
        const long long column = i % inner, row = i / inner % length, outer = i / (inner * length);
        const T *from = values + outer * n * inner + column;
        Sum sum = 0;
        for (long long k = starts[row]; k < starts[row + 1]; ++k) sum += Sum(from[(long long)(unsigned)keys[k] * inner]);
        sums[i] = T(sum);
    }
}

#define SUM_BY_INDEX(name, T, Sum)                                                                                   \
    extern "C" __global__ void sum_by_index_##name(const T *values, const Key *keys, const long long *starts, T *sums, \
                                                   long long n, long long length, long long inner, long long size)   \
    {                                                                                                                \
        sum_by_index<T, Sum>(values, keys, starts, sums, n, length, inner, size);                                    \
    }
SUM_BY_INDEX(float, float, float)
SUM_BY_INDEX(double, double, double)
SUM_BY_INDEX(half, Half, float)
SUM_BY_INDEX(brain, Brain, float)
