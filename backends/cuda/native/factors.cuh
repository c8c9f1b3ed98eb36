// What a block multiplies: parts of both factors in registers, and copies to shared memory that go on meanwhile.

// A product of 16 rows with 8 columns over 16 terms, as one lane has it: of rows g and g + 8 and of column g the four
// terms that its number modulo 4 stands for, whichever they are, if both factors have the same. In bfloat16 and TF32
// factors are rounded. float32 is made of three products: each factor is the sum of two numbers of 11 bits, and the
// smallest of the four products, 2^-22 of the whole, is left out; where a factor is infinite the result is NaN.

__device__ __forceinline__ void split(float x, float &whole, float &rest)
{
    whole = tf32(x);
    rest = tf32(x - whole);
}

template <int Mode> struct Rows {
    float at[8], rest[Mode == FP32 ? 8 : 1];  // 0..3 of row g, 4..7 of row g + 8
    __device__ __forceinline__ void set(const float4 &low, const float4 &high)
    {
        float x[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
        for (int i = 0; i < 8; i++) {
            if (Mode == FP32)
                split(x[i], at[i], rest[i % (Mode == FP32 ? 8 : 1)]);
            else
                at[i] = tf32(x[i]);
        }
    }
};
template <> struct Rows<BF16> {
    unsigned words[4];
    __device__ __forceinline__ void set(const float4 &low, const float4 &high)
    {
        words[0] = bf16x2(low.x, low.y);
        words[1] = bf16x2(high.x, high.y);
        words[2] = bf16x2(low.z, low.w);
        words[3] = bf16x2(high.z, high.w);
    }
};
template <> struct Rows<FP16> { unsigned words[4]; };  // read as they are multiplied

template <int Mode> struct Column {
    float at[4], rest[Mode == FP32 ? 4 : 1];
    __device__ __forceinline__ void set(const float4 &four)
    {
        float x[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (Mode == FP32)
                split(x[i], at[i], rest[i % (Mode == FP32 ? 4 : 1)]);
            else
                at[i] = tf32(x[i]);
        }
    }
};
template <> struct Column<BF16> {
    unsigned words[2];
    __device__ __forceinline__ void set(const float4 &four)
    {
        words[0] = bf16x2(four.x, four.y);
        words[1] = bf16x2(four.z, four.w);
    }
};
template <> struct Column<FP16> { unsigned words[2]; };

template <int Mode> __device__ __forceinline__ void add_product(float (&sums)[4], const Rows<Mode> &a, const Column<Mode> &b)
{
#pragma unroll
    for (int e = 0; e < 4; e += 2) {
        float whole_a[4] = {a.at[e], a.at[e + 4], a.at[e + 1], a.at[e + 5]}, whole_b[2] = {b.at[e], b.at[e + 1]};
        if (Mode == FP32) {
            float rest_a[4] = {a.rest[e], a.rest[e + 4], a.rest[e + 1], a.rest[e + 5]};
            float rest_b[2] = {b.rest[e], b.rest[e + 1]};
            multiply_tf32(sums, rest_a, whole_b);
            multiply_tf32(sums, whole_a, rest_b);
        }
        multiply_tf32(sums, whole_a, whole_b);
    }
}
__device__ __forceinline__ void add_product(float (&sums)[4], const Rows<BF16> &a, const Column<BF16> &b)
{
    multiply_bf16(sums, a.words, b.words);
}
__device__ __forceinline__ void add_product(float (&sums)[4], const Rows<FP16> &a, const Column<FP16> &b)
{
    multiply_fp16(sums, a.words, b.words);
}

// ------------------------------------------------------------------------------------------------ copies

// Begin to copy N floats (1, 2 or 4) to shared memory, or zeros instead, while the thread goes on. Copies come in groups, in order.
template <int N> __device__ __forceinline__ void begin_copy(float *to, const float *from, bool is_there)
{
#ifdef __CUDA_ARCH__
    unsigned place = (unsigned)__cvta_generic_to_shared(to), size = is_there ? 4 * N : 0;
    if (N == 4)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(place), "l"(from), "r"(size) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(place), "l"(from), "n"(4 * N), "r"(size)
                     : "memory");
#else
    host::begin_copy(to, from, is_there ? 4 * N : 0, 4 * N);
#endif
}

__device__ __forceinline__ void end_copies()
{
#ifdef __CUDA_ARCH__
    asm volatile("cp.async.commit_group;" ::: "memory");
#else
    host::end_group();
#endif
}

// Until this thread's copies are there, but for those of the last N groups.
template <int N> __device__ __forceinline__ void wait_for_copies()
{
#ifdef __CUDA_ARCH__
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#else
    host::wait_for_copies(N);
#endif
}

// Chunks from ``from`` to ``to``: while one is multiplied, S::Stages - 1 are on their way. copy(chunk, place) begins to
// copy one there, of ``Floats`` floats; multiply(place); land(place) puts there what copy has loaded into registers.
template <class S, int Floats, class Copy, class Multiply, class Land>
__device__ __forceinline__ void through(int from, int to, float *shared, Copy copy, Multiply multiply, Land land)
{
#pragma unroll
    for (int s = 0; s < S::Stages - 1; s++) {
        if (from + s < to) {
            copy(from + s, shared + s * Floats);
            land(shared + s * Floats);
        }
        end_copies();
    }
    for (int chunk = from, stage = 0; chunk < to; chunk++) {
        wait_for_copies<S::Stages - 2>();
        __syncthreads();
        int next = stage == 0 ? S::Stages - 1 : stage - 1;
        if (chunk + S::Stages - 1 < to) copy(chunk + S::Stages - 1, shared + next * Floats);
        end_copies();
        multiply(shared + stage * Floats);
        if (chunk + S::Stages - 1 < to) land(shared + next * Floats);
        stage = stage + 1 == S::Stages ? 0 : stage + 1;
    }
}
