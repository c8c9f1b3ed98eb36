// Philox4x32-10 and what is made of its words, with the bits of autograd_core/ops/philox.py.
//
// Every operation on floats is rounded on its own: products and sums are never contracted here.

struct Words {
    unsigned int at[4];
    __device__ __forceinline__ unsigned long long pair(int i) const  // i: 0 or 1
    {
        return at[2 * i] | (unsigned long long)at[2 * i + 1] << 32;
    }
};

// key: the seed and the number of the call.
__device__ __forceinline__ Words philox(const unsigned long long *key, unsigned long long block)
{
    unsigned int k0 = (unsigned int)key[0], k1 = (unsigned int)(key[0] >> 32);
    unsigned int c0 = (unsigned int)block, c1 = (unsigned int)(block >> 32);
    unsigned int c2 = (unsigned int)key[1], c3 = (unsigned int)(key[1] >> 32);
#pragma unroll
    for (int i = 0; i < 10; i++) {
        const unsigned int high0 = __umulhi(c0, 0xD2511F53u), low0 = c0 * 0xD2511F53u;
        const unsigned int high1 = __umulhi(c2, 0xCD9E8D57u), low1 = c2 * 0xCD9E8D57u;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return Words{{c0, c1, c2, c3}};
}

__device__ __forceinline__ float product(float a, float b) { return __fmul_rn(a, b); }
__device__ __forceinline__ double product(double a, double b) { return __dmul_rn(a, b); }
__device__ __forceinline__ float plus(float a, float b) { return __fadd_rn(a, b); }
__device__ __forceinline__ double plus(double a, double b) { return __dadd_rn(a, b); }
__device__ __forceinline__ float root(float a) { return __fsqrt_rn(a); }
__device__ __forceinline__ double root(double a) { return __dsqrt_rn(a); }
__device__ __forceinline__ float quotient(float a, float b) { return __fdiv_rn(a, b); }
__device__ __forceinline__ double quotient(double a, double b) { return __ddiv_rn(a, b); }
__device__ __forceinline__ int bits_of(float x) { return __float_as_int(x); }
__device__ __forceinline__ long long bits_of(double x) { return __double_as_longlong(x); }
__device__ __forceinline__ float number_of(int bits) { return __int_as_float(bits); }
__device__ __forceinline__ double number_of(long long bits) { return __longlong_as_double(bits); }

__device__ __forceinline__ float uniform(unsigned int word)
{
    return product(float(int(word >> 8)), 5.9604644775390625e-08f);  // 2**-24
}
__device__ __forceinline__ double uniform(unsigned long long word)
{
    return product(double((long long)(word >> 11)), 1.1102230246251565e-16);  // 2**-53
}

// Whether the word is below 2**32 p, rounded to a whole number, halves to even.
__device__ __forceinline__ bool below(unsigned int word, double p)
{
    return word < (unsigned long long)rint(__dmul_rn(p, 4294967296.0));
}

template <class T> struct Normal;  // constants, see FloatFormat; Signed has the same bits as T
template <> struct Normal<float> {
    typedef int Signed;
    static const int BITS = 32, FRACTION = 23, ONE_HALF = 126;
    static __device__ __forceinline__ float scale() { return 2.3283064365386963e-10f; }
    static __device__ __forceinline__ float minus_2_ln_2() { return -1.3862943649291992f; }
    static __device__ __forceinline__ float log1p(float z)
    {
        float y = plus(product(-0.5604891777038574f, z), -0.5599828362464905f);
        y = plus(product(y, z), -0.8004339933395386f);
        return plus(product(y, z), -1.3333282470703125f);
    }
    static __device__ __forceinline__ float sine(float z)
    {
        float y = plus(product(-0.00460165785625577f, z), 0.07968003302812576f);
        y = plus(product(y, z), -0.6459634900093079f);
        return plus(product(y, z), 1.5707963705062866f);
    }
};
template <> struct Normal<double> {
    typedef long long Signed;
    static const int BITS = 64, FRACTION = 52, ONE_HALF = 1022;
    static __device__ __forceinline__ double scale() { return 5.421010862427522e-20; }
    static __device__ __forceinline__ double minus_2_ln_2() { return -1.3862943611198906; }
    static __device__ __forceinline__ double log1p(double z)
    {
        double y = plus(product(-0.35497674760975272967, z), -0.19796629255819789962);
        y = plus(product(y, z), -0.27174488759848021994);
        y = plus(product(y, z), -0.30728384611427222339);
        y = plus(product(y, z), -0.36365641434190722145);
        y = plus(product(y, z), -0.44444385310770220211);
        y = plus(product(y, z), -0.57142858126342070027);
        y = plus(product(y, z), -0.79999999991995519745);
        return plus(product(y, z), -1.3333333333335574543);
    }
    static __device__ __forceinline__ double sine(double z)
    {
        double y = plus(product(5.6337210117050743434e-8, z), -3.5986417544611182464e-6);
        y = plus(product(y, z), 0.00016044115029166047787);
        y = plus(product(y, z), -0.0046817541322824201459);
        y = plus(product(y, z), 0.079692626246039560504);
        y = plus(product(y, z), -0.64596409750624424163);
        return plus(product(y, z), 1.570796326794896614);
    }
};

// Two independent normal numbers of two words: ``to_normal_pair``, step by step.
template <class T> __device__ __forceinline__ Pack<T, 2> normal_pair(
    typename Normal<T>::Signed radius, typename Normal<T>::Signed angle)
{
    typedef Normal<T> N;
    typedef typename N::Signed Signed;
    typedef typename Unsigned<Signed>::type Bits;
    const T w = product(plus(T(radius), T(0.5)), N::scale());
    const Signed pattern = bits_of(w), half = Signed(N::ONE_HALF) << N::FRACTION;
    const bool lower_half = pattern >= 0;
    const Signed fraction = pattern & ((Signed(1) << N::FRACTION) - 1);
    const T exponent = T(lower_half ? (pattern >> N::FRACTION) - N::ONE_HALF : 0);
    const T f = lower_half ? plus(number_of(fraction | half), T(-1)) : w;
    const T s = quotient(f, plus(f, T(2)));
    const T z = product(s, s);
    const T log = product(s, plus(product(z, N::log1p(z)), T(-4)));
    const T r = root(plus(product(exponent, N::minus_2_ln_2()), log));
    const T t = product(T(Signed(Bits(angle) << 2 | 2)), N::scale());
    const T sine = product(t, N::sine(product(t, t)));
    const T across = product(r, sine);
    T along = product(r, root(plus(T(1), -product(sine, sine))));
    along = number_of(Signed(bits_of(along) | Signed(Bits(angle) & Bits(1) << (N::BITS - 1))));
    const bool swap = Bits(angle) >> (N::BITS - 2) & 1;
    return swap ? Pack<T, 2>{{across, along}} : Pack<T, 2>{{along, across}};
}
