// Cross-entropy of codes [items, positions] under logits [items, codewords, positions], in nats, and its gradient in place of the logits.
//
// nats[item, position] in f64, 0 where the position is not in live [items, 2] (from, to); the gradient there is 0, elsewhere `share` times
// the softmax less 1 at the code. A code that is none gives NaN. A block has 32 positions (x) of an item (y) and 8 warps, each with every eighth codeword.
constexpr int GROUPS = 8;

template <class T>
DEVICE void forward(T* logits, const unsigned* codes, const unsigned* live, double* nats, int codewords, int positions, float share) {
    DYNAMIC_SHARED(memory);
    const Shared<float> room = slice<float>(memory, 0, 32 * GROUPS);
    const int lane = threadIdx.x % 32, group = threadIdx.x / 32, at = blockIdx.x * 32 + lane, item = blockIdx.y;
    const bool there = at < positions, counts = there && at >= (int)live[2 * item] && at < (int)live[2 * item + 1];
    logits += (long long)item * codewords * positions + at;
    float most = -infinity(), sum = 0.f;
    for (int c = group; c < codewords; c += GROUPS) {
        const float v = there ? to_float(logits[(long long)c * positions]) : 0.f;
        most = v > most ? v : most;
    }
    room[group * 32 + lane] = most;
    __syncthreads();
    for (int g = 0; g < GROUPS; g++) most = fmaxf(most, room[g * 32 + lane]);
    const unsigned code = there ? codes[(long long)item * positions + at] : 0;
    const float own = there && code < (unsigned)codewords ? to_float(logits[(long long)code * positions]) - most : not_a_number();
    __syncthreads();
    for (int c = group; c < codewords; c += GROUPS) {
        sum += there ? exp_of(to_float(logits[(long long)c * positions]) - most) : 0.f;
    }
    room[group * 32 + lane] = sum;
    __syncthreads();
    sum = 0.f;
    for (int g = 0; g < GROUPS; g++) sum += room[g * 32 + lane];
    if (!there) return;
    if (group == 0) nats[(long long)item * positions + at] = counts ? (double)logf(sum) - (double)own : 0.;
    const float scale = counts ? share / sum : 0.f;
    for (int c = group; c < codewords; c += GROUPS)
        logits[(long long)c * positions] = from_float<T>(
            exp_of(to_float(logits[(long long)c * positions]) - most) * scale - (counts && c == (int)code ? share : 0.f));
}

#define CROSS_ENTROPY(T, name)                                                                                                          \
    KERNEL(256) cross_entropy_forward_##name(T* __restrict__ logits, const unsigned* __restrict__ codes,                               \
                                             const unsigned* __restrict__ live, double* __restrict__ nats, int codewords,              \
                                             int positions, float share) {                                                             \
        forward<T>(logits, codes, live, nats, codewords, positions, share);                                                             \
    }
CROSS_ENTROPY(float, f32)
CROSS_ENTROPY(f16, f16)
CROSS_ENTROPY(bf16, bf16)

// The sum of n doubles, in a fixed order. One block.
DEVICE void sum_of(const double* nats, double* sum, long long n) {
    DYNAMIC_SHARED(memory);
    const Shared<double> room = slice<double>(memory, 0, 8);
    double s = 0.;
    for (long long i = threadIdx.x; i < n; i += 256) s += nats[i];
    s = block_sum<256>(s, room);
    if (threadIdx.x == 0) sum[0] = s;
}
KERNEL(256) cross_entropy_sum(const double* __restrict__ nats, double* __restrict__ sum, long long n) { sum_of(nats, sum, n); }
