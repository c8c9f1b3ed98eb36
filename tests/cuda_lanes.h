// What a warp's tensor cores compute, on the host: each lane shows its part of both factors, and adds up its own sums.
// What is added to a sum is not rounded to nearest but towards zero, as on tensor cores. The harness that includes this has
// fibers, and says how they wait.

#include "cuda_halves.h"

namespace host {

struct Shown { float a[4], b[2]; unsigned words_a[4], words_b[2]; };

// What the lanes of this warp show, once all have.
static const Shown *exchange(const Shown &own);

}  // namespace host

static inline float __uint_as_float(unsigned bits) { float x; memcpy(&x, &bits, 4); return x; }
static inline unsigned __float_as_uint(float x) { unsigned bits; memcpy(&bits, &x, 4); return bits; }

static inline float towards_zero(double x)
{
    const float near = (float)x;
    return fabs((double)near) > fabs(x) ? nextafterf(near, 0) : near;
}

static inline void host_multiply_tf32(float (&d)[4], const float (&a)[4], const float (&b)[2])
{
    host::Shown own;
    memcpy(own.a, a, sizeof a);
    memcpy(own.b, b, sizeof b);
    const host::Shown *lanes = host::exchange(own);
    const int g = threadIdx.x % 32 / 4, j = threadIdx.x % 4;
    for (int i = 0; i < 4; i++) {  // row g + i / 2 * 8, column 2 j + i % 2
        double sum = d[i];
        for (int k = 0; k < 8; k++)
            sum += (double)lanes[4 * g + k % 4].a[i / 2 + k / 4 * 2] * lanes[4 * (2 * j + i % 2) + k % 4].b[k / 4];
        d[i] = towards_zero(sum);
    }
}

// The sum d + sum_k a_k b_k of one tensor core: all addends are cut off, towards zero, at the place of the last of 24
// bits of the largest one, and so is the sum; newer ones keep a few bits more. Products are not rounded. Fasi, Higham,
// Mikaitis and Pranesh, Numerical Behavior of NVIDIA Tensor Cores, 2021.
static inline float added_by_tensor_cores(float d, const float (&a)[16], const float (&b)[16])
{
    double largest = fabs(d), sum = 0;
    bool is_finite = isfinite(d);
    for (int k = 0; k < 16; k++) {
        largest = fmax(largest, fabs((double)a[k] * b[k]));
        is_finite &= isfinite(a[k]) && isfinite(b[k]);
    }
    const double place = is_finite && largest ? ldexp(1, ilogb(largest) - 23) : 0;
    for (int k = 0; k < 17; k++) {
        const double x = k == 16 ? (double)d : (double)a[k] * b[k];
        sum += place ? trunc(x / place) * place : x;
    }
    return towards_zero(sum);
}

static inline float bf16_value(unsigned bits) { return __uint_as_float(bits << 16); }
static inline float fp16_value(unsigned bits) { return half_value(bits); }

static inline void host_multiply_halves(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2],
                                        float (*value)(unsigned))
{
    host::Shown own;
    memcpy(own.words_a, a, sizeof a);
    memcpy(own.words_b, b, sizeof b);
    const host::Shown *lanes = host::exchange(own);
    const int g = threadIdx.x % 32 / 4, j = threadIdx.x % 4;
    for (int i = 0; i < 4; i++) {  // row g + i / 2 * 8, column 2 j + i % 2
        float x[16], y[16];
        for (int k = 0; k < 16; k++) {
            const unsigned left = lanes[4 * g + k % 8 / 2].words_a[i / 2 + k / 8 * 2];
            const unsigned right = lanes[4 * (2 * j + i % 2) + k % 8 / 2].words_b[k / 8];
            x[k] = value(left >> k % 2 * 16 & 0xffff);
            y[k] = value(right >> k % 2 * 16 & 0xffff);
        }
        d[i] = added_by_tensor_cores(d[i], x, y);
    }
}

static inline void host_multiply_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    host_multiply_halves(d, a, b, bf16_value);
}
static inline void host_multiply_fp16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    host_multiply_halves(d, a, b, fp16_value);
}
