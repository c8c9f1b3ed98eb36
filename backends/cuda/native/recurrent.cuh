// LSTM, GRU and RNN over a whole sequence and their adjoints, a launch each. The formulas are those of
// autograd_core/ops/_recurrences.py; the input's part of the gates, and all products with it, are done before and after.
//
// S describes a launch, as in persistent.cuh, and: Steps; Units, hidden units of a block; Gates, 4, 3 or 1; Reverse;
// Relu. Arrays are (Steps, Batch, n Hidden), or (Batch, Steps, n Hidden) if BatchFirst, of T: float, Half or Brain; what a
// thread keeps is float. ``lengths`` of the sequences and ``bias`` may be null, and initial states and cotangents of the
// last ones that are zeros. ``previous``: the states that steps begin with, for who differentiates; may be null. Block b has the units from
// b % (Hidden / Units) * Units on, of the sequences from b / (Hidden / Units) * Rows on; a thread has the same
// Cells of (unit, sequence) for all steps, so that their states stay in registers.

__device__ __forceinline__ float sigmoid(float x) { return 0.5f * tanhf(0.5f * x) + 0.5f; }

template <class S> struct Part {
    enum {
        Blocks = S::Hidden / S::Units,
        Threads = 32 * S::Warps,
        Cells = (S::Units * S::Rows + Threads - 1) / Threads,
        Wide = S::Gates * S::Hidden
    };
    int first_unit, first_row, rows;
    Group group;

    __device__ __forceinline__ Part(unsigned *arrivals)
    {
        int slice = blockIdx.x / Blocks;
        first_unit = blockIdx.x % Blocks * S::Units;
        first_row = slice * S::Rows;
        rows = min(int(S::Rows), S::Batch - first_row);
        group.arrivals = arrivals + slice * 32;  // each on a cache line of its own
        group.blocks = Blocks;
    }

    // The step that is taken as number s, from the last one back if the sequence is read backwards.
    static __device__ __forceinline__ int step(int s) { return S::Reverse ? S::Steps - 1 - s : s; }

    // Which vector belongs to step t of sequence n; how many elements those of neighbouring sequences are apart.
    static __device__ __forceinline__ int at(int t, int n) { return S::BatchFirst ? n * S::Steps + t : t * S::Batch + n; }
    static __device__ __forceinline__ int apart() { return S::Terms * (S::BatchFirst ? S::Steps : 1); }

    // f(cell, unit in the block, row in the slice, unit, sequence) for each cell of this thread.
    template <class F> __device__ __forceinline__ void each(F f) const
    {
#pragma unroll
        for (int cell = 0; cell < Cells; cell++) {
            int place = threadIdx.x + cell * Threads, unit = place % S::Units, row = place / S::Units;
            if (row < rows) f(cell, unit, row, first_unit + unit, first_row + row);
        }
    }
};

__device__ __forceinline__ bool lasts(const int *lengths, int sequence, int step)
{
    return lengths == nullptr || step < lengths[sequence];
}

// Element i of what may be null, which stands for zeros.
template <class T> __device__ __forceinline__ float given(const T *values, int i)
{
    return values == nullptr ? 0.0f : float(values[i]);
}

// The matrix of a forward launch: gates x units of the block, each over all states.
template <class S, class T>
__device__ __forceinline__ void load_forward(Resident<S> &matrix, const T *weight, int first_unit)
{
    matrix.load([=](int row, int k) {
        return row < S::Gates * S::Units
                   ? float(weight[(row / S::Units * S::Hidden + first_unit + row % S::Units) * S::Hidden + k])
                   : 0.0f;
    });
}

// The matrix of an adjoint's launch: units of the block, each over all gates.
template <class S, class T>
__device__ __forceinline__ void load_adjoint(Resident<S> &matrix, const T *weight, int first_unit)
{
    matrix.load([=](int row, int k) { return row < S::Units ? float(weight[k * S::Hidden + first_unit + row]) : 0.0f; });
}

// ------------------------------------------------------------------------------------------------ LSTM

// input: its part of the gates. gates: their values i, f, g, o; may be the same array.
template <class S, class T>
__device__ void lstm_forward(const T *weight, const T *bias, const T *h0, const T *c0, const int *lengths,
                             const T *input, T *gates, T *states, T *cells, T *previous, unsigned *arrivals, float *parts)
{
    Part<S> part(arrivals);
    Resident<S> matrix;
    load_forward(matrix, weight, part.first_unit);
    float c[Part<S>::Cells], h[Part<S>::Cells];
    part.each([&](int cell, int, int, int unit, int n) {
        c[cell] = given(c0, n * S::Hidden + unit);
        h[cell] = given(h0, n * S::Hidden + unit);
    });
    const T *before = h0;
    int apart = S::Hidden;
    for (int s = 0; s < S::Steps; s++) {
        int t = part.step(s);
        float z[Part<S>::Cells][4];
        part.each([&](int cell, int, int, int unit, int n) {
#pragma unroll
            for (int k = 0; k < 4; k++) {
                const int place = k * S::Hidden + unit;
                z[cell][k] = float(input[part.at(t, n) * (4 * S::Hidden) + place]) + given(bias, place);
            }
            if (previous != nullptr) previous[part.at(t, n) * S::Hidden + unit] = h[cell];
        });
        if (s) part.group.wait(s);
        const bool starts = s || h0 != nullptr;  // else from zeros
        if (starts) matrix.multiply(before + part.first_row * apart, apart, part.rows, parts);
        __syncthreads();
        part.each([&](int cell, int own, int row, int unit, int n) {
#pragma unroll
            for (int k = 0; k < 4; k++) z[cell][k] += starts ? Resident<S>::sum(parts, k * S::Units + own, row) : 0.0f;
            float i = sigmoid(z[cell][0]), f = sigmoid(z[cell][1]), g = tanhf(z[cell][2]), o = sigmoid(z[cell][3]);
            float next = f * c[cell] + i * g;
            if (lasts(lengths, n, t)) {
                c[cell] = next;
                h[cell] = o * tanhf(next);
            }
            int at = part.at(t, n);
            T *gate = gates + at * (4 * S::Hidden) + unit;
            gate[0] = i;
            gate[S::Hidden] = f;
            gate[2 * S::Hidden] = g;
            gate[3 * S::Hidden] = o;
            cells[at * S::Hidden + unit] = c[cell];
            states[at * S::Hidden + unit] = h[cell];
        });
        part.group.arrive();
        before = states + part.at(t, 0) * S::Hidden;
        apart = part.apart();
    }
}

// slopes: the cotangents of the gates before their nonlinearities; may be the same array as ``gates``.
template <class S, class T>
__device__ void lstm_adjoint(const T *weight, const T *gy, const T *gh, const T *gc, const T *gates,
                             const T *cells, const T *c0, const int *lengths, T *slopes, T *dh0,
                             T *dc0, unsigned *arrivals, float *parts)
{
    Part<S> part(arrivals);
    Resident<S> matrix;
    load_adjoint(matrix, weight, part.first_unit);
    float dh[Part<S>::Cells], dc[Part<S>::Cells];
    part.each([&](int cell, int, int, int unit, int n) {
        dh[cell] = given(gh, n * S::Hidden + unit);
        dc[cell] = given(gc, n * S::Hidden + unit);
    });
    for (int s = S::Steps - 1; s >= 0; s--) {
        int t = part.step(s);
        part.each([&](int cell, int, int, int unit, int n) {
            int at = part.at(t, n);
            const T *gate = gates + at * (4 * S::Hidden) + unit;
            float i = gate[0], f = gate[S::Hidden], g = gate[2 * S::Hidden], o = gate[3 * S::Hidden];
            float c = cells[at * S::Hidden + unit], squashed = tanhf(c);
            float before = s ? float(cells[part.at(part.step(s - 1), n) * S::Hidden + unit]) : given(c0, n * S::Hidden + unit);
            bool within = lasts(lengths, n, t);
            dh[cell] += gy[at * S::Hidden + unit];
            float inside = within ? dc[cell] + dh[cell] * (o * (1 - squashed * squashed)) : 0.0f;
            T *slope = slopes + at * (4 * S::Hidden) + unit;
            slope[0] = inside * (g * i * (1 - i));
            slope[S::Hidden] = inside * (before * f * (1 - f));
            slope[2 * S::Hidden] = inside * (i * (1 - g * g));
            slope[3 * S::Hidden] = within ? dh[cell] * (squashed * o * (1 - o)) : 0.0f;
            if (within) {
                dc[cell] = inside * f;
                dh[cell] = 0;  // what came in has gone through the gates
            }
        });
        part.group.arrive();
        part.group.wait(S::Steps - s);
        matrix.multiply(slopes + part.at(t, part.first_row) * (4 * S::Hidden), part.apart(), part.rows, parts);
        __syncthreads();
        part.each([&](int cell, int own, int row, int, int) { dh[cell] += Resident<S>::sum(parts, own, row); });
    }
    part.each([&](int cell, int, int, int unit, int n) {
        dh0[n * S::Hidden + unit] = dh[cell];
        dc0[n * S::Hidden + unit] = dc[cell];
    });
}

// ------------------------------------------------------------------------------------------------ GRU

// input: its part of the gates. gates: the values of r, z, n; may be the same array. inner: the hidden part of n, to which
// ``bias`` belongs.
template <class S, class T>
__device__ void gru_forward(const T *weight, const T *bias, const T *h0, const int *lengths, const T *input, T *gates,
                            T *states, T *inner, T *previous, unsigned *arrivals, float *parts)
{
    Part<S> part(arrivals);
    Resident<S> matrix;
    load_forward(matrix, weight, part.first_unit);
    float h[Part<S>::Cells], b[Part<S>::Cells][3];
    part.each([&](int cell, int, int, int unit, int n) {
        h[cell] = given(h0, n * S::Hidden + unit);
#pragma unroll
        for (int k = 0; k < 3; k++) b[cell][k] = bias ? float(bias[k * S::Hidden + unit]) : 0.0f;
    });
    const T *before = h0;
    int apart = S::Hidden;
    for (int s = 0; s < S::Steps; s++) {
        int t = part.step(s);
        float x[Part<S>::Cells][3];
        part.each([&](int cell, int, int, int unit, int n) {
#pragma unroll
            for (int k = 0; k < 3; k++) x[cell][k] = input[part.at(t, n) * (3 * S::Hidden) + k * S::Hidden + unit];
            if (previous != nullptr) previous[part.at(t, n) * S::Hidden + unit] = h[cell];
        });
        if (s) part.group.wait(s);
        const bool starts = s || h0 != nullptr;  // else from zeros
        if (starts) matrix.multiply(before + part.first_row * apart, apart, part.rows, parts);
        __syncthreads();
        part.each([&](int cell, int own, int row, int unit, int n) {
            float y[3];
#pragma unroll
            for (int k = 0; k < 3; k++) y[k] = (starts ? Resident<S>::sum(parts, k * S::Units + own, row) : 0.0f) + b[cell][k];
            float r = sigmoid(x[cell][0] + y[0]), z = sigmoid(x[cell][1] + y[1]), m = tanhf(x[cell][2] + r * y[2]);
            if (lasts(lengths, n, t)) h[cell] = (h[cell] - m) * z + m;
            int at = part.at(t, n);
            T *gate = gates + at * (3 * S::Hidden) + unit;
            gate[0] = r;
            gate[S::Hidden] = z;
            gate[2 * S::Hidden] = m;
            inner[at * S::Hidden + unit] = y[2];
            states[at * S::Hidden + unit] = h[cell];
        });
        part.group.arrive();
        before = states + part.at(t, 0) * S::Hidden;
        apart = part.apart();
    }
}

// d_input, d_hidden: the cotangents of the gates' input parts and of their hidden parts.
template <class S, class T>
__device__ void gru_adjoint(const T *weight, const T *gy, const T *gh, const T *states,
                            const T *gates, const T *inner, const T *h0, const int *lengths,
                            T *d_input, T *d_hidden, T *dh0, unsigned *arrivals, float *parts)
{
    Part<S> part(arrivals);
    Resident<S> matrix;
    load_adjoint(matrix, weight, part.first_unit);
    float dh[Part<S>::Cells];
    part.each([&](int cell, int, int, int unit, int n) { dh[cell] = given(gh, n * S::Hidden + unit); });
    for (int s = S::Steps - 1; s >= 0; s--) {
        int t = part.step(s);
        part.each([&](int cell, int, int, int unit, int n) {
            int at = part.at(t, n);
            const T *gate = gates + at * (3 * S::Hidden) + unit;
            float r = gate[0], z = gate[S::Hidden], m = gate[2 * S::Hidden];
            float before = s ? float(states[part.at(part.step(s - 1), n) * S::Hidden + unit]) : given(h0, n * S::Hidden + unit);
            bool within = lasts(lengths, n, t);
            dh[cell] += gy[at * S::Hidden + unit];
            float through = within ? dh[cell] * ((1 - z) * (1 - m * m)) : 0.0f;
            float dr = through * r * inner[at * S::Hidden + unit] * (1 - r);
            float dz = within ? dh[cell] * ((before - m) * z * (1 - z)) : 0.0f;
            T *in = d_input + at * (3 * S::Hidden) + unit, *hidden = d_hidden + at * (3 * S::Hidden) + unit;
            in[0] = hidden[0] = dr;
            in[S::Hidden] = hidden[S::Hidden] = dz;
            in[2 * S::Hidden] = through;
            hidden[2 * S::Hidden] = through * r;
            if (within) dh[cell] *= z;
        });
        part.group.arrive();
        part.group.wait(S::Steps - s);
        matrix.multiply(d_hidden + part.at(t, part.first_row) * (3 * S::Hidden), part.apart(), part.rows, parts);
        __syncthreads();
        part.each([&](int cell, int own, int row, int, int) { dh[cell] += Resident<S>::sum(parts, own, row); });
    }
    part.each([&](int cell, int, int, int unit, int n) { dh0[n * S::Hidden + unit] = dh[cell]; });
}

// ------------------------------------------------------------------------------------------------ RNN

// input: its part of the sums; may be the same array as ``states``.
template <class S, class T>
__device__ void rnn_forward(const T *weight, const T *bias, const T *h0, const int *lengths, const T *input, T *states, T *previous,
                            unsigned *arrivals, float *parts)
{
    Part<S> part(arrivals);
    Resident<S> matrix;
    load_forward(matrix, weight, part.first_unit);
    float h[Part<S>::Cells];
    part.each([&](int cell, int, int, int unit, int n) { h[cell] = given(h0, n * S::Hidden + unit); });
    const T *before = h0;
    int apart = S::Hidden;
    for (int s = 0; s < S::Steps; s++) {
        int t = part.step(s);
        float z[Part<S>::Cells];
        part.each([&](int cell, int, int, int unit, int n) {
            z[cell] = float(input[part.at(t, n) * S::Hidden + unit]) + given(bias, unit);
            if (previous != nullptr) previous[part.at(t, n) * S::Hidden + unit] = h[cell];
        });
        if (s) part.group.wait(s);
        const bool starts = s || h0 != nullptr;  // else from zeros
        if (starts) matrix.multiply(before + part.first_row * apart, apart, part.rows, parts);
        __syncthreads();
        part.each([&](int cell, int own, int row, int unit, int n) {
            float y = z[cell] + (starts ? Resident<S>::sum(parts, own, row) : 0.0f);
            if (lasts(lengths, n, t)) h[cell] = S::Relu ? (y < 0 ? 0.0f : y) : tanhf(y);
            states[part.at(t, n) * S::Hidden + unit] = h[cell];
        });
        part.group.arrive();
        before = states + part.at(t, 0) * S::Hidden;
        apart = part.apart();
    }
}

template <class S, class T>
__device__ void rnn_adjoint(const T *weight, const T *gy, const T *gh, const T *states,
                            const int *lengths, T *slopes, T *dh0, unsigned *arrivals, float *parts)
{
    Part<S> part(arrivals);
    Resident<S> matrix;
    load_adjoint(matrix, weight, part.first_unit);
    float dh[Part<S>::Cells];
    part.each([&](int cell, int, int, int unit, int n) { dh[cell] = given(gh, n * S::Hidden + unit); });
    for (int s = S::Steps - 1; s >= 0; s--) {
        int t = part.step(s);
        part.each([&](int cell, int, int, int unit, int n) {
            int at = part.at(t, n);
            float y = states[at * S::Hidden + unit];
            dh[cell] += gy[at * S::Hidden + unit];
            float slope = S::Relu ? (y > 0 ? 1.0f : 0.0f) : 1 - y * y;
            bool within = lasts(lengths, n, t);
            slopes[at * S::Hidden + unit] = within ? dh[cell] * slope : 0.0f;
            if (within) dh[cell] = 0;
        });
        part.group.arrive();
        part.group.wait(S::Steps - s);
        matrix.multiply(slopes + part.at(t, part.first_row) * S::Hidden, part.apart(), part.rows, parts);
        __syncthreads();
        part.each([&](int cell, int own, int row, int, int) { dh[cell] += Resident<S>::sum(parts, own, row); });
    }
    part.each([&](int cell, int, int, int unit, int n) { dh0[n * S::Hidden + unit] = dh[cell]; });
}
