// Operations of loop kernels that C has not, or has with other results than NumPy.

template <class T> struct Unsigned { typedef unsigned int type; };  // in which sums wrap around
template <> struct Unsigned<long long> { typedef unsigned long long type; };
template <> struct Unsigned<unsigned long long> { typedef unsigned long long type; };

// Of two numbers the larger or smaller; NaN if one of them is.
template <class T> __device__ __forceinline__ T larger(T a, T b) { return a > b || a != a ? a : b; }
template <class T> __device__ __forceinline__ T smaller(T a, T b) { return a < b || a != a ? a : b; }

template <class T> __device__ __forceinline__ T sign_of(T x) { return x != x ? x : T(x > T(0)) - T(x < T(0)); }
template <class T> __device__ __forceinline__ T magnitude(T x)
{
    typedef typename Unsigned<T>::type U;
    return x < T(0) ? T(U(0) - U(x)) : x;
}

// Floating-point remainder and quotient as Python has them: the remainder takes the divisor's sign.
__device__ __forceinline__ float remainder_to_zero(float x, float y) { return fmodf(x, y); }
__device__ __forceinline__ double remainder_to_zero(double x, double y) { return fmod(x, y); }
__device__ __forceinline__ float with_sign_of(float x, float y) { return copysignf(x, y); }
__device__ __forceinline__ double with_sign_of(double x, double y) { return copysign(x, y); }
__device__ __forceinline__ float rounded_down(float x) { return floorf(x); }
__device__ __forceinline__ double rounded_down(double x) { return floor(x); }

template <class T> __device__ __forceinline__ T floating_mod(T x, T y)
{
    const T remainder = remainder_to_zero(x, y);
    if (remainder == T(0)) return with_sign_of(T(0), y);
    return (remainder < T(0)) != (y < T(0)) ? remainder + y : remainder;
}

template <class T> __device__ __forceinline__ T floating_floor_div(T x, T y)
{
    if (y == T(0)) return x / y;
    const T remainder = remainder_to_zero(x, y);
    T quotient = (x - remainder) / y;
    if (remainder != T(0) && (remainder < T(0)) != (y < T(0))) quotient -= T(1);
    if (quotient == T(0)) return with_sign_of(T(0), x / y);
    const T whole = rounded_down(quotient);
    return quotient - whole > T(0.5) ? whole + T(1) : whole;
}

// Whole numbers: nothing traps. Divided by 0 they are 0; the lowest divided by -1 is itself.
template <class T> __device__ __forceinline__ T quotient_to_zero(T x, T y)
{
    typedef typename Unsigned<T>::type U;
    if (y == T(0)) return T(0);
    return T(-1) < T(0) && y == T(-1) ? T(U(0) - U(x)) : T(x / y);
}

template <class T> __device__ __forceinline__ T whole_fmod(T x, T y)
{
    typedef typename Unsigned<T>::type U;
    return y == T(0) ? T(0) : T(U(x) - U(quotient_to_zero(x, y)) * U(y));
}

template <class T> __device__ __forceinline__ bool moves_down(T remainder, T y)
{
    return remainder != T(0) && (remainder < T(0)) != (y < T(0));
}

template <class T> __device__ __forceinline__ T whole_floor_div(T x, T y)
{
    return T(quotient_to_zero(x, y) - T(moves_down(whole_fmod(x, y), y)));
}

template <class T> __device__ __forceinline__ T whole_mod(T x, T y)
{
    const T remainder = whole_fmod(x, y);
    return moves_down(remainder, y) ? T(remainder + y) : remainder;
}

// By squaring, modulo 2**bits; a negative exponent is read as the unsigned number of the same bits.
template <class T> __device__ __forceinline__ T whole_power(T x, T exponent)
{
    typedef typename Unsigned<T>::type U;
    U result = 1, power = U(x), left = U(exponent);
    if (sizeof(T) < 4) left &= (U(1) << (8 * sizeof(T) & 31)) - 1;
    for (; left; left >>= 1) {
        if (left & 1) result *= power;
        power *= power;
    }
    return T(result);
}

// A shift by all bits or more leaves nothing but the sign.
template <class T> __device__ __forceinline__ T shifted_left(T x, T count)
{
    typedef typename Unsigned<T>::type U;
    return count >= T(0) && count < T(8 * sizeof(T)) ? T(U(x) << U(count)) : T(0);
}

template <class T> __device__ __forceinline__ T shifted_right(T x, T count)
{
    const bool fits = count >= T(0) && count < T(8 * sizeof(T));
    return fits ? T(x >> count) : T(x < T(0) ? -1 : 0);
}
