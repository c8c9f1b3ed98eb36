// Convolution and its gradients as products of matrices that are never laid out: their elements are copied to shared
// memory from where they lie. ``gathered`` computes the convolution, or with S::Adjoint the input's gradient;
// ``correlated`` that of the weight.
//
// Chetlur et al., cuDNN: Efficient Primitives for Deep Learning, 2014, chapter 3.

// ------------------------------------------------------------------------------------------------ the weight, in order

// S::Rows channels of the target by terms: of each tap S::Channels channels of the source. If S::Channels is a multiple
// of 16, or close to one (S::Padded), a chunk of 16 terms is of one tap; else a chunk goes on from tap to tap.
template <class S> struct Terms {
    enum { Flat = S::Padded % 16 != 0, Chunks = Flat ? 0 : S::Padded / 16, Quads = S::Mode >= BF16 ? 1 : 2 };

    static __device__ __forceinline__ int chunks(const Phase<S> &phase)
    {
        int taps = phase.all_taps();
        return Flat ? (taps * S::Channels + 15) / 16 : taps * Chunks;
    }
    static __device__ __forceinline__ void apart(int term, int &tap, int &channel)
    {
        tap = term / S::Padded;
        channel = term % S::Padded;
    }
    // Of a row's term in the weight; -1 where there is none.
    static __device__ __forceinline__ int place(const Phase<S> &phase, int group, int row, int term)
    {
        int tap, channel;
        apart(term, tap, channel);
        if (row >= S::Rows || channel >= S::Channels || tap >= phase.all_taps()) return -1;
        int from = S::Adjoint ? (group * S::Channels + channel) * S::Rows + row
                              : (group * S::Rows + row) * S::Channels + channel;
        return from * Sizes<S>::Taps + phase.tap(tap);
    }
};

// What a thread puts in order: of a tile of 16 rows and a chunk what a lane has.
template <class S> struct Ordered {
    enum { Tiles = S::RowTiles * S::Down / 16, All = S::Phases * S::Groups * S::MostChunks * Tiles * 32 };
    int place, lane, tile, chunk, group, phase;

    __device__ __forceinline__ Ordered()
    {
        place = blockIdx.x * blockDim.x + threadIdx.x;
        lane = place % 32, tile = place / 32 % Tiles;
        int rest = place / (32 * Tiles);
        chunk = rest % S::MostChunks, group = rest / S::MostChunks % S::Groups;
        phase = S::Phases == 1 ? 0 : rest / (S::MostChunks * S::Groups);
    }
};

// The weight as blocks read it, 16 bytes a lane: [phase][group][chunk][16 rows][low, high or both][lane]. Lane 4 g + j
// has terms j, j + 4, j + 8, j + 12 of rows g and g + 8.
template <class S> __device__ void ordered(const float *weight, float4 *packed)
{
    const Ordered<S> own;
    if (own.place >= own.All) return;
    const Phase<S> phase(own.phase);
    float x[8];
#pragma unroll
    for (int i = 0; i < 8; i++) {
        int row = own.tile * 16 + own.lane / 4 + i / 4 * 8, term = own.chunk * 16 + own.lane % 4 + i % 4 * 4;
        int from = Terms<S>::place(phase, own.group, row, term);
        x[i] = from < 0 ? 0.0f : weight[from];
        if (S::Mode == TF32) x[i] = tf32(x[i]);
    }
    float4 low = {x[0], x[1], x[2], x[3]}, high = {x[4], x[5], x[6], x[7]};
    float4 *to = packed + own.place / 32 * (Terms<S>::Quads * 32) + own.lane;
    if (S::Mode == BF16) {
        Rows<BF16> words;
        words.set(low, high);
        *to = *reinterpret_cast<float4 *>(words.words);
    } else {
        to[0] = low;
        to[32] = high;
    }
}

template <int Mode> __device__ __forceinline__ void read_rows(Rows<Mode> &rows, const float4 *from)
{
    rows.set(from[0], from[32]);
}
__device__ __forceinline__ void read_rows(Rows<TF32> &rows, const float4 *from)  // rounded when it was put in order
{
    const float4 low = from[0], high = from[32];
    const float x[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
    for (int i = 0; i < 8; i++) rows.at[i] = x[i];
}
__device__ __forceinline__ void read_rows(Rows<BF16> &rows, const float4 *from)
{
    *reinterpret_cast<float4 *>(rows.words) = from[0];
}

// ------------------------------------------------------------------------------------------------ sums of a block

// A block has S::Down x S::Across sums, its warps S::WarpsDown x S::WarpsAcross of equal parts of them. What tensor
// cores add to a sum they do not round to nearest, so those of float32 take in few terms and are then added up: Ootomo
// and Yokota, Recovering Single Precision Accuracy from Tensor Cores, 2022.
template <class S> struct Sums {
    enum {
        Tall = S::Down / S::WarpsDown / 16,
        Wide = S::Across / S::WarpsAcross / 8,
        Threads = 32 * S::WarpsDown * S::WarpsAcross,
        Few = 2  // chunks
    };
    float now[Tall][Wide][4], before[S::Mode == FP32 ? Tall : 1][S::Mode == FP32 ? Wide : 1][4];
    int chunks;

    __device__ __forceinline__ Sums() : chunks(0)
    {
        each([&](int m, int n, int e) { now[m][n][e] = 0; });
        if (S::Mode == FP32) each([&](int m, int n, int e) { kept(m, n, e) = 0; });
    }
    __device__ __forceinline__ float &kept(int m, int n, int e)
    {
        return before[S::Mode == FP32 ? m : 0][S::Mode == FP32 ? n : 0][e];
    }
    template <class F> static __device__ __forceinline__ void each(F f)
    {
#pragma unroll
        for (int m = 0; m < Tall; m++)
#pragma unroll
            for (int n = 0; n < Wide; n++)
#pragma unroll
                for (int e = 0; e < 4; e++) f(m, n, e);
    }

    // One chunk more: rows(m, rows) and column(n, column) read the factors of a tile.
    template <class R, class C> __device__ __forceinline__ void add(R rows, C column)
    {
        Rows<S::Mode> a[Tall];
#pragma unroll
        for (int m = 0; m < Tall; m++) rows(m, a[m]);
#pragma unroll
        for (int n = 0; n < Wide; n++) {
            Column<S::Mode> b;
            column(n, b);
#pragma unroll
            for (int m = 0; m < Tall; m++) add_product(now[m][n], a[m], b);
        }
        if (S::Mode == FP32 && ++chunks % Few == 0) settle();
    }
    __device__ __forceinline__ void settle()
    {
        each([&](int m, int n, int e) {
            kept(m, n, e) += now[m][n][e];
            now[m][n][e] = 0;
        });
    }
    // f(row, column, first, second): two neighbours in a row of the block's sums.
    template <class F> __device__ __forceinline__ void finish(F f)
    {
        if (S::Mode == FP32) settle();
        int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, j = threadIdx.x % 4;
        int down = warp % S::WarpsDown * (Tall * 16), across = warp / S::WarpsDown * (Wide * 8);
#pragma unroll
        for (int n = 0; n < Wide; n++)
#pragma unroll
            for (int m = 0; m < Tall; m++)
#pragma unroll
                for (int e = 0; e < 4; e += 2) {
                    float first = S::Mode == FP32 ? kept(m, n, e) : now[m][n][e];
                    float second = S::Mode == FP32 ? kept(m, n, e + 1) : now[m][n][e + 1];
                    f(down + 16 * m + g + e / 2 * 8, across + 8 * n + 2 * j, first, second);
                }
    }
};

// ------------------------------------------------------------------------------------------------ values and inputs

// The tile that a block computes.
template <class S> struct Tile {
    int row, pixel, group, phase;  // the first two are tiles' numbers

    __device__ __forceinline__ Tile()
    {
        int number = blockIdx.x;
        row = number % S::RowTiles;
        number /= S::RowTiles;
        pixel = number % S::PixelTiles;
        number /= S::PixelTiles;
        group = number % S::Groups, phase = S::Phases == 1 ? 0 : number / S::Groups;
    }
};

// The sums of a block, plus the bias if S::Bias, to where they belong, rounded once.
template <class S, class T>
__device__ __forceinline__ void put(Sums<S> &sums, const Phase<S> &phase, const Tile<S> &tile, const T *bias, T *target)
{
    typedef Phase<S> P;
    const int total = phase.targets(), each = phase.count[0] * phase.count[1] * phase.count[2];
    sums.finish([&](int row, int column, float first, float second) {
        int channel = tile.row * S::Down + row, pixel = tile.pixel * S::Across + column;
        if (channel >= S::Rows || pixel >= total) return;
        const float added = S::Bias ? float(bias[tile.group * S::Rows + channel]) : 0.0f;
        first += added, second += added;
        if (S::Phases == 1) {  // targets lie as they are counted
            T *to = target + ((pixel / each * S::Groups + tile.group) * S::Rows + channel) * P::Target + pixel % each;
            if (P::Target % 2 == 0) {
                store<2>(to, Pack<T, 2>{T(first), T(second)});
                return;
            }
            *to = T(first);
            if (pixel + 1 == total) return;
            pixel++;
            target[((pixel / each * S::Groups + tile.group) * S::Rows + channel) * P::Target + pixel % each] = T(second);
            return;
        }
#pragma unroll
        for (int i = 0; i < 2; i++) {
            if (pixel + i >= total) return;
            int at[3], image, place = 0;
            take_apart(pixel + i, phase.count, at, image);
#pragma unroll
            for (int a = 0; a < 3; a++) place = place * P::target(a) + phase.begin[a] + P::apart(a) * at[a];
            target[((image * S::Groups + tile.group) * S::Rows + channel) * P::Target + place] = T(i ? second : first);
        }
    });
}

// target = weight x source, as the phase's taps meet it, plus the bias if S::Bias. Wide: source pixels of a copy.
template <class S>
__device__ void gathered(const float *source, const float4 *packed, const float *bias, float *target, float *shared)
{
    typedef Phase<S> P;
    typedef Terms<S> T;
    typedef Sums<S> Block;
    enum {
        Pitch = S::Across + 8,  // so that the lanes that read a column meet different banks
        WeightFloats = S::Down / 16 * T::Quads * 32 * 4,
        Floats = WeightFloats + 16 * Pitch,
        Columns = S::Across / S::Wide,
        Lines = Block::Threads / Columns,
        Tiles = S::RowTiles * S::Down / 16
    };
    const Tile<S> tile;
    const P phase(tile.phase);
    const int total = phase.targets();
    if (tile.pixel * S::Across >= total) return;

    int column = threadIdx.x % Columns * S::Wide, line = threadIdx.x / Columns;
    int pixel = tile.pixel * S::Across + column, at[3], image;
    take_apart(pixel, phase.count, at, image);
#pragma unroll
    for (int a = 0; a < 3; a++) at[a] = phase.origin[a] + P::step(a) * at[a];
    const float *from = source + (image * S::Groups + tile.group) * (S::Channels * P::Source);
    const float4 *weights =
        packed + ((tile.phase * S::Groups + tile.group) * S::MostChunks * Tiles + tile.row * (S::Down / 16)) *
                     (T::Quads * 32);
    const bool known = pixel < total;
    const int taps = phase.all_taps();
    int offset = 0;  // of the tap that is copied, and whether this thread's pixels meet it there
    bool is_there = false;

    auto copy = [&](int chunk, float *place) {
        const float4 *next = weights + chunk * (Tiles * T::Quads * 32);
#pragma unroll
        for (int i = 0; i < WeightFloats / 4; i += Block::Threads)
            if (WeightFloats / 4 % Block::Threads == 0 || i + threadIdx.x < WeightFloats / 4)
                begin_copy<4>(place + 4 * (i + threadIdx.x), (const float *)(next + i + threadIdx.x), true);
        // of line i there is a constant between both places and those of line 0: they are added by what copies
        float *pixels = place + WeightFloats + line * Pitch + column;
        if (Lines > 16 && line >= 16) return;
        if (T::Flat) {
#pragma unroll
            for (int i = 0; i < 16; i += Lines) {
                int channel, tap;
                T::apart(chunk * 16 + i + line, tap, channel);
                bool found = known && tap < taps && phase.meets(at, tap, offset) && channel < S::Channels;
                begin_copy<S::Wide>(pixels + i * Pitch, from + (channel * P::Source + offset), found);
            }
            return;
        }
        const int part = chunk % (T::Flat ? 1 : T::Chunks), channel = part * 16 + line;
        if (part == 0 || Sizes<S>::Taps == 1) is_there = known && phase.meets(at, chunk / (T::Flat ? 1 : T::Chunks), offset);
        const float *first = from + (channel * P::Source + offset);
#pragma unroll
        for (int i = 0; i < 16; i += Lines) {
            bool found = is_there && (S::Padded == S::Channels || channel + i < S::Channels);
            begin_copy<S::Wide>(pixels + i * Pitch, first + i * P::Source, found);
        }
    };

    Block sums;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int down = warp % S::WarpsDown * Block::Tall, across = warp / S::WarpsDown * (Block::Wide * 8);
    auto multiply = [&](const float *place) {
        sums.add(
            [&](int m, Rows<S::Mode> &rows) {
                read_rows(rows, reinterpret_cast<const float4 *>(place) + (down + m) * (T::Quads * 32) + lane);
            },
            [&](int n, Column<S::Mode> &column) {
                const float *x = place + WeightFloats + lane % 4 * Pitch + across + 8 * n + lane / 4;
                column.set({x[0], x[4 * Pitch], x[8 * Pitch], x[12 * Pitch]});
            });
    };
    through<S, Floats>(0, T::chunks(phase), shared, copy, multiply, [](float *) {});

    put(sums, phase, tile, bias, target);
}

// ------------------------------------------------------------------------------------------------ weights

// S::Rows output channels by S::Columns taps of S::Channels input channels, of each group: sums over all pixels of the
// outputs, of which each of S::Splits blocks has some. Their sums go to ``sums``: the split, the weight's place.
template <class S> __device__ void correlated(const float *input, const float *slopes, float *sums, float *shared)
{
    typedef Sizes<S> Z;
    typedef Sums<S> Block;
    enum {
        Floats = (S::Down + S::Across) * 16,
        Columns = S::Channels * Z::Taps,
        Pixels = S::Batch * Z::Outputs,
        All = (Pixels + 15) / 16,
        Each = (All + S::Splits - 1) / S::Splits,
        ColumnTiles = (Columns + S::Across - 1) / S::Across,
        Lines = Block::Threads / 16,
        Own = (S::Across + Lines - 1) / Lines,  // columns that a thread copies
        WideLines = Block::Threads / 4,
        Unit = (long long)S::Channels * Z::Input < 1 << 29 ? 4 : 1  // offsets count bytes, if 31 bits do
    };
    int number = blockIdx.x, row_tile = number % S::RowTiles;
    number /= S::RowTiles;
    int column_tile = number % ColumnTiles;
    number /= ColumnTiles;
    int group = number % S::Groups, part = number / S::Groups;
    int term = threadIdx.x % 16, line = threadIdx.x / 16;

    int offset[Own], tap[Own][3];
#pragma unroll
    for (int i = 0; i < Own; i++) {
        int column = column_tile * S::Across + line + i * Lines, channel, place = 0;
        const int kernel[3] = {S::Kernel0, S::Kernel1, S::Kernel2};
        take_apart(column, kernel, tap[i], channel);
#pragma unroll
        for (int a = 0; a < 3; a++) {
            tap[i][a] *= Z::dilation(a);
            place = place * Z::size(a) + tap[i][a];
        }
        offset[i] = Unit * (channel * Z::Input + place);
        if (channel >= S::Channels) {  // such a column is nowhere within the input
            tap[i][2] = -(1 << 30);
            offset[i] = -4;
        }
    }

    auto copy = [&](int chunk, float *place) {
        float *right = place + S::Down * 16 + line * 16 + term;
        const int outputs[3] = {S::Output0, S::Output1, S::Output2};
        if (S::Wide == 4) {
            int pixel = chunk * 16 + threadIdx.x % 4 * 4, image = pixel / Z::Outputs;
            const float *from = slopes + (image * S::Groups + group) * (S::Rows * Z::Outputs) + pixel % Z::Outputs;
#pragma unroll
            for (int i = 0; i < S::Down; i += WideLines) {
                int row = i + threadIdx.x / 4, channel = row_tile * S::Down + row;
                if (S::Down % WideLines && row >= S::Down) continue;
                bool found = pixel < Pixels && channel < S::Rows;
                begin_copy<4>(place + row * 16 + threadIdx.x % 4 * 4, from + channel * Z::Outputs, found);
            }
        }
        int pixel = chunk * 16 + term, at[3], image;
        take_apart(pixel, outputs, at, image);
        if (S::Wide != 4) {
            const float *from = slopes + (image * S::Groups + group) * (S::Rows * Z::Outputs) + pixel % Z::Outputs;
#pragma unroll
            for (int i = 0; i < S::Down; i += Lines) {
                int row = i + line, channel = row_tile * S::Down + row;
                if (S::Down % Lines && row >= S::Down) continue;
                bool found = pixel < Pixels && channel < S::Rows;
                begin_copy<1>(place + row * 16 + term, from + channel * Z::Outputs, found);
            }
        }
        int begin = 0;
#pragma unroll
        for (int a = 0; a < 3; a++) {
            at[a] = at[a] * Z::stride(a) - Z::padding(a);
            begin = begin * Z::size(a) + at[a];
        }
        const char *from =
            reinterpret_cast<const char *>(input + (image * S::Groups + group) * (S::Channels * Z::Input) + begin);
#pragma unroll
        for (int i = 0; i < Own; i++) {
            int column = line + i * Lines;
            if (S::Across % Lines && column >= S::Across) continue;
            bool found = pixel < Pixels && (!Z::inside(2) || offset[i] >= 0);
#pragma unroll
            for (int a = 0; a < 3; a++)
                if (!Z::inside(a)) found &= at[a] + tap[i][a] >= 0 && at[a] + tap[i][a] < Z::size(a);
            const char *place = from + 4 / Unit * (long long)offset[i];
            begin_copy<1>(right + i * Lines * 16, reinterpret_cast<const float *>(place), found);
        }
    };

    Block block;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int down = warp % S::WarpsDown * (Block::Tall * 16), across = warp / S::WarpsDown * (Block::Wide * 8);
    auto multiply = [&](const float *place) {
        const float4 *left = reinterpret_cast<const float4 *>(place) + down * 4 + lane;  // 16 floats a row
        const float4 *right = reinterpret_cast<const float4 *>(place + S::Down * 16) + across * 4 + lane;
        block.add([&](int m, Rows<S::Mode> &rows) { rows.set(left[m * 64], left[m * 64 + 32]); },
                  [&](int n, Column<S::Mode> &column) { column.set(right[n * 32]); });
    };
    through<S, Floats>(part * Each, min((part + 1) * Each, int(All)), shared, copy, multiply, [](float *) {});

    float *to = sums + ((long long)part * S::Groups + group) * (S::Rows * Columns);
    block.finish([&](int row, int column, float first, float second) {
        int channel = row_tile * S::Down + row, place = column_tile * S::Across + column;
        if (channel >= S::Rows) return;
        if (place < Columns) to[channel * Columns + place] = first;
        if (place + 1 < Columns) to[channel * Columns + place + 1] = second;
    });
}

// sums[i] = parts[0][i] + parts[1][i] + ..., always in the same order: a block has 32 of them, and 8 threads for each.
template <int Parts, int Size, class T> __device__ void added_up(const float *parts, T *sums)
{
    __shared__ float memory[256];
    int place = blockIdx.x * 32 + threadIdx.x % 32;
    float sum = 0;
    if (place < Size)
#pragma unroll 4
        for (int part = threadIdx.x / 32; part < Parts; part += 8) sum += parts[(long long)part * Size + place];
    sum = over_warps<Sum, 8>(sum, memory);
    if (place < Size && threadIdx.x < 32) sums[place] = T(sum);
}
