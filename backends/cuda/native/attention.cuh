// Attention, y = softmax(scale q k^T + mask) v, and its gradients, without a matrix of scores in memory.
//
// S describes a launch: sizes, S::Warps, S::Across, S::Stages; and where the matrices of each operand and result begin,
// whose rows are S::QRow, ... apart. A warp has 16 rows of scores of its own: of queries, or, for the gradients of keys and values,
// of keys. It goes through the other side S::Across rows at a time, which the block copies to shared memory meanwhile.
// Scores that tensor cores leave in a lane are where they take a factor from, so weights go from one product to the
// next in registers.
//
// Dao et al., FlashAttention, 2022; Dao, FlashAttention-2, 2023; Milakov and Gimelshein, Online normalizer calculation
// for softmax, 2018.

// Rows of F numbers in shared memory, in units of four. Lanes of a warp that read a unit each of eight rows, or a number
// each of every second row, meet different banks, since units are exchanged within a row.
template <int F> struct RowsOf {
    enum { Chunks = (F + 15) / 16, Pitch = (F + 31) / 32 * 32, Eights = 2 * Chunks };
    static __device__ __forceinline__ int unit(int row, int number)
    {
        return row * Pitch + 4 * (number ^ (row & 1) * 4 ^ (row & 6));
    }
    static __device__ __forceinline__ float4 four(const float *tile, int row, int number)
    {
        return *reinterpret_cast<const float4 *>(tile + unit(row, number));
    }
    static __device__ __forceinline__ float one(const float *tile, int row, int column)
    {
        return tile[unit(row, column / 4) + column % 4];
    }
};

// Begin to copy Count rows from the row ``first`` on, of ``rows`` that there are; the others are zeros. Wide: numbers at once.
template <int F, int Count, int Threads, int Wide>
__device__ __forceinline__ void copy_rows(float *to, const float *from, int apart, int first, int rows)
{
    typedef RowsOf<F> R;
    enum { Units = 4 * R::Chunks };
#pragma unroll 1
    for (int i = 0; i < Count * Units; i += Threads) {
        int place = i + threadIdx.x, row = place / Units, number = place % Units;
        if (Count * Units % Threads && place >= Count * Units) continue;
        bool is_there = first + row < rows;
        const float *begin = from + (is_there ? (first + row) * apart : 0);
#pragma unroll
        for (int e = 0; e < 4; e += Wide) {
            bool found = is_there && (F % 16 == 0 || 4 * number + e < F);
            begin_copy<Wide>(to + R::unit(row, number) + e, found ? begin + 4 * number + e : from, found);
        }
    }
}

// A side of the scores: keys with values, or queries with slopes. Numbers copied at once; how far apart rows are.
template <class S, bool OfKeys> struct Side {
    enum {
        Count = OfKeys ? S::Keys : S::Queries,
        FirstApart = OfKeys ? S::KRow : S::QRow,
        SecondApart = OfKeys ? S::VRow : S::GRow,
        FirstWide = OfKeys ? S::KWide : S::QWide,
        SecondWide = OfKeys ? S::VWide : S::GWide
    };
};

// Begin to copy Rows rows of both of its matrices, the second behind the first.
template <class S, bool OfKeys, int Rows>
__device__ __forceinline__ void copy_side(float *to, const float *first, const float *second, int from)
{
    typedef Side<S, OfKeys> T;
    copy_rows<S::Features, Rows, 32 * S::Warps, T::FirstWide>(to, first, T::FirstApart, from, T::Count);
    to += Rows * RowsOf<S::Features>::Pitch;
    copy_rows<S::Width, Rows, 32 * S::Warps, T::SecondWide>(to, second, T::SecondApart, from, T::Count);
}

// What tensor cores add to a sum they do not round to nearest, so those of float32 take in few terms and are then added.
template <int Mode, class F> __device__ __forceinline__ void add_few(float (&sums)[4], F add)
{
    if (Mode != FP32) return add(sums);
    float few[4] = {0, 0, 0, 0};
    add(few);
#pragma unroll
    for (int e = 0; e < 4; e++) sums[e] += few[e];
}

// sums += rows columns^T: 16 rows of the warp's by 8 N rows of the other side, over F terms, S::Few chunks of 16 at a time.
template <class S, int F, int N>
__device__ __forceinline__ void multiply_along(float (&sums)[N][4], const float *rows, const float *columns)
{
    typedef RowsOf<F> R;
    enum { Few = R::Chunks % S::Few ? 1 : S::Few };
    const int g = threadIdx.x % 32 / 4, j = threadIdx.x % 4;
#pragma unroll 1
    for (int chunk = 0; chunk < R::Chunks; chunk += Few) {
        Rows<S::Mode> a[Few];
#pragma unroll
        for (int f = 0; f < Few; f++)
            a[f].set(R::four(rows, g, 4 * (chunk + f) + j), R::four(rows, g + 8, 4 * (chunk + f) + j));
#pragma unroll
        for (int n = 0; n < N; n++)
            add_few<S::Mode>(sums[n], [&](float(&to)[4]) {
#pragma unroll
                for (int f = 0; f < Few; f++) {
                    Column<S::Mode> b;
                    b.set(R::four(columns, 8 * n + g, 4 * (chunk + f) + j));
                    add_product(to, a[f], b);
                }
            });
    }
}

// sums += weights columns: 16 rows by F, over 8 N terms, which are rows of the other side.
template <class S, int F, int N>
__device__ __forceinline__ void
multiply_down(float (&sums)[RowsOf<F>::Eights][4], const float (&weights)[N][4], const float *columns)
{
    typedef RowsOf<F> R;
    enum { Few = N / 2 % S::Few ? 1 : S::Few };
    const int g = threadIdx.x % 32 / 4, j = threadIdx.x % 4;
#pragma unroll
    for (int chunk = 0; chunk < N / 2; chunk += Few) {
        Rows<S::Mode> a[Few];
#pragma unroll
        for (int f = 0; f < Few; f++) {
            const float(&low)[4] = weights[2 * (chunk + f)], (&high)[4] = weights[2 * (chunk + f) + 1];
            a[f].set({low[0], low[1], high[0], high[1]}, {low[2], low[3], high[2], high[3]});
        }
#pragma unroll
        for (int n = 0; n < R::Eights; n++)
            add_few<S::Mode>(sums[n], [&](float(&to)[4]) {
#pragma unroll
                for (int f = 0; f < Few; f++) {
                    const int row = 16 * (chunk + f) + 2 * j, column = 8 * n + g;
                    Column<S::Mode> b;
                    b.set({R::one(columns, row, column), R::one(columns, row + 1, column),
                           R::one(columns, row + 8, column), R::one(columns, row + 9, column)});
                    add_product(to, a[f], b);
                }
            });
    }
}

// f(n, e) for every number that a lane has: row g + e / 2 * 8 and column 8 n + 2 j + e % 2 of the warp's.
template <int N, class F> __device__ __forceinline__ void each_of(F f)
{
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) f(n, e);
}

__device__ __forceinline__ float minus_infinity() { return __int_as_float(0xff800000); }

// Whether there are this query and this key, and one may look at the other. Queries, Keys: of a tile.
template <class S, int Queries, int Keys> __device__ __forceinline__ bool is_seen(int query, int key)
{
    return (S::Queries % Queries == 0 || query < S::Queries) && (S::Keys % Keys == 0 || key < S::Keys) &&
           (!S::Causal || key <= query);
}

// The score of a product. mask: of the matrix.
template <class S, int Queries, int Keys, class M>
__device__ __forceinline__ float score(float product, const M *mask, int query, int key)
{
    float x = product * S::scale();
    if (!is_seen<S, Queries, Keys>(query, key)) return minus_infinity();
    if (S::Mask == 0) return x;
    M m = mask[query * S::MaskRow + key * S::MaskColumn];
    return S::Mask == 1 ? (m ? x : minus_infinity()) : x + float(m);
}

// By what dropout multiplies a weight.
template <class S, int Queries, int Keys>
__device__ __forceinline__ float kept(const unsigned char *keep, int query, int key)
{
    return is_seen<S, Queries, Keys>(query, key) && keep[query * S::KeepRow + key * S::KeepColumn] ? S::keep_scale() : 0.0f;
}

// Rows of a warp to memory, Apart from one another, times ``factor``: F numbers each. Wide: numbers at once.
template <int F, int Apart, int Wide>
__device__ __forceinline__ void
store_rows(float *to, const float (&x)[RowsOf<F>::Eights][4], int first, int rows, const float (&factor)[2])
{
    const int g = threadIdx.x % 32 / 4, j = threadIdx.x % 4;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int row = first + g + 8 * half;
        if (row >= rows) continue;
#pragma unroll
        for (int n = 0; n < RowsOf<F>::Eights; n++) {
            int column = 8 * n + 2 * j;
            float one = x[n][2 * half] * factor[half], two = x[n][2 * half + 1] * factor[half];
            if (Wide == 2) {
                if (F % 16 == 0 || column < F) *reinterpret_cast<float2 *>(to + row * Apart + column) = {one, two};
                continue;
            }
            if (column < F) to[row * Apart + column] = one;
            if (column + 1 < F) to[row * Apart + column + 1] = two;
        }
    }
}

// ------------------------------------------------------------------------------------------------ values

// y, and the logarithm of each query's sum of e^score. The sum is of what is known so far, relative to the largest score
// so far; when a larger one comes, what has been added up is scaled down.
template <class S, class M>
__device__ void attended(const float *q, const float *k, const float *v, const M *mask, const unsigned char *keep, float *y,
                         float *sums, float *shared)
{
    typedef RowsOf<S::Features> F;
    typedef RowsOf<S::Width> W;
    enum {
        Threads = 32 * S::Warps,
        Down = 16 * S::Warps,
        Own = Down * F::Pitch,
        Floats = S::Across * (F::Pitch + W::Pitch),
        Tiles = (S::Queries + Down - 1) / Down,
        N = S::Across / 8
    };
    const int number = blockIdx.x % Tiles, matrix = blockIdx.x / Tiles, warp = threadIdx.x / 32;
    const int first = (S::Causal ? Tiles - 1 - number : number) * Down;  // those that see most first
    const int query = first + 16 * warp + threadIdx.x % 32 / 4;
    k += S::k(matrix);
    v += S::v(matrix);
    mask += S::mask(matrix);
    keep += S::keep(matrix);
    copy_rows<S::Features, Down, Threads, S::QWide>(shared, q + S::q(matrix), S::QRow, first, S::Queries);
    end_copies();

    float top[2] = {minus_infinity(), minus_infinity()}, total[2] = {0, 0}, out[W::Eights][4];
    each_of<W::Eights>([&](int n, int e) { out[n][e] = 0; });
    const float *own = shared + 16 * warp * F::Pitch;
    const int seen = S::Causal ? min(int(S::Keys), first + Down) : S::Keys;
    int key = threadIdx.x % 4 * 2;
    auto copy = [&](int tile, float *place) { copy_side<S, true, S::Across>(place, k, v, tile * S::Across); };
    auto multiply = [&](const float *place) {
        float x[N][4], highest[2] = {top[0], top[1]}, base[2], factor[2];
        each_of<N>([&](int n, int e) { x[n][e] = 0; });
        multiply_along<S, S::Features>(x, own, place);
        each_of<N>([&](int n, int e) {
            x[n][e] = score<S, Down, S::Across>(x[n][e], mask, query + e / 2 * 8, key + 8 * n + e % 2);
            highest[e / 2] = larger(x[n][e], highest[e / 2]);
        });
#pragma unroll
        for (int half = 0; half < 2; half++) {
            highest[half] = over_lanes<Largest, 4>(highest[half]);
            base[half] = highest[half] == minus_infinity() ? 0.0f : highest[half];
            factor[half] = expf(top[half] - base[half]);
            total[half] *= factor[half];
            top[half] = highest[half];
        }
        each_of<N>([&](int n, int e) {
            x[n][e] = expf(x[n][e] - base[e / 2]);
            total[e / 2] += x[n][e];
            if (S::Keep) x[n][e] *= kept<S, Down, S::Across>(keep, query + e / 2 * 8, key + 8 * n + e % 2);
        });
        each_of<W::Eights>([&](int n, int e) { out[n][e] *= factor[e / 2]; });
        multiply_down<S, S::Width>(out, x, place + S::Across * F::Pitch);
        key += S::Across;
    };
    through<S, Floats>(0, (seen + S::Across - 1) / S::Across, shared + Own, copy, multiply, [](float *) {});

    float inverse[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float sum = over_lanes<Sum, 4>(total[half]);
        sum = sum == 0 ? 1.0f : sum;  // a query that sees nothing: 0 / 1
        inverse[half] = 1 / sum;
        int row = query + 8 * half;
        if (threadIdx.x % 4 == 0 && row < S::Queries)
            sums[matrix * S::Queries + row] = logf(sum) + (top[half] == minus_infinity() ? 0.0f : top[half]);
    }
    store_rows<S::Width, S::ToYRow, S::ToYWide>(y + S::to_y(matrix), out, first + 16 * warp, S::Queries, inverse);
}

// ------------------------------------------------------------------------------------------------ gradients

// inner[row] = sum of slopes[row] y[row], of all rows of all matrices: eight lanes a row.
template <class S> __device__ void inner_products(const float *slopes, const float *y, float *inner)
{
    enum { Wide = S::GWide == 4 && S::YWide == 4 ? 4 : 1 };
    const int row = blockIdx.x * (blockDim.x / 8) + threadIdx.x / 8;
    const bool is_there = row < S::Matrices * S::Queries;
    float sum = 0;
    if (is_there) {
        const int matrix = row / S::Queries, query = row % S::Queries;
        const float *a = slopes + S::g(matrix) + query * S::GRow, *b = y + S::y(matrix) + query * S::YRow;
#pragma unroll
        for (int at = 0; at < S::Width; at += 8 * Wide) {
            int column = at + threadIdx.x % 8 * Wide;
            if (S::Width % (8 * Wide) && column >= S::Width) continue;
            Pack<float, Wide> one = load<Wide>(a + column), two = load<Wide>(b + column);
#pragma unroll
            for (int i = 0; i < Wide; i++) sum += one.at[i] * two.at[i];
        }
    }
    sum = over_lanes<Sum, 8>(sum);
    if (is_there && threadIdx.x % 8 == 0) inner[row] = sum;
}

// With weights p, and slopes ds = p (g v^T - inner): of keys dk = scale ds^T q and dv = p^T g, summed over queries, or of
// queries dq = scale ds k, summed over keys. ``number``: of the block among those of its kind.
template <class S, bool OfKeys, bool Slopes, bool Values, class M>
__device__ void adjoint(int number, const float *g, const float *sums, const float *q, const float *k, const float *v,
                        const M *mask, const unsigned char *keep, const float *inner, float *first_result,
                        float *second_result, float *shared)
{
    typedef RowsOf<S::Features> F;
    typedef RowsOf<S::Width> W;
    enum {
        Threads = 32 * S::Warps,
        Down = 16 * S::Warps,
        Count = OfKeys ? S::Keys : S::Queries,
        Others = OfKeys ? S::Queries : S::Keys,
        QueryTile = OfKeys ? S::Across : Down,
        KeyTile = OfKeys ? Down : S::Across,
        Own = Down * (F::Pitch + W::Pitch),
        Second = S::Across * F::Pitch,
        Numbers = Second + S::Across * W::Pitch,  // where the sums and the inner products of a tile's queries are
        Floats = Numbers + 2 * S::Across,
        Tiles = (Count + Down - 1) / Down,
        AllTiles = (Others + S::Across - 1) / S::Across,
        N = S::Across / 8
    };
    const int matrix = number / Tiles, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    number %= Tiles;
    const int first = (S::Causal && !OfKeys ? Tiles - 1 - number : number) * Down;  // those with most to do first
    const int row = first + 16 * warp + lane / 4;
    q += S::q(matrix);
    k += S::k(matrix);
    v += S::v(matrix);
    g += S::g(matrix);
    mask += S::mask(matrix);
    keep += S::keep(matrix);
    sums += matrix * S::Queries;
    inner += matrix * S::Queries;

    const float *own_first = OfKeys ? k : q, *own_second = OfKeys ? v : g;
    const float *other_first = OfKeys ? q : k, *other_second = OfKeys ? g : v;

    copy_side<S, OfKeys, Down>(shared, own_first, own_second, first);
    end_copies();
    float of_row[2][2] = {{0, 0}, {0, 0}};  // the sum and the inner product of both rows
#pragma unroll
    for (int half = 0; half < 2; half++) {
        if (OfKeys || row + 8 * half >= S::Queries) continue;
        of_row[half][0] = sums[row + 8 * half];
        of_row[half][1] = inner[row + 8 * half];
    }

    float found[Slopes ? F::Eights : 1][4], values[Values ? W::Eights : 1][4];
    each_of<Slopes ? F::Eights : 1>([&](int n, int e) { found[n][e] = 0; });
    each_of<Values ? W::Eights : 1>([&](int n, int e) { values[n][e] = 0; });
    const float *own = shared + 16 * warp * F::Pitch, *beside = shared + Down * F::Pitch + 16 * warp * W::Pitch;
    const int from = S::Causal && OfKeys ? first / S::Across : 0;  // the first query that sees one of the keys
    const int to = S::Causal && !OfKeys ? (min(int(S::Keys), first + Down) + S::Across - 1) / S::Across : AllTiles;
    int other = from * S::Across + 2 * (lane % 4);
    auto copy = [&](int tile, float *place) {
        copy_side<S, !OfKeys, S::Across>(place, other_first, other_second, tile * S::Across);
        if (!OfKeys) return;
#pragma unroll
        for (int i = 0; i < 2 * S::Across; i += Threads) {
            int at = i + threadIdx.x, query = tile * S::Across + at % S::Across;
            if (2 * S::Across % Threads && at >= 2 * S::Across) continue;
            const float *numbers = at < S::Across ? sums : inner;
            bool is_there = query < S::Queries;
            begin_copy<1>(place + Numbers + at, numbers + (is_there ? query : 0), is_there);
        }
    };
    auto multiply = [&](const float *place) {
        float weights[N][4], slopes[N][4];
        each_of<N>([&](int n, int e) { weights[n][e] = slopes[n][e] = 0; });
        multiply_along<S, S::Features>(weights, own, place);
        if (Slopes) multiply_along<S, S::Width>(slopes, beside, place + Second);
        each_of<N>([&](int n, int e) {
            const int mine = row + e / 2 * 8, theirs = other + 8 * n + e % 2;
            const int query = OfKeys ? theirs : mine, key = OfKeys ? mine : theirs;
            const float *numbers = place + Numbers + 8 * n + 2 * (lane % 4) + e % 2;
            const float sum = OfKeys ? numbers[0] : of_row[e / 2][0];
            const float product = OfKeys ? numbers[S::Across] : of_row[e / 2][1];
            const float weight = expf(score<S, QueryTile, KeyTile>(weights[n][e], mask, query, key) - sum);
            const float factor = S::Keep ? kept<S, QueryTile, KeyTile>(keep, query, key) : 1.0f;
            slopes[n][e] = (slopes[n][e] * factor - product) * weight;
            weights[n][e] = weight * factor;
        });
        if constexpr (Values) multiply_down<S, S::Width>(values, weights, place + Second);
        if constexpr (Slopes) multiply_down<S, S::Features>(found, slopes, place);
        other += S::Across;
    };
    through<S, Floats>(from, to, shared + Own, copy, multiply, [](float *) {});

    const float scale[2] = {S::scale(), S::scale()}, one[2] = {1, 1};
    if constexpr (Slopes && OfKeys)
        store_rows<S::Features, S::ToKRow, S::ToKWide>(first_result + S::to_k(matrix), found, first + 16 * warp, Count, scale);
    if constexpr (Slopes && !OfKeys)
        store_rows<S::Features, S::ToQRow, S::ToQWide>(first_result + S::to_q(matrix), found, first + 16 * warp, Count, scale);
    if constexpr (Values)
        store_rows<S::Width, S::ToVRow, S::ToVWide>(second_result + S::to_v(matrix), values, first + 16 * warp, Count, one);
}

// All kinds in one launch, those of keys first, which have most to do; keys and values by blocks of their own if S::Apart.
template <class S, class M>
__device__ void adjoints(const float *g, const float *sums, const float *q, const float *k, const float *v, const M *mask,
                         const unsigned char *keep, const float *inner, float *dq, float *dk, float *dv, float *shared)
{
    enum {
        Down = 16 * S::Warps,
        OfKeys = S::Matrices * ((S::Keys + Down - 1) / Down),
        First = S::WantsK || (S::WantsV && !S::Apart) ? OfKeys : 0,  // blocks
        Second = S::WantsV && S::Apart ? OfKeys : 0
    };
    const int number = blockIdx.x;
    if (number < First) {
        if constexpr (First != 0)
            adjoint<S, true, S::WantsK, S::WantsV && !S::Apart>(number, g, sums, q, k, v, mask, keep, inner, dk, dv, shared);
    } else if (number < First + Second) {
        if constexpr (Second != 0)
            adjoint<S, true, false, true>(number - First, g, sums, q, k, v, mask, keep, inner, dk, dv, shared);
    } else {
        if constexpr (S::WantsQ != 0)
            adjoint<S, false, true, false>(number - First - Second, g, sums, q, k, v, mask, keep, inner, dq, dv, shared);
    }
}
