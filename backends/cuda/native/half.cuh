// Numbers of 16 bits in memory. They are computed with as floats: a value in a register is a float that fits.

#ifndef ON_HOST
__device__ __forceinline__ unsigned short half_bits(float x)
{
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}
__device__ __forceinline__ unsigned short half_bits(double x)
{
    unsigned short bits;
    asm("cvt.rn.f16.f64 %0, %1;" : "=h"(bits) : "d"(x));
    return bits;
}
__device__ __forceinline__ float half_value(unsigned short bits)
{
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
}
#endif

struct Half {
    unsigned short bits;
    Half() = default;
    __device__ __forceinline__ Half(int x) : bits(half_bits(float(x))) {}
    __device__ __forceinline__ Half(float x) : bits(half_bits(x)) {}
    __device__ __forceinline__ Half(double x) : bits(half_bits(x)) {}
    __device__ __forceinline__ operator float() const { return half_value(bits); }
};

// bfloat16: the upper half of a float. Doubles become floats first, as they do in ml_dtypes.
struct Brain {
    unsigned short bits;
    Brain() = default;
    __device__ __forceinline__ Brain(int x) : Brain(float(x)) {}
    __device__ __forceinline__ Brain(double x) : Brain(float(x)) {}
    __device__ __forceinline__ Brain(float x)
    {
        const unsigned int whole = __float_as_int(x);
        const unsigned int rounded = whole + 0x7fff + (whole >> 16 & 1);  // to nearest, halves to even
        bits = x != x ? 0x7fc0 | (whole >> 16 & 0x8000) : rounded >> 16;
    }
    __device__ __forceinline__ operator float() const { return __int_as_float((unsigned int)bits << 16); }
};

template <class T, class X> __device__ __forceinline__ float rounded_to(X x) { return float(T(x)); }
