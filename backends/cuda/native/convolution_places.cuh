// Where a convolution's windows lie. Arrays are (N, channels, three axes); axes that there are not have length 1.
//
// S describes a launch: Batch, Groups; size, kernel, stride, dilation, padding, output of each axis, as the operation has
// them; S::Adjoint, whether it is the input's gradient.

template <class S> struct Sizes {
    enum {
        Input = S::Size0 * S::Size1 * S::Size2,
        Outputs = S::Output0 * S::Output1 * S::Output2,
        Taps = S::Kernel0 * S::Kernel1 * S::Kernel2,
        Inside = S::Inside0 && S::Inside1 && S::Inside2  // whether no tap of a window meets the padding
    };
    static __device__ __forceinline__ int size(int a) { return a == 0 ? S::Size0 : a == 1 ? S::Size1 : S::Size2; }
    static __device__ __forceinline__ int kernel(int a) { return a == 0 ? S::Kernel0 : a == 1 ? S::Kernel1 : S::Kernel2; }
    static __device__ __forceinline__ int stride(int a) { return a == 0 ? S::Stride0 : a == 1 ? S::Stride1 : S::Stride2; }
    static __device__ __forceinline__ int dilation(int a)
    {
        return a == 0 ? S::Dilation0 : a == 1 ? S::Dilation1 : S::Dilation2;
    }
    static __device__ __forceinline__ int padding(int a)
    {
        return a == 0 ? S::Padding0 : a == 1 ? S::Padding1 : S::Padding2;
    }
    static __device__ __forceinline__ int output(int a) { return a == 0 ? S::Output0 : a == 1 ? S::Output1 : S::Output2; }
    static __device__ __forceinline__ int common(int a) { return a == 0 ? S::Common0 : a == 1 ? S::Common1 : S::Common2; }
    static __device__ __forceinline__ int inverse(int a)
    {
        return a == 0 ? S::Inverse0 : a == 1 ? S::Inverse1 : S::Inverse2;
    }
    static __device__ __forceinline__ bool inside(int a) { return a == 0 ? S::Inside0 : a == 1 ? S::Inside1 : S::Inside2; }
};

// Three numbers from one, each less than ``of``, the last fastest; what is left over goes to ``rest``.
__device__ __forceinline__ void take_apart(int number, const int (&of)[3], int (&at)[3], int &rest)
{
#pragma unroll
    for (int a = 2; a >= 0; a--) {
        at[a] = number % of[a];
        number /= of[a];
    }
    rest = number;
}

// The targets of a gather that the same taps meet. Of the convolution, all outputs. Of its adjoint, the inputs whose
// distance from the padding's edge leaves the same rest when it is divided by the stride: those taps k with
// dilation k = rest modulo the stride meet them, every (stride / gcd(stride, dilation))-th.
template <class S> struct Phase {
    typedef Sizes<S> Z;
    int taps[3], first[3];   // how many taps there are along each axis, and the first
    int count[3], begin[3];  // targets, and the first one's place
    int origin[3];           // where that one meets its first tap in the source

    __device__ __forceinline__ Phase(int number)
    {
#pragma unroll
        for (int a = 2; a >= 0; a--) {
            if (!S::Adjoint) {
                taps[a] = Z::kernel(a), first[a] = 0;
                count[a] = Z::output(a), begin[a] = 0;
                origin[a] = -Z::padding(a);
                continue;
            }
            int stride = Z::stride(a), rest = number % stride, every = stride / Z::common(a), pad = Z::padding(a);
            number /= stride;
            first[a] = rest % Z::common(a) ? Z::kernel(a) : rest / Z::common(a) * Z::inverse(a) % every;
            taps[a] = first[a] < Z::kernel(a) ? (Z::kernel(a) - first[a] + every - 1) / every : 0;
            int from = (pad - rest + stride - 1) / stride;  // the window that begins at the first target, or before
            begin[a] = stride * from + rest - pad;
            count[a] = (Z::size(a) - begin[a] + stride - 1) / stride;
            origin[a] = from + (rest - Z::dilation(a) * first[a]) / stride;
        }
    }

    // From target to target, in the target and in the source; from tap to tap, among the taps and in the source.
    static __device__ __forceinline__ int apart(int a) { return S::Adjoint ? Z::stride(a) : 1; }
    static __device__ __forceinline__ int step(int a) { return S::Adjoint ? 1 : Z::stride(a); }
    static __device__ __forceinline__ int every(int a) { return S::Adjoint ? Z::stride(a) / Z::common(a) : 1; }
    static __device__ __forceinline__ int along(int a)
    {
        return S::Adjoint ? -(Z::dilation(a) / Z::common(a)) : Z::dilation(a);
    }
    static __device__ __forceinline__ int source(int a) { return S::Adjoint ? Z::output(a) : Z::size(a); }
    static __device__ __forceinline__ int target(int a) { return S::Adjoint ? Z::size(a) : Z::output(a); }
    enum { Source = S::Adjoint ? Z::Outputs : Z::Input, Target = S::Adjoint ? Z::Input : Z::Outputs };

    __device__ __forceinline__ int all_taps() const { return taps[0] * taps[1] * taps[2]; }
    __device__ __forceinline__ int targets() const { return S::Batch * count[0] * count[1] * count[2]; }

    // The number of a tap in the kernel.
    __device__ __forceinline__ int tap(int number) const
    {
        int at[3], none;
        take_apart(number, taps, at, none);
        int place = 0;
#pragma unroll
        for (int a = 0; a < 3; a++) place = place * Z::kernel(a) + first[a] + at[a] * every(a);
        return place;
    }

    // Where a tap meets the target whose first tap lies at ``at``; whether that is within the source.
    __device__ __forceinline__ bool meets(const int (&at)[3], int number, int &offset) const
    {
        int which[3], none;
        take_apart(number, taps, which, none);
        bool is_there = true;
        offset = 0;
#pragma unroll
        for (int a = 0; a < 3; a++) {
            int place = at[a] + along(a) * which[a];
            if (S::Adjoint || !Z::inside(a)) is_there &= place >= 0 && place < source(a);
            offset = offset * source(a) + place;
        }
        return is_there;
    }
};
