// Causal attention with relative positions for the last positions of a window, keys and values of all kept: [items, heads * size, context].

// The keys and the values [items, channels, count] of the positions from `at` on. A thread for each.
template <class T> DEVICE void push(const T* key, const T* value, T* keys, T* values, int context, int at, int count, long long n) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x, to = i / count * context + at + i % count;
    if (i < n) keys[to] = key[i], values[to] = value[i];
}

// What the queries q [items, channels, count] of the positions from `at` on see of those up to them, to y. Distances are [heads, known,
// size]. A block for each head (x) of each item (y) and query (z); shared memory has the query, the scores, and room to sum.
template <class T>
DEVICE void see(const T* q, const T* keys, const T* values, const float* e, T* y, int size, int context, int known, int at, int count,
                float scale) {
    DYNAMIC_SHARED(memory);
    const int last = at + blockIdx.z;
    const Shared<float> room = slice<float>(memory, 0, 8), query = slice<float>(memory, 32, size);
    const Shared<float> scores = slice<float>(memory, 32 + size * 4, last + 1);
    const int tid = threadIdx.x, lane = tid % 32, warp = tid / 32;
    const long long head = (long long)blockIdx.y * gridDim.x + blockIdx.x;
    q += head * size * count + blockIdx.z, y += head * size * count + blockIdx.z;
    keys += head * size * context, values += head * size * context;
    e += (long long)blockIdx.x * known * size;
    for (int c = tid; c < size; c += 256) query[c] = to_float(q[(long long)c * count]);
    __syncthreads();
    float most = -infinity();
    for (int j = tid; j <= last; j += 256) {
        const float* far = e + (long long)min(last - j, known - 1) * size;
        float s = 0.f;
        for (int c = 0; c < size; c++) s = fmaf(query[c], to_float(keys[(long long)c * context + j]) + far[c], s);
        scores[j] = s;
        most = fmaxf(most, s);
    }
    UNROLL for (int off = 16; off > 0; off /= 2) most = fmaxf(most, __shfl_xor_sync(ALL, most, off));
    if (lane == 0) room[warp] = most;
    __syncthreads();
    for (int w = 0; w < 8; w++) most = fmaxf(most, room[w]);
    float sum = 0.f;
    for (int j = tid; j <= last; j += 256) {
        const float p = exp_of((scores[j] - most) * scale);
        scores[j] = p;
        sum += p;
    }
    sum = block_sum<256>(sum, room);  // passes barriers: all scores are there
    for (int c = warp; c < size; c += 8) {
        float s = 0.f;
        for (int j = lane; j <= last; j += 32) s = fmaf(scores[j], to_float(values[(long long)c * context + j]), s);
        s = warp_sum(s);
        if (lane == 0) y[(long long)c * count] = from_float<T>(s / sum);
    }
}

#define CACHED(T, name)                                                                                                                 \
    KERNEL(256) attention_push_##name(const T* __restrict__ key, const T* __restrict__ value, T* __restrict__ keys,                    \
                                      T* __restrict__ values, int context, int at, int count, long long n) {                           \
        push<T>(key, value, keys, values, context, at, count, n);                                                                       \
    }                                                                                                                                   \
    KERNEL(256) attention_see_##name(const T* __restrict__ q, const T* __restrict__ keys, const T* __restrict__ values,                \
                                     const float* __restrict__ e, T* __restrict__ y, int size, int context, int known, int at,         \
                                     int count, float scale) {                                                                         \
        see<T>(q, keys, values, e, y, size, context, known, at, count, scale);                                                          \
    }
CACHED(float, f32)
CACHED(f16, f16)
CACHED(bf16, bf16)
