// Convolutions of numbers of 16 bits, T: Half or Brain. They are multiplied as they lie, two in a word, summed in float32
// and rounded once, when they are stored. S as in convolution.cuh.
//
// Copies that go on meanwhile are of 4 bytes or more. So what windows see is loaded into registers before a chunk is
// multiplied, and put into shared memory after it: a word has two neighbours among the terms of one sum.

template <class T> __device__ __forceinline__ T zero()
{
    T x;
    x.bits = 0;
    return x;
}
template <class T> __device__ __forceinline__ unsigned word(T low, T high) { return low.bits | (unsigned)high.bits << 16; }

// The weight as blocks read it, 16 bytes a lane: [phase][group][chunk][16 rows][lane]. Lane 4 g + j has terms 2 j, 2 j + 1,
// 2 j + 8, 2 j + 9 of rows g and g + 8.
template <class S, class T> __device__ void ordered_halves(const T *weight, float4 *packed)
{
    const Ordered<S> own;
    if (own.place >= own.All) return;
    const Phase<S> phase(own.phase);
    Pack<unsigned, 4> words;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        T pair[2];
#pragma unroll
        for (int v = 0; v < 2; v++) {
            int row = own.tile * 16 + own.lane / 4 + i % 2 * 8;
            int term = own.chunk * 16 + own.lane % 4 * 2 + i / 2 * 8 + v;
            int from = Terms<S>::place(phase, own.group, row, term);
            pair[v] = from < 0 ? zero<T>() : weight[from];
        }
        words.at[i] = word(pair[0], pair[1]);
    }
    store<4>(reinterpret_cast<unsigned *>(packed + own.place), words);
}

// As ``gathered``. Wide: source pixels that are loaded at once.
template <class S, class T>
__device__ void gathered_halves(const T *source, const float4 *packed, const T *bias, T *target, float *shared)
{
    typedef Phase<S> P;
    typedef Terms<S> L;
    typedef Sums<S> Block;
    enum {
        Pitch = S::Across + 8,  // so that the lanes that read a column meet different banks
        WeightWords = S::Down / 16 * 32 * 4,
        Words = WeightWords + 8 * Pitch,
        Columns = S::Across / S::Wide,
        Lines = Block::Threads / Columns,
        Own = Lines < 8 ? 8 / Lines : 1,  // pairs of terms that a thread loads
        Tiles = S::RowTiles * S::Down / 16
    };
    const Tile<S> tile;
    const P phase(tile.phase);
    const int total = phase.targets();
    if (tile.pixel * S::Across >= total) return;

    const int column = threadIdx.x % Columns * S::Wide, line = threadIdx.x / Columns;
    const int pixel = tile.pixel * S::Across + column;
    int at[3], image;
    take_apart(pixel, phase.count, at, image);
#pragma unroll
    for (int a = 0; a < 3; a++) at[a] = phase.origin[a] + P::step(a) * at[a];
    const T *from = source + (image * S::Groups + tile.group) * (S::Channels * P::Source);
    const float4 *weights =
        packed + ((tile.phase * S::Groups + tile.group) * S::MostChunks * Tiles + tile.row * (S::Down / 16)) * 32;
    const bool known = pixel < total;
    const int taps = phase.all_taps();

    Pack<T, S::Wide> loaded[Own][2];
    auto copy = [&](int chunk, float *place) {
        const float4 *next = weights + chunk * (Tiles * 32);
#pragma unroll
        for (int i = 0; i < WeightWords / 4; i += Block::Threads)
            if (WeightWords / 4 % Block::Threads == 0 || i + threadIdx.x < WeightWords / 4)
                begin_copy<4>(place + 4 * (i + threadIdx.x), (const float *)(next + i + threadIdx.x), true);
        int offset = 0;
        bool is_there = false;
        if (!L::Flat) is_there = known && phase.meets(at, chunk / (L::Flat ? 1 : L::Chunks), offset);
#pragma unroll
        for (int i = 0; i < Own; i++) {
#pragma unroll
            for (int v = 0; v < 2; v++) {
                int term = 2 * (line + i * Lines) + v, channel, tap;
                if (Lines > 8 && term >= 16) continue;
                if (L::Flat) {
                    L::apart(chunk * 16 + term, tap, channel);
                    is_there = known && tap < taps && phase.meets(at, tap, offset);
                } else {
                    channel = chunk % (L::Flat ? 1 : L::Chunks) * 16 + term;
                }
                const bool found = is_there && (S::Padded == S::Channels || channel < S::Channels);
#pragma unroll
                for (int w = 0; w < S::Wide; w++) loaded[i][v].at[w] = zero<T>();
                if (found) loaded[i][v] = load<S::Wide>(from + (channel * P::Source + offset));
            }
        }
    };
    auto land = [&](float *place) {
        unsigned *pixels = reinterpret_cast<unsigned *>(place + WeightWords);
#pragma unroll
        for (int i = 0; i < Own; i++) {
            const int pair = line + i * Lines;
            if (Lines > 8 && pair >= 8) continue;
            Pack<unsigned, S::Wide> words;
#pragma unroll
            for (int w = 0; w < S::Wide; w++) words.at[w] = word(loaded[i][0].at[w], loaded[i][1].at[w]);
            store<S::Wide>(pixels + pair * Pitch + column, words);
        }
    };

    Block sums;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int down = warp % S::WarpsDown * Block::Tall, across = warp / S::WarpsDown * (Block::Wide * 8);
    auto multiply = [&](const float *place) {
        const unsigned *words = reinterpret_cast<const unsigned *>(place);
        sums.add(
            [&](int m, Rows<S::Mode> &rows) {
                const Pack<unsigned, 4> four = load<4>(words + ((down + m) * 32 + lane) * 4);
#pragma unroll
                for (int i = 0; i < 4; i++) rows.words[i] = four.at[i];
            },
            [&](int n, Column<S::Mode> &column) {
                const unsigned *pixels = words + WeightWords + lane % 4 * Pitch + across + 8 * n + lane / 4;
                column.words[0] = pixels[0];
                column.words[1] = pixels[4 * Pitch];
            });
    };
    through<S, Words>(0, L::chunks(phase), shared, copy, multiply, land);
    put(sums, phase, tile, bias, target);
}

// As ``correlated``. Wide: pixels of the slopes that are copied at once; where it is 1, they go through registers too.
template <class S, class T, class To>
__device__ void correlated_halves(const T *input, const T *slopes, To *sums, float *shared)
{
    typedef Sizes<S> Z;
    typedef Sums<S> Block;
    enum {
        Words = (S::Down + S::Across) * 8,  // 8 a row, or column, with two pixels each
        Columns = S::Channels * Z::Taps,
        Pixels = S::Batch * Z::Outputs,
        All = (Pixels + 15) / 16,
        Each = (All + S::Splits - 1) / S::Splits,
        ColumnTiles = (Columns + S::Across - 1) / S::Across,
        Lines = Block::Threads / 8,
        Own = (S::Across + Lines - 1) / Lines,  // columns that a thread loads
        OwnRows = S::Wide > 1 ? 1 : (S::Down + Lines - 1) / Lines,
        RowCopies = 16 / S::Wide,  // of a chunk's row
        RowLines = Block::Threads / RowCopies
    };
    int number = blockIdx.x;
    const int row_tile = number % S::RowTiles;
    number /= S::RowTiles;
    const int column_tile = number % ColumnTiles;
    number /= ColumnTiles;
    const int group = number % S::Groups, part = number / S::Groups;
    const int pair = threadIdx.x % 8, line = threadIdx.x / 8;

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
        offset[i] = channel < S::Channels ? channel * Z::Input + place : -1;
    }

    T loaded[Own][2], loaded_rows[OwnRows][2];
    auto copy = [&](int chunk, float *place) {
        if (S::Wide > 1) {
            const int within = threadIdx.x % RowCopies * S::Wide, pixel = chunk * 16 + within, image = pixel / Z::Outputs;
            const T *from = slopes + (image * S::Groups + group) * (S::Rows * Z::Outputs) + pixel % Z::Outputs;
#pragma unroll
            for (int i = 0; i < S::Down; i += RowLines) {
                const int row = i + threadIdx.x / RowCopies, channel = row_tile * S::Down + row;
                if (S::Down % RowLines && row >= S::Down) continue;
                const bool found = pixel < Pixels && channel < S::Rows;
                begin_copy<(S::Wide > 1 ? S::Wide / 2 : 1)>(
                    place + row * 8 + within / 2,
                    reinterpret_cast<const float *>(found ? from + channel * Z::Outputs : slopes), found);
            }
        }
#pragma unroll
        for (int v = 0; v < 2; v++) {
            const int pixel = chunk * 16 + 2 * pair + v, outputs[3] = {S::Output0, S::Output1, S::Output2};
            int at[3], image, begin = 0;
            take_apart(pixel, outputs, at, image);
            if (S::Wide == 1) {
                const T *from = slopes + (image * S::Groups + group) * (S::Rows * Z::Outputs) + pixel % Z::Outputs;
#pragma unroll
                for (int i = 0; i < OwnRows; i++) {
                    const int channel = row_tile * S::Down + line + i * Lines;
                    loaded_rows[i][v] = zero<T>();
                    if (pixel < Pixels && channel < S::Rows) loaded_rows[i][v] = from[channel * Z::Outputs];
                }
            }
#pragma unroll
            for (int a = 0; a < 3; a++) {
                at[a] = at[a] * Z::stride(a) - Z::padding(a);
                begin = begin * Z::size(a) + at[a];
            }
            const T *from = input + (image * S::Groups + group) * (S::Channels * Z::Input);
#pragma unroll
            for (int i = 0; i < Own; i++) {
                bool found = pixel < Pixels && offset[i] >= 0;
#pragma unroll
                for (int a = 0; a < 3; a++)
                    if (!Z::inside(a)) found &= at[a] + tap[i][a] >= 0 && at[a] + tap[i][a] < Z::size(a);
                loaded[i][v] = zero<T>();
                if (found) loaded[i][v] = from[begin + offset[i]];
            }
        }
    };
    auto land = [&](float *place) {
        unsigned *rows = reinterpret_cast<unsigned *>(place), *columns = rows + S::Down * 8;
#pragma unroll
        for (int i = 0; i < OwnRows && S::Wide == 1; i++) {
            const int row = line + i * Lines;
            if (S::Down % Lines == 0 || row < S::Down) rows[row * 8 + pair] = word(loaded_rows[i][0], loaded_rows[i][1]);
        }
#pragma unroll
        for (int i = 0; i < Own; i++) {
            const int column = line + i * Lines;
            if (S::Across % Lines == 0 || column < S::Across)
                columns[column * 8 + pair] = word(loaded[i][0], loaded[i][1]);
        }
    };

    Block block;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int down = warp % S::WarpsDown * (Block::Tall * 16), across = warp / S::WarpsDown * (Block::Wide * 8);
    auto multiply = [&](const float *place) {  // a lane's four pixels are neighbours
        const unsigned *rows = reinterpret_cast<const unsigned *>(place) + down * 8 + 2 * lane;
        const unsigned *columns = reinterpret_cast<const unsigned *>(place) + (S::Down + across) * 8 + 2 * lane;
        block.add(
            [&](int m, Rows<S::Mode> &factor) {
                const Pack<unsigned, 2> low = load<2>(rows + m * 128), high = load<2>(rows + m * 128 + 64);
                factor.words[0] = low.at[0], factor.words[1] = high.at[0];
                factor.words[2] = low.at[1], factor.words[3] = high.at[1];
            },
            [&](int n, Column<S::Mode> &factor) {
                const Pack<unsigned, 2> four = load<2>(columns + n * 64);
                factor.words[0] = four.at[0], factor.words[1] = four.at[1];
            });
    };
    through<S, Words>(part * Each, min((part + 1) * Each, int(All)), shared, copy, multiply, land);

    To *to = sums + ((long long)part * S::Groups + group) * (S::Rows * Columns);
    block.finish([&](int row, int column, float first, float second) {
        const int channel = row_tile * S::Down + row, place = column_tile * S::Across + column;
        if (channel >= S::Rows) return;
        if (place < Columns) to[channel * Columns + place] = To(first);
        if (place + 1 < Columns) to[channel * Columns + place + 1] = To(second);
    });
}
