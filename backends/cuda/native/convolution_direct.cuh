// Convolutions of few channels: no tiles of them would be full, so each thread has sums of its own. S as in
// convolution_places.cuh, and: Run, neighbours along the last axis whose sums a thread has, 1 or 4.

// The convolution, or with S::Adjoint the input's gradient, a phase of it.
template <class S, class T> __device__ void summed(const T *source, const T *weight, const T *bias, T *target)
{
    typedef Phase<S> P;
    enum {
        Kernel = S::Kernel2,
        Along = S::Adjoint ? -S::Dilation2 / S::Common2 : S::Dilation2,
        Step = S::Adjoint ? 1 : S::Stride2,
        Lowest = Along < 0 ? Along * (Kernel - 1) : 0,  // where the window begins, from the first tap
        Window = Step * (S::Run - 1) + (Along < 0 ? -Along : Along) * (Kernel - 1) + 1
    };
    const P phase(S::Phases == 1 ? 0 : blockIdx.x % S::Phases);
    const int of[3] = {phase.count[0], phase.count[1], (phase.count[2] + S::Run - 1) / S::Run};
    int counted[3], rest, at[3];
    take_apart(blockIdx.x / S::Phases * blockDim.x + threadIdx.x, of, counted, rest);
    if (rest >= S::Batch * S::Groups * S::Rows) return;
    counted[2] *= S::Run;
    const int group = rest / S::Rows % S::Groups, row = rest % S::Rows, image = rest / (S::Groups * S::Rows);
#pragma unroll
    for (int a = 0; a < 3; a++) at[a] = phase.origin[a] + P::step(a) * counted[a];

    float sums[S::Run];
#pragma unroll
    for (int v = 0; v < S::Run; v++) sums[v] = S::Bias ? float(bias[group * S::Rows + row]) : 0.0f;
    for (int c = 0; c < S::Channels; c++) {
        const T *from = source + ((image * S::Groups + group) * S::Channels + c) * P::Source;
        const T *w = weight + (S::Adjoint ? (group * S::Channels + c) * S::Rows + row
                                              : (group * S::Rows + row) * S::Channels + c) *
                                      Sizes<S>::Taps;
        for (int k0 = 0; k0 < phase.taps[0]; k0++) {
            const int place0 = at[0] + P::along(0) * k0;
            if (place0 < 0 || place0 >= P::source(0)) continue;
            for (int k1 = 0; k1 < phase.taps[1]; k1++) {
                const int place1 = at[1] + P::along(1) * k1;
                if (place1 < 0 || place1 >= P::source(1)) continue;
                const T *line = from + (place0 * P::source(1) + place1) * P::source(2);
                const T *taps = w + ((phase.first[0] + k0 * P::every(0)) * Sizes<S>::kernel(1) + phase.first[1] +
                                         k1 * P::every(1)) *
                                            Kernel;
                if (S::Run > 1) {
                    float seen[Window];
#pragma unroll
                    for (int i = 0; i < Window; i++) {
                        const int place2 = at[2] + Lowest + i;
                        seen[i] = place2 >= 0 && place2 < P::source(2) ? float(line[place2]) : 0.0f;
                    }
#pragma unroll
                    for (int k2 = 0; k2 < Kernel; k2++)
#pragma unroll
                        for (int v = 0; v < S::Run; v++) sums[v] += float(taps[k2]) * seen[Step * v + Along * k2 - Lowest];
                } else {
                    for (int k2 = 0; k2 < phase.taps[2]; k2++) {
                        const int place2 = at[2] + P::along(2) * k2;
                        if (place2 >= 0 && place2 < P::source(2))
                            sums[0] += float(taps[phase.first[2] + k2 * P::every(2)]) * float(line[place2]);
                    }
                }
            }
        }
    }

    int place = 0;
#pragma unroll
    for (int a = 0; a < 3; a++) place = place * P::target(a) + phase.begin[a] + P::apart(a) * counted[a];
    T *to = target + ((image * S::Groups + group) * S::Rows + row) * P::Target + place;
    if (S::Run == 4 && P::target(2) % 4 == 0) {
        store<4>(to, Pack<T, 4>{T(sums[0]), T(sums[S::Run > 1]), T(sums[S::Run / 2]), T(sums[S::Run - 1])});
        return;
    }
#pragma unroll
    for (int v = 0; v < S::Run; v++)
        if (counted[2] + v < phase.count[2]) to[v * P::apart(2)] = T(sums[v]);
}

// The weight's gradient, one pair of channels a block, all its taps; of the pixels S::Splits blocks have some each.
template <class S, class T, class To> __device__ void correlated_directly(const T *input, const T *slopes, To *sums)
{
    typedef Sizes<S> Z;
    enum { Pixels = S::Batch * Z::Outputs, Each = (Pixels + S::Splits - 1) / S::Splits };
    __shared__ float memory[4];
    const int pair = blockIdx.x / S::Splits, part = blockIdx.x % S::Splits;
    const int channel = pair % S::Channels, row = pair / S::Channels % S::Rows, group = pair / (S::Channels * S::Rows);
    const int outputs[3] = {S::Output0, S::Output1, S::Output2};
    float found[Z::Taps];
#pragma unroll
    for (int k = 0; k < Z::Taps; k++) found[k] = 0;
    for (int pixel = part * Each + threadIdx.x; pixel < min((part + 1) * Each, int(Pixels)); pixel += 128) {
        int at[3], image;
        take_apart(pixel, outputs, at, image);
        const float slope = slopes[((image * S::Groups + group) * S::Rows + row) * Z::Outputs + pixel % Z::Outputs];
        const T *from = input + ((image * S::Groups + group) * S::Channels + channel) * Z::Input;
#pragma unroll
        for (int k = 0; k < Z::Taps; k++) {
            const int tap[3] = {k / (S::Kernel1 * S::Kernel2), k / S::Kernel2 % S::Kernel1, k % S::Kernel2};
            int place = 0;
            bool is_there = true;
#pragma unroll
            for (int a = 0; a < 3; a++) {
                const int axis = at[a] * Z::stride(a) - Z::padding(a) + tap[a] * Z::dilation(a);
                is_there &= Z::inside(a) || (axis >= 0 && axis < Z::size(a));
                place = place * Z::size(a) + axis;
            }
            found[k] += slope * (is_there ? float(from[place]) : 0.0f);
        }
    }
#pragma unroll
    for (int k = 0; k < Z::Taps; k++) {
        const float sum = over_block<Sum, 128>(found[k], memory, 0.0f);
        if (threadIdx.x == 0) sums[((long long)part * (S::Groups * S::Rows * S::Channels) + pair) * Z::Taps + k] = To(sum);
    }
}
