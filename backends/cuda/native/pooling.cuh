// Maxima, sums and their adjoint over sliding windows: one thread an element of the result. Arrays are (planes, three axes);
// axes that there are not have length 1. Sizes are arguments, so that one code does for all; arrays have less than 2^31
// elements.

struct Windows {
    int size[3], kernel[3], stride[3], before[3], dilation[3], output[3];  // as of the operation; padding before
};

#define WINDOWS                                                                                                     \
    long long n0, long long n1, long long n2, long long k0, long long k1, long long k2, long long s0, long long s1, \
        long long s2, long long p0, long long p1, long long p2, long long d0, long long d1, long long d2,           \
        long long t0, long long t1, long long t2
#define MADE                                                                                                         \
    Windows{{int(n0), int(n1), int(n2)}, {int(k0), int(k1), int(k2)}, {int(s0), int(s1), int(s2)},                   \
            {int(p0), int(p1), int(p2)}, {int(d0), int(d1), int(d2)}, {int(t0), int(t1), int(t2)}}

// An element of (planes, axes) as its plane and its place along each axis.
__device__ __forceinline__ int taken_apart(int element, const int (&of)[3], int (&at)[3])
{
#pragma unroll
    for (int a = 2; a >= 0; a--) {
        at[a] = element % of[a];
        element /= of[a];
    }
    return element;
}

// f(place in the plane) for each tap of the window at ``at`` that is within the input, in order.
template <class F> __device__ __forceinline__ void each_tap(const Windows &w, const int (&at)[3], F f)
{
    int first[3];
#pragma unroll
    for (int a = 0; a < 3; a++) first[a] = at[a] * w.stride[a] - w.before[a];
    for (int i = 0; i < w.kernel[0]; i++) {
        const int x = first[0] + i * w.dilation[0];
        if (x < 0 || x >= w.size[0]) continue;
        for (int j = 0; j < w.kernel[1]; j++) {
            const int y = first[1] + j * w.dilation[1];
            if (y < 0 || y >= w.size[1]) continue;
            for (int k = 0; k < w.kernel[2]; k++) {
                const int z = first[2] + k * w.dilation[2];
                if (z >= 0 && z < w.size[2]) f((x * w.size[1] + y) * w.size[2] + z);
            }
        }
    }
}

// Of equal maxima the first counts, of several NaN the last: as the formula has it.
template <class T>
__device__ __forceinline__ void max_pool(const T *input, T *maxima, int *places, int elements, const Windows &w)
{
    const int element = blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= elements) return;
    int at[3];
    const T *plane = input + taken_apart(element, w.output, at) * (w.size[0] * w.size[1] * w.size[2]);
    T best = 0;
    int place = -1;
    each_tap(w, at, [&](int here) {
        const T value = plane[here];
        if (place < 0 || value > best || value != value) best = value, place = here;
    });
    maxima[element] = best;
    places[element] = int(place);
}

template <class T>
__device__ __forceinline__ void window_sums(const T *input, T *sums, int elements, const Windows &w)
{
    const int element = blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= elements) return;
    int at[3];
    const T *plane = input + taken_apart(element, w.output, at) * (w.size[0] * w.size[1] * w.size[2]);
    T sum = 0;
    each_tap(w, at, [&](int here) { sum += plane[here]; });
    sums[element] = sum;
}

// To each place of the input, what the windows bring that it is in: tap by tap, as the formula adds it.
template <class T>
__device__ __forceinline__ void window_shares(const T *shares, T *sums, int elements, const Windows &w)
{
    const int element = blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= elements) return;
    int at[3], none[3];
    const T *plane = shares + taken_apart(element, w.size, at) * (w.output[0] * w.output[1] * w.output[2]);
    T sum = 0;
    auto window = [&](int a, int tap, int &which) {
        const int from = at[a] + w.before[a] - tap * w.dilation[a];
        which = from / w.stride[a];
        return from >= 0 && from % w.stride[a] == 0 && which < w.output[a];
    };
    for (int i = 0; i < w.kernel[0]; i++) {
        if (!window(0, i, none[0])) continue;
        for (int j = 0; j < w.kernel[1]; j++) {
            if (!window(1, j, none[1])) continue;
            for (int k = 0; k < w.kernel[2]; k++)
                if (window(2, k, none[2])) sum += plane[(none[0] * w.output[1] + none[1]) * w.output[2] + none[2]];
        }
    }
    sums[element] = sum;
}

#define POOLING(T)                                                                                               \
    extern "C" __global__ void __launch_bounds__(256)                                                             \
        max_pool_##T(const T *input, T *maxima, int *places, long long elements, WINDOWS)                         \
    {                                                                                                             \
        max_pool<T>(input, maxima, places, int(elements), MADE);                                               \
    }                                                                                                             \
    extern "C" __global__ void __launch_bounds__(256)                                                             \
        window_sums_##T(const T *input, T *sums, long long elements, WINDOWS)                                     \
    {                                                                                                             \
        window_sums<T>(input, sums, int(elements), MADE);                                                      \
    }                                                                                                             \
    extern "C" __global__ void __launch_bounds__(256)                                                             \
        window_shares_##T(const T *shares, T *sums, long long elements, WINDOWS)                                  \
    {                                                                                                             \
        window_shares<T>(shares, sums, int(elements), MADE);                                                   \
    }
POOLING(float)
POOLING(double)
