// Causal attention with relative positions for one position after another, keys and values kept: [items, heads * size, context].

// The key and the value [items, channels] of position `at`. A thread for each.
KERNEL(256) attention_push(const float* __restrict__ key, const float* __restrict__ value, float* __restrict__ keys,
                           float* __restrict__ values, int context, int at, long long n) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i < n) keys[i * context + at] = key[i], values[i * context + at] = value[i];
}

// What the query q [items, channels] of position `at` sees of those up to it, to y. Distances are [heads, known, size]. A block for each
// head (x) of each item (y); shared memory has the query, the scores, and room to sum.
KERNEL(256) attention_see(const float* __restrict__ q, const float* __restrict__ keys, const float* __restrict__ values,
                          const float* __restrict__ e, float* __restrict__ y, int size, int context, int known, int at, float scale) {
    DYNAMIC_SHARED(memory);
    const Shared<float> room = slice<float>(memory, 0, 8), query = slice<float>(memory, 32, size), scores = slice<float>(memory, 32 + size * 4, at + 1);
    const int tid = threadIdx.x, lane = tid % 32, warp = tid / 32;
    const long long head = (long long)blockIdx.y * gridDim.x + blockIdx.x;
    q += head * size, y += head * size, keys += head * size * context, values += head * size * context;
    e += (long long)blockIdx.x * known * size;
    for (int c = tid; c < size; c += 256) query[c] = q[c];
    __syncthreads();
    float most = -infinity();
    for (int j = tid; j <= at; j += 256) {
        const float* far = e + (long long)min(at - j, known - 1) * size;
        float s = 0.f;
        for (int c = 0; c < size; c++) s = fmaf(query[c], keys[(long long)c * context + j] + far[c], s);
        scores[j] = s;
        most = fmaxf(most, s);
    }
    UNROLL for (int off = 16; off > 0; off /= 2) most = fmaxf(most, __shfl_xor_sync(ALL, most, off));
    if (lane == 0) room[warp] = most;
    __syncthreads();
    for (int w = 0; w < 8; w++) most = fmaxf(most, room[w]);
    float sum = 0.f;
    for (int j = tid; j <= at; j += 256) {
        const float p = exp_of((scores[j] - most) * scale);
        scores[j] = p;
        sum += p;
    }
    sum = block_sum<256>(sum, room);  // passes barriers: all scores are there
    for (int c = warp; c < size; c += 8) {
        float s = 0.f;
        for (int j = lane; j <= at; j += 32) s = fmaf(scores[j], values[(long long)c * context + j], s);
        s = warp_sum(s);
        if (lane == 0) y[c] = s / sum;
    }
}
