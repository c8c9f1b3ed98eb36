// Numbers of 16 bits on the host: float16 from its bits and to them, as half.cuh does it on a GPU.

static inline float __int_as_float(int bits) { float x; memcpy(&x, &bits, 4); return x; }
static inline int __float_as_int(float x) { int bits; memcpy(&bits, &x, 4); return bits; }

#define ON_HOST
static inline unsigned short half_bits(double x)  // to nearest, halves to even
{
    const unsigned short sign = signbit(x) ? 0x8000 : 0;
    const double size = fabs(x);
    if (x != x) return sign | 0x7e00;
    if (size >= 65520) return sign | 0x7c00;
    if (size < ldexp(1, -14)) return sign | (int)rint(ldexp(size, 24));
    const int exponent = ilogb(size);
    return sign | (((exponent + 14) << 10) + (int)rint(ldexp(size, 10 - exponent)));
}
static inline unsigned short half_bits(float x) { return half_bits((double)x); }
static inline float half_value(unsigned short bits)
{
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const float size = exponent == 31 ? (fraction ? NAN : INFINITY)
                       : exponent ? ldexpf(1024 + fraction, exponent - 25) : ldexpf(fraction, -24);
    return bits & 0x8000 ? -size : size;
}
