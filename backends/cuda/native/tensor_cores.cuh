// Products of small tiles by a warp's tensor cores, and a block's dynamic shared memory.

enum { FP32, TF32, BF16, FP16 };

__device__ __forceinline__ float *shared_floats()
{
#ifdef __CUDA_ARCH__
    extern __shared__ __align__(16) float shared[];  // copies are of 16 bytes
    return shared;
#else
    return host_shared();
#endif
}

// x rounded to 10 bits after the point, ties away from zero; the products of such numbers are exact in float32.
__device__ __forceinline__ float tf32(float x)
{
#ifdef __CUDA_ARCH__
    unsigned bits;
    // volatile: or else what is done to the matrix would be done before the steps, and held in registers twice
    asm volatile("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return __uint_as_float(bits);
#else
    if (x != x) return x;
    return __uint_as_float((__float_as_uint(x) + 0x1000u) & 0xffffe000u);
#endif
}

// Two numbers rounded to bfloat16, ties to even; the first in the lower half.
__device__ __forceinline__ unsigned bf16x2(float first, float second)
{
    unsigned bits;
#ifdef __CUDA_ARCH__
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(second), "f"(first));
#else
    unsigned halves[2];
    float both[2] = {first, second};
    for (int i = 0; i < 2; i++) {
        unsigned u = __float_as_uint(both[i]);
        halves[i] = both[i] != both[i] ? 0x7fffu : (u + 0x7fffu + (u >> 16 & 1u)) >> 16;
    }
    bits = halves[0] | halves[1] << 16;
#endif
    return bits;
}

// d += a b for a of 16 x 8 and b of 8 x 8: lane 4 g + j has a(g, j), a(g + 8, j), a(g, j + 4), a(g + 8, j + 4); b(j, g),
// b(j + 4, g); and d(g, 2 j), d(g, 2 j + 1), d(g + 8, 2 j), d(g + 8, 2 j + 1).
__device__ __forceinline__ void multiply_tf32(float (&d)[4], const float (&a)[4], const float (&b)[2])
{
#ifdef __CUDA_ARCH__
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
          "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
#else
    host_multiply_tf32(d, a, b);
#endif
}

// The same for 16 terms of bfloat16, two in a word: a(g, 2 j) and its neighbour, (g + 8, 2 j), (g, 2 j + 8),
// (g + 8, 2 j + 8); b(2 j, g), (2 j + 8, g).
__device__ __forceinline__ void multiply_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
#ifdef __CUDA_ARCH__
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    host_multiply_bf16(d, a, b);
#endif
}

// The same for float16.
__device__ __forceinline__ void multiply_fp16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
#ifdef __CUDA_ARCH__
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    host_multiply_fp16(d, a, b);
#endif
}
