// What a warp's tensor cores compute, on the host: each lane shows its part of both factors, and adds up its own sums.
// What is added to a sum is not rounded to nearest but towards zero, as on tensor cores. The harness that includes this has
// fibers, and says how they wait.

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

static inline void host_multiply_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    host::Shown own;
    memcpy(own.words_a, a, sizeof a);
    memcpy(own.words_b, b, sizeof b);
    const host::Shown *lanes = host::exchange(own);
    const int g = threadIdx.x % 32 / 4, j = threadIdx.x % 4;
    for (int i = 0; i < 4; i++) {
        double sum = d[i];
        for (int k = 0; k < 16; k++) {
            unsigned x = lanes[4 * g + k % 8 / 2].words_a[i / 2 + k / 8 * 2];
            unsigned y = lanes[4 * (2 * j + i % 2) + k % 8 / 2].words_b[k / 8];
            x = k % 2 ? x & 0xffff0000u : x << 16;
            y = k % 2 ? y & 0xffff0000u : y << 16;
            sum += (double)__uint_as_float(x) * __uint_as_float(y);
        }
        d[i] = towards_zero(sum);
    }
}
