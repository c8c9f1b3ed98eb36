// Indices of any whole dtype, and elements picked by them.

// Index number i. bytes: of one, less than 0 if they have no sign.
__device__ __forceinline__ long long index_at(const void *indices, int bytes, long long i)
{
    switch (bytes) {
    case 1: return static_cast<const signed char *>(indices)[i];
    case -1: return static_cast<const unsigned char *>(indices)[i];
    case 2: return static_cast<const short *>(indices)[i];
    case -2: return static_cast<const unsigned short *>(indices)[i];
    case 4: return static_cast<const int *>(indices)[i];
    case -4: return static_cast<const unsigned *>(indices)[i];
    default: return static_cast<const long long *>(indices)[i];
    }
}

// y[o, k, i] = x[o, indices[k], i], of elements that are inner * sizeof(Pack) bytes long. Indices count from the back below
// 0, and wrap around out of range. Int: what places are counted in.
template <class Pack, class Int>
__device__ __forceinline__ void pick(const Pack *x, const void *indices, Pack *y, int bytes, long long outer, Int count,
                                     Int length, Int inner)
{
    const long long total = outer * count * inner, step = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step) {
        const Int place = Int(i), row = place / inner, column = place % inner;
        long long index = index_at(indices, bytes, row % count);
        if (index < 0) index += length;
        if (index < 0 || index >= (long long)length) index = (index % (long long)length + length) % (long long)length;
        y[i] = x[(row / count * (long long)length + index) * inner + column];
    }
}

#define PICK(size, Pack)                                                                                               \
    extern "C" __global__ void pick_##size(const Pack *x, const void *indices, Pack *y, long long bytes, long long outer, \
                                           long long count, long long length, long long inner)                          \
    {                                                                                                                   \
        if (outer * (count > length ? count : length) * inner >> 31)                                                    \
            pick<Pack, unsigned long long>(x, indices, y, int(bytes), outer, count, length, inner);                     \
        else                                                                                                            \
            pick<Pack, unsigned>(x, indices, y, int(bytes), outer, count, length, inner);                               \
    }
PICK(1, unsigned char)
PICK(2, unsigned short)
PICK(4, unsigned)
PICK(8, unsigned long long)
PICK(16, float4)
