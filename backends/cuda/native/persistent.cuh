// A product of a matrix that stays in registers with vectors that change from step to step, by all blocks of a launch.
//
// S describes a launch: Mode (FP32, TF32, BF16; FP16 of halves), Hidden, Batch; a block computes Sums rows of the product, over Terms
// terms, for Rows sequences, and has Warps warps. Blocks come in groups, one for each Rows sequences: those of a group
// wait for each other after every step, since a step reads what all of them have left in the last.
//
// Each warp has Terms / Warps of the terms and all sums, so that each vector is loaded once a block; the warps' parts
// meet in shared memory. The terms of a 16 x 16 tile of the matrix are ordered so that a lane's four are neighbours.

// ------------------------------------------------------------------------------------------------ tiles

// Four terms of 16 rows, of which this lane has rows g and g + 8: what a lane keeps of a 16 x 16 tile of the matrix.
template <int Mode> struct Tile {
    float low[4], high[4];
    __device__ __forceinline__ void set(const float (&g)[4], const float (&g8)[4])
    {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            low[e] = Mode == TF32 ? tf32(g[e]) : g[e];
            high[e] = Mode == TF32 ? tf32(g8[e]) : g8[e];
        }
    }
};
template <> struct Tile<BF16> {
    unsigned words[4];  // what is bfloat16 already stays as it is
    __device__ __forceinline__ void set(const float (&g)[4], const float (&g8)[4])
    {
#pragma unroll
        for (int e = 0; e < 2; e++) {
            words[2 * e] = bf16x2(g[2 * e], g[2 * e + 1]);
            words[2 * e + 1] = bf16x2(g8[2 * e], g8[2 * e + 1]);
        }
    }
};

template <> struct Tile<FP16> {
    unsigned words[4];
    __device__ __forceinline__ void set(const float (&g)[4], const float (&g8)[4])
    {
#pragma unroll
        for (int e = 0; e < 2; e++) {
            words[2 * e] = half_bits(g[2 * e]) | (unsigned)half_bits(g[2 * e + 1]) << 16;
            words[2 * e + 1] = half_bits(g8[2 * e]) | (unsigned)half_bits(g8[2 * e + 1]) << 16;
        }
    }
};

// Four terms of a vector that other blocks may have written: they are read from the cache that all share.
template <class T> struct Four {
    unsigned words[2];
    __device__ __forceinline__ void read(const T *from, bool is_there)
    {
        unsigned long long four = 0;
        if (is_there) four = __ldcg(reinterpret_cast<const unsigned long long *>(from));
        words[0] = (unsigned)four, words[1] = (unsigned)(four >> 32);
    }
};
template <> struct Four<float> {
    float at[4];
    __device__ __forceinline__ void read(const float *from, bool is_there)
    {
        float4 four = {0, 0, 0, 0};
        if (is_there) four = __ldcg(reinterpret_cast<const float4 *>(from));
        at[0] = four.x, at[1] = four.y, at[2] = four.z, at[3] = four.w;
    }
};

// sums += tile x vectors: 16 terms of 8 vectors, of which this lane has four of vector g.
template <class T>
__device__ __forceinline__ void add_product(float (&sums)[4], const Tile<BF16> &tile, const Four<T> &x)
{
    multiply_bf16(sums, tile.words, x.words);
}
template <class T>
__device__ __forceinline__ void add_product(float (&sums)[4], const Tile<FP16> &tile, const Four<T> &x)
{
    multiply_fp16(sums, tile.words, x.words);
}

__device__ __forceinline__ void add_product(float (&sums)[4], const Tile<TF32> &tile, const Four<float> &four)
{
    const float (&x)[4] = four.at;
#pragma unroll
    for (int e = 0; e < 4; e += 2) {
        float a[4] = {tile.low[e], tile.high[e], tile.low[e + 1], tile.high[e + 1]};
        float b[2] = {tf32(x[e]), tf32(x[e + 1])};
        multiply_tf32(sums, a, b);
    }
}

__device__ __forceinline__ void add_product(float (&sums)[4], const Tile<BF16> &tile, const Four<float> &four)
{
    const float (&x)[4] = four.at;
    unsigned b[2] = {bf16x2(x[0], x[1]), bf16x2(x[2], x[3])};
    multiply_bf16(sums, tile.words, b);
}

// float32 from tensor cores: each factor is the sum of two numbers of 11 bits, and the smallest of the four products,
// 2^-22 of the whole, is left out.
__device__ __forceinline__ void add_product(float (&sums)[4], const Tile<FP32> &tile, const Four<float> &four)
{
    const float (&x)[4] = four.at;
#pragma unroll
    for (int e = 0; e < 4; e += 2) {
        float a[4] = {tile.low[e], tile.high[e], tile.low[e + 1], tile.high[e + 1]}, b[2] = {x[e], x[e + 1]};
        float a_rest[4], b_rest[2];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float whole = tf32(a[i]);
            a_rest[i] = tf32(a[i] - whole);
            a[i] = whole;
        }
#pragma unroll
        for (int i = 0; i < 2; i++) {
            float whole = tf32(b[i]);
            b_rest[i] = tf32(b[i] - whole);
            b[i] = whole;
        }
        multiply_tf32(sums, a_rest, b);
        multiply_tf32(sums, a, b_rest);
        multiply_tf32(sums, a, b);
    }
}

// ------------------------------------------------------------------------------------------------ the product

// A block's rows of the matrix: this lane's part, in registers for the whole launch.
template <class S> struct Resident {
    enum {
        Down = S::Sums / 16,
        Along = S::Terms / S::Warps / 16,
        Across = S::Rows / 8,
        Most = Down == 1 ? 8 : Down == 2 ? 4 : Down < 5 ? 2 : 1,  // tiles of vectors at a time: 32 sums beside the matrix
        Together = Across < Most ? Across : Most,
        Pitch = S::Sums + 4  // of parts: the lanes that write a tile meet different banks, and no three that add up meet one
    };
    Tile<S::Mode> tiles[Down][Along];

    // element(r, k): the matrix's element in the block's row r.
    template <class F> __device__ __forceinline__ void load(F element)
    {
        int g = threadIdx.x % 32 / 4, j = threadIdx.x % 4, first = threadIdx.x / 32 * (Along * 16) + 4 * j;
#pragma unroll
        for (int m = 0; m < Down; m++)
#pragma unroll
            for (int n = 0; n < Along; n++) {
                float low[4], high[4];
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    low[e] = element(16 * m + g, first + 16 * n + e);
                    high[e] = element(16 * m + g + 8, first + 16 * n + e);
                }
                tiles[m][n].set(low, high);
            }
    }

    // parts[warp][vector][row] = the warp's terms of matrix x vectors; ``vectors`` (rows, Terms), which begin so many
    // elements ``apart``, rows <= Rows.
    template <class T> __device__ __forceinline__ void multiply(const T *vectors, int apart, int rows, float *parts) const
    {
        int g = threadIdx.x % 32 / 4, j = threadIdx.x % 4, warp = threadIdx.x / 32;
        vectors += warp * (Along * 16) + 4 * j;
        parts += warp * (S::Rows * Pitch);
#pragma unroll 1
        for (int from = 0; from < Across; from += Together) {
            float sums[Down][Together][4];
#pragma unroll
            for (int m = 0; m < Down; m++)
#pragma unroll
                for (int n = 0; n < Together; n++)
#pragma unroll
                    for (int e = 0; e < 4; e++) sums[m][n][e] = 0;
#pragma unroll
            for (int k = 0; k < Along; k++)
#pragma unroll
                for (int n = 0; n < Together; n++) {
                    int vector = 8 * (from + n) + g;
                    Four<T> x;
                    x.read(vectors + vector * apart + 16 * k, vector < rows);
#pragma unroll
                    for (int m = 0; m < Down; m++) add_product(sums[m][n], tiles[m][k], x);
                }
#pragma unroll
            for (int m = 0; m < Down; m++)
#pragma unroll
                for (int n = 0; n < Together; n++)
#pragma unroll
                    for (int e = 0; e < 4; e++)
                        parts[(8 * (from + n) + 2 * j + e % 2) * Pitch + 16 * m + g + e / 2 * 8] = sums[m][n][e];
        }
    }

    // One of the sums, from the parts of all warps.
    static __device__ __forceinline__ float sum(const float *parts, int row, int vector)
    {
        float total = 0;
#pragma unroll
        for (int warp = 0; warp < S::Warps; warp++) total += parts[(warp * S::Rows + vector) * Pitch + row];
        return total;
    }
};

// ------------------------------------------------------------------------------------------------ waiting

// How often the blocks of this group have come by, since the launch: they must all be on the GPU at once.
struct Group {
    unsigned *arrivals, blocks;

    // What this block has written can be read by the group once it has waited.
    __device__ __forceinline__ void arrive() const
    {
        __syncthreads();
        if (threadIdx.x == 0) {
            __threadfence();
            atomicAdd(arrivals, 1u);
        }
    }

    // Until all blocks have arrived ``times`` times.
    __device__ __forceinline__ void wait(unsigned times) const
    {
        if (threadIdx.x == 0) {
            while (arrived() < times * blocks) {}
            __threadfence();
        }
        __syncthreads();
    }

    __device__ __forceinline__ unsigned arrived() const
    {
#ifdef __CUDA_ARCH__
        unsigned count;
        asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(count) : "l"(arrivals) : "memory");
        return count;
#else
        return host_load(arrivals);
#endif
    }
};
