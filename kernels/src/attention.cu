// Causal attention with relative positions, forward and backward, without ever writing the matrix of all pairs.
//
// q, k, v, y and their gradients are [batch, heads * size, positions], distances [heads, known, size], sums and own [batch, heads,
// positions]. y_i = sum over j <= i of softmax_j(scale * q_i . (k_j + e_(i - j))) v_j; distances beyond the last are clipped to it.
// The way forward keeps the logarithm of each query's sum of exponentials. On the way back weights are computed again: once for the
// gradients of the queries, once for keys and values, once for distances, each sum in a fixed order, without atomics.
// Plain fp32 arithmetic on CUDA cores: the reference for any faster variant. No header is needed to compile it.
#define TILE 64          // queries, keys or distances of a tile; 16 x 16 threads, each 4 x 4 of its pairs
#define EACH 4
#define DEPTH 16         // channels (or terms of a sum) in shared memory at a time
#define PITCH (TILE + 4)
#define CHANNELS 128     // most channels of a head; a thread holds those of one lane in 16
#define SLOTS (CHANNELS / 16)
#define NONE {0, 0, 0, 0}

// Floats by channel and position (or distance): 0 before the first, the last one behind the last.
struct Operand {
    const float* at;
    long long channel, step;
    int last;
};

__device__ __forceinline__ float get(const Operand& o, int c, int x) {
    return !o.at || x < 0 ? 0.f : o.at[c * o.channel + (x < o.last ? x : o.last) * o.step];
}

// s[a][b] = sum over c of rows(c, i) * (plain(c, x) + band(c, i - x)) for i = i0 + 4 ty + a and x = x0 + 4 tx + b.
__device__ void product(float s[EACH][EACH], Operand rows, Operand plain, Operand band, int i0, int x0, int size) {
    __shared__ float rs[DEPTH][PITCH], ps[DEPTH][PITCH], bs[DEPTH][TILE + PITCH];
    const int tid = threadIdx.x, tx = tid & 15, ty = tid >> 4;
    #pragma unroll
    for (int a = 0; a < EACH; a++)
        #pragma unroll
        for (int b = 0; b < EACH; b++) s[a][b] = 0.f;
    for (int c0 = 0; c0 < size; c0 += DEPTH) {
        __syncthreads();
        for (int n = tid; n < DEPTH * TILE; n += 256) {
            const int d = n / TILE, t = n % TILE;
            const bool inside = c0 + d < size;
            rs[d][t] = inside ? get(rows, c0 + d, i0 + t) : 0.f;
            ps[d][t] = inside ? get(plain, c0 + d, x0 + t) : 0.f;
        }
        for (int n = tid; n < DEPTH * 2 * TILE; n += 256) {
            const int d = n / (2 * TILE), t = n % (2 * TILE);
            bs[d][t] = c0 + d < size ? get(band, c0 + d, i0 - x0 - (TILE - 1) + t) : 0.f;
        }
        __syncthreads();
        for (int d = 0; d < DEPTH; d++) {
            float r[EACH], p[EACH], w[2 * EACH - 1];
            #pragma unroll
            for (int a = 0; a < EACH; a++) { r[a] = rs[d][ty * EACH + a]; p[a] = ps[d][tx * EACH + a]; }
            #pragma unroll
            for (int m = 0; m < 2 * EACH - 1; m++) w[m] = bs[d][(ty - tx) * EACH + TILE - EACH + m];
            #pragma unroll
            for (int a = 0; a < EACH; a++)
                #pragma unroll
                for (int b = 0; b < EACH; b++) s[a][b] = fmaf(r[a], p[b] + w[a - b + EACH - 1], s[a][b]);
        }
    }
}

// out[a][m] += sum over the tile's x of weight(r, x) * (plain(c, x) + band(c, r - x)) for r = r0 + 4 ty + a and c = tx + 16 m; the
// weights are w[r][x], or w[x][r] where they are turned.
template <bool TURNED>
__device__ void accumulate(float out[EACH][SLOTS], const float (*w)[TILE + 1], Operand plain, Operand band, int r0, int x0, int size) {
    __shared__ float xs[DEPTH][CHANNELS + 1];
    const int tid = threadIdx.x, tx = tid & 15, ty = tid >> 4;
    for (int t0 = 0; t0 < TILE; t0 += DEPTH) {
        __syncthreads();
        for (int n = tid; n < DEPTH * size; n += 256) xs[n % DEPTH][n / DEPTH] = get(plain, n / DEPTH, x0 + t0 + n % DEPTH);
        __syncthreads();
        for (int t = 0; t < DEPTH; t++)
            #pragma unroll
            for (int a = 0; a < EACH; a++) {
                const int r = ty * EACH + a, x = t0 + t;
                const float weight = TURNED ? w[x][r] : w[r][x];
                #pragma unroll
                for (int m = 0; m < SLOTS; m++) {
                    const int c = tx + 16 * m;
                    // a band is read where it lies: its channels are neighbours
                    if (c < size) out[a][m] = fmaf(weight, xs[t][c] + get(band, c, r0 + r - x0 - x), out[a][m]);
                }
            }
    }
}

__device__ __forceinline__ void clear(float out[EACH][SLOTS]) {
    #pragma unroll
    for (int a = 0; a < EACH; a++)
        #pragma unroll
        for (int m = 0; m < SLOTS; m++) out[a][m] = 0.f;
}

// Rows of sums to their positions in all channels of a head.
__device__ __forceinline__ void put(float* to, float out[EACH][SLOTS], int r0, int size, int positions) {
    #pragma unroll
    for (int a = 0; a < EACH; a++) {
        const int r = r0 + (threadIdx.x >> 4) * EACH + a;
        #pragma unroll
        for (int m = 0; m < SLOTS; m++) {
            const int c = (threadIdx.x & 15) + 16 * m;
            if (c < size && r < positions) to[(long long)c * positions + r] = out[a][m];
        }
    }
}

// One block for each tile of queries (x) of each head of each item (y).
extern "C" __global__ void __launch_bounds__(256)
attention_forward(const float* __restrict__ q, const float* __restrict__ k, const float* __restrict__ v, const float* __restrict__ e,
                  float* __restrict__ y, float* __restrict__ sums, int heads, int size, int positions, int known, float scale) {
    __shared__ float w[TILE][TILE + 1];
    const int tx = threadIdx.x & 15, ty = threadIdx.x >> 4, i0 = blockIdx.x * TILE;
    const long long base = (long long)blockIdx.y * size * positions;
    const Operand Q = {q + base, positions, 1, positions - 1}, K = {k + base, positions, 1, positions - 1};
    const Operand V = {v + base, positions, 1, positions - 1}, N = NONE;
    const Operand E = {e + (long long)(blockIdx.y % heads) * known * size, 1, size, known - 1};
    float most[EACH], sum[EACH], s[EACH][EACH], out[EACH][SLOTS];
    #pragma unroll
    for (int a = 0; a < EACH; a++) { most[a] = __int_as_float(0xff800000); sum[a] = 0.f; }
    clear(out);
    for (int x0 = 0; x0 <= i0; x0 += TILE) {
        product(s, Q, K, E, i0, x0, size);
        #pragma unroll
        for (int a = 0; a < EACH; a++) {
            const int i = i0 + ty * EACH + a;
            float now = most[a], part = 0.f;
            #pragma unroll
            for (int b = 0; b < EACH; b++) {
                s[a][b] *= scale;
                if (x0 + tx * EACH + b <= i) now = fmaxf(now, s[a][b]);
            }
            #pragma unroll
            for (int off = 8; off > 0; off >>= 1) now = fmaxf(now, __shfl_xor_sync(0xffffffffu, now, off, 16));
            #pragma unroll
            for (int b = 0; b < EACH; b++) {
                const float p = x0 + tx * EACH + b <= i ? expf(s[a][b] - now) : 0.f;
                w[ty * EACH + a][tx * EACH + b] = p;
                part += p;
            }
            #pragma unroll
            for (int off = 8; off > 0; off >>= 1) part += __shfl_xor_sync(0xffffffffu, part, off, 16);
            const float fade = expf(most[a] - now);
            sum[a] = fmaf(sum[a], fade, part);
            most[a] = now;
            #pragma unroll
            for (int m = 0; m < SLOTS; m++) out[a][m] *= fade;
        }
        accumulate<false>(out, w, V, N, i0, x0, size);
    }
    #pragma unroll
    for (int a = 0; a < EACH; a++) {
        const int i = i0 + ty * EACH + a;
        if (tx == 0 && i < positions) sums[(long long)blockIdx.y * positions + i] = most[a] + logf(sum[a]);
        #pragma unroll
        for (int m = 0; m < SLOTS; m++) out[a][m] /= sum[a];
    }
    put(y + base, out, i0, size, positions);
}

// What the softmax takes off each query's gradients: the gradient times the result. A thread for each query of each head and item.
extern "C" __global__ void __launch_bounds__(256)
attention_own(const float* __restrict__ y, const float* __restrict__ dy, float* __restrict__ own, int size, int positions, int rows) {
    const long long at = (long long)blockIdx.x * 256 + threadIdx.x;
    if (at >= (long long)rows * positions) return;
    const long long from = at / positions * size * positions + at % positions;
    float s = 0.f;
    for (int c = 0; c < size; c++) s = fmaf(y[from + (long long)c * positions], dy[from + (long long)c * positions], s);
    own[at] = s;
}

// The weight of a pair, from its product s, and the gradient of its score, from d; both 0 where the key is ahead of the query.
__device__ __forceinline__ void pair(float& s, float& d, const float* sums, const float* own, int i, bool seen, int positions, float scale) {
    const bool there = seen && i < positions;
    s = there ? expf(fmaf(s, scale, -sums[i])) : 0.f;
    d = there ? s * (d - own[i]) * scale : 0.f;
}

extern "C" __global__ void __launch_bounds__(256)
attention_queries(const float* __restrict__ q, const float* __restrict__ k, const float* __restrict__ v, const float* __restrict__ e,
                  const float* __restrict__ dy, const float* __restrict__ sums, const float* __restrict__ own, float* __restrict__ dq,
                  int heads, int size, int positions, int known, float scale) {
    __shared__ float w[TILE][TILE + 1];
    const int tx = threadIdx.x & 15, ty = threadIdx.x >> 4, i0 = blockIdx.x * TILE;
    const long long base = (long long)blockIdx.y * size * positions, row = (long long)blockIdx.y * positions;
    const Operand Q = {q + base, positions, 1, positions - 1}, K = {k + base, positions, 1, positions - 1};
    const Operand V = {v + base, positions, 1, positions - 1}, G = {dy + base, positions, 1, positions - 1}, N = NONE;
    const Operand E = {e + (long long)(blockIdx.y % heads) * known * size, 1, size, known - 1};
    float s[EACH][EACH], d[EACH][EACH], out[EACH][SLOTS];
    clear(out);
    for (int x0 = 0; x0 <= i0; x0 += TILE) {
        product(s, Q, K, E, i0, x0, size);
        product(d, G, V, N, i0, x0, size);
        #pragma unroll
        for (int a = 0; a < EACH; a++)
            #pragma unroll
            for (int b = 0; b < EACH; b++) {
                const int i = i0 + ty * EACH + a, j = x0 + tx * EACH + b;
                pair(s[a][b], d[a][b], sums + row, own + row, i, j <= i, positions, scale);
                w[ty * EACH + a][tx * EACH + b] = d[a][b];
            }
        accumulate<false>(out, w, K, E, i0, x0, size);
    }
    put(dq + base, out, i0, size, positions);
}

// One block for each tile of keys (x) of each head of each item (y).
extern "C" __global__ void __launch_bounds__(256)
attention_keys(const float* __restrict__ q, const float* __restrict__ k, const float* __restrict__ v, const float* __restrict__ e,
               const float* __restrict__ dy, const float* __restrict__ sums, const float* __restrict__ own, float* __restrict__ dk,
               float* __restrict__ dv, int heads, int size, int positions, int known, float scale) {
    __shared__ float w[TILE][TILE + 1];
    const int tx = threadIdx.x & 15, ty = threadIdx.x >> 4, x0 = blockIdx.x * TILE;
    const long long base = (long long)blockIdx.y * size * positions, row = (long long)blockIdx.y * positions;
    const Operand Q = {q + base, positions, 1, positions - 1}, K = {k + base, positions, 1, positions - 1};
    const Operand V = {v + base, positions, 1, positions - 1}, G = {dy + base, positions, 1, positions - 1}, N = NONE;
    const Operand E = {e + (long long)(blockIdx.y % heads) * known * size, 1, size, known - 1};
    float s[EACH][EACH], d[EACH][EACH], keys[EACH][SLOTS], values[EACH][SLOTS];
    clear(keys);
    clear(values);
    for (int i0 = x0; i0 < positions; i0 += TILE) {
        product(s, Q, K, E, i0, x0, size);
        product(d, G, V, N, i0, x0, size);
        #pragma unroll
        for (int a = 0; a < EACH; a++)
            #pragma unroll
            for (int b = 0; b < EACH; b++) {
                const int i = i0 + ty * EACH + a, j = x0 + tx * EACH + b;
                pair(s[a][b], d[a][b], sums + row, own + row, i, j <= i, positions, scale);
                w[ty * EACH + a][tx * EACH + b] = s[a][b];
            }
        accumulate<true>(values, w, G, N, x0, i0, size);
        __syncthreads();
        #pragma unroll
        for (int a = 0; a < EACH; a++)
            #pragma unroll
            for (int b = 0; b < EACH; b++) w[ty * EACH + a][tx * EACH + b] = d[a][b];
        accumulate<true>(keys, w, Q, N, x0, i0, size);
    }
    put(dk + base, keys, x0, size, positions);
    put(dv + base, values, x0, size, positions);
}

// One block for each tile of distances (x), not clipped, of each head (y); de is [heads, positions, size]. Columns are distances here, so
// that the embeddings lie plain and the keys in a band.
extern "C" __global__ void __launch_bounds__(256)
attention_distances(const float* __restrict__ q, const float* __restrict__ k, const float* __restrict__ v, const float* __restrict__ e,
                    const float* __restrict__ dy, const float* __restrict__ sums, const float* __restrict__ own,
                    float* __restrict__ de, int batch, int heads, int size, int positions, int known, float scale) {
    __shared__ float w[TILE][TILE + 1];
    const int tx = threadIdx.x & 15, ty = threadIdx.x >> 4, d0 = blockIdx.x * TILE;
    const Operand E = {e + (long long)blockIdx.y * known * size, 1, size, known - 1}, N = NONE;
    float s[EACH][EACH], d[EACH][EACH], out[EACH][SLOTS];
    clear(out);
    for (int item = 0; item < batch; item++) {
        const long long head = (long long)item * heads + blockIdx.y, base = head * size * positions, row = head * positions;
        const Operand Q = {q + base, positions, 1, positions - 1}, K = {k + base, positions, 1, positions - 1};
        const Operand V = {v + base, positions, 1, positions - 1}, G = {dy + base, positions, 1, positions - 1};
        for (int i0 = d0; i0 < positions; i0 += TILE) {
            product(s, Q, E, K, i0, d0, size);
            product(d, G, N, V, i0, d0, size);
            #pragma unroll
            for (int a = 0; a < EACH; a++)
                #pragma unroll
                for (int b = 0; b < EACH; b++) {
                    const int i = i0 + ty * EACH + a, distance = d0 + tx * EACH + b;
                    pair(s[a][b], d[a][b], sums + row, own + row, i, distance <= i, positions, scale);
                    w[ty * EACH + a][tx * EACH + b] = d[a][b];
                }
            accumulate<true>(out, w, Q, N, d0, i0, size);
        }
    }
    #pragma unroll
    for (int a = 0; a < EACH; a++) {
        const int r = d0 + ty * EACH + a;
        #pragma unroll
        for (int m = 0; m < SLOTS; m++) {
            const int c = tx + 16 * m;
            if (c < size && r < positions) de[((long long)blockIdx.y * positions + r) * size + c] = out[a][m];
        }
    }
}

// Distances clipped to the last known one: from [heads, positions, size] to [heads, known, size], a thread for each float.
extern "C" __global__ void __launch_bounds__(256)
attention_clip(const float* __restrict__ all, float* __restrict__ de, int heads, int size, int positions, int known) {
    const long long at = (long long)blockIdx.x * 256 + threadIdx.x;
    if (at >= (long long)heads * known * size) return;
    const int c = at % size, d = at / size % known;
    const float* from = all + at / ((long long)size * known) * positions * size + c;
    const int end = d + 1 < known ? d + 1 : positions;
    float s = 0.f;
    for (int r = d; r < end && r < positions; r++) s += from[(long long)r * size];
    de[at] = s;
}
