// Neighbours in memory as one load, and reductions over the threads of a warp and of a block.

template <class T, int N> struct alignas(sizeof(T) * N) Pack { T at[N]; };

template <int N, class T> __device__ __forceinline__ Pack<T, N> load(const T *from)
{
    return *reinterpret_cast<const Pack<T, N> *>(from);
}

template <int N, class T> __device__ __forceinline__ void store(T *to, const Pack<T, N> &pack)
{
    *reinterpret_cast<Pack<T, N> *>(to) = pack;
}

// The first ``count`` of them, of N or more.
template <int N, class T> __device__ __forceinline__ Pack<T, N> load(const T *from, int count)
{
    if (count >= N) return load<N>(from);
    Pack<T, N> pack;
#pragma unroll
    for (int i = 0; i < N; i++) pack.at[i] = i < count ? from[i] : T(0);
    return pack;
}

template <int N, class T> __device__ __forceinline__ void store(T *to, const Pack<T, N> &pack, int count)
{
    if (count >= N) return store<N>(to, pack);
#pragma unroll
    for (int i = 0; i < N; i++)
        if (i < count) to[i] = pack.at[i];
}

struct Sum {
    template <class T> static __device__ __forceinline__ T of(T a, T b)
    {
        typedef typename Unsigned<T>::type U;
        return T(U(a) + U(b));
    }
    static __device__ __forceinline__ float of(float a, float b) { return a + b; }
    static __device__ __forceinline__ double of(double a, double b) { return a + b; }
};
struct Product {
    template <class T> static __device__ __forceinline__ T of(T a, T b)
    {
        typedef typename Unsigned<T>::type U;
        return T(U(a) * U(b));
    }
    static __device__ __forceinline__ float of(float a, float b) { return a * b; }
    static __device__ __forceinline__ double of(double a, double b) { return a * b; }
};
struct Largest {
    template <class T> static __device__ __forceinline__ T of(T a, T b) { return larger(a, b); }
};
struct Smallest {
    template <class T> static __device__ __forceinline__ T of(T a, T b) { return smaller(a, b); }
};
struct Any {
    template <class T> static __device__ __forceinline__ T of(T a, T b) { return a | b; }
};
struct All {
    template <class T> static __device__ __forceinline__ T of(T a, T b) { return a & b; }
};

// The value of the lane whose number differs in the bits of ``other``; all lanes of the warp take part.
template <class T> __device__ __forceinline__ T exchanged(T x, int other)
{
    return T(__shfl_xor_sync(0xffffffffu, x, other));
}
template <> __device__ __forceinline__ bool exchanged<bool>(bool x, int other)
{
    return __shfl_xor_sync(0xffffffffu, int(x), other) != 0;
}

// Of N neighbouring lanes, N a power of two: all of them get the same bits, for every pair is combined in one order.
template <class Operation, int N, class T> __device__ __forceinline__ T over_lanes(T x)
{
#pragma unroll
    for (int other = N / 2; other; other /= 2) x = Operation::of(x, exchanged(x, other));
    return x;
}

// Of all N threads of a block, N a multiple of 32, to all of them; memory: one place a warp.
template <class Operation, int N, class T> __device__ __forceinline__ T over_block(T x, T *memory, T neutral)
{
    x = over_lanes<Operation, 32>(x);
    if (N <= 32) return x;
    __syncthreads();  // the memory may still be read
    if (threadIdx.x % 32 == 0) memory[threadIdx.x / 32] = x;
    __syncthreads();
    x = threadIdx.x % 32 < N / 32 ? memory[threadIdx.x % 32] : neutral;
    return over_lanes<Operation, 32>(x);
}

// Of the N threads of a block of 32 N whose numbers are equal modulo 32, to all of them; memory: one place a thread.
template <class Operation, int N, class T> __device__ __forceinline__ T over_warps(T x, T *memory)
{
    __syncthreads();
    memory[threadIdx.x] = x;
    __syncthreads();
    x = memory[threadIdx.x % 32];
    for (int i = 1; i < N; i++) x = Operation::of(x, memory[threadIdx.x % 32 + 32 * i]);
    return x;
}
