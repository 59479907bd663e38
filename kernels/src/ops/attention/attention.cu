// Causal attention with relative positions, forward and backward, without ever writing the matrix of all pairs.
//
// q, k, v, y and their gradients are [batch, heads * size, positions], distances [heads, known, size], sums and own [batch, heads,
// positions]. y_i = sum over j <= i of softmax_j(scale * q_i . (k_j + e_(i - j))) v_j; distances beyond the last are clipped to it.
// The way forward keeps the logarithm of each query's sum of exponentials. On the way back weights are computed again: once for the
// gradients of the queries, once for keys and values, once for distances, each sum in a fixed order, without atomics.
// A head may have any size: a block (z) writes 128 of its channels. Sums in f32 on CUDA cores, for activations of any float: the
// reference for any faster variant.
constexpr int TILE = 64, EACH = 4;           // queries, keys or distances of a tile; 16 x 16 threads, each 4 x 4 of its pairs
constexpr int DEPTH = 16, PITCH = TILE + 4;  // channels (or terms of a sum) in shared memory at a time
constexpr int BAND = 2 * TILE + 4, LINE = TILE + 1;
constexpr int CHANNELS = 128, SLOTS = CHANNELS / 16;  // channels of a block; a thread holds those of one lane in 16

// Weights of a tile; rows, columns and band of a product; values of a sum. 42,304 bytes.
struct Room { Shared<float> w, rs, ps, bs, xs; };
#define ROOM(room)                                                                                                                  \
    DYNAMIC_SHARED(memory);                                                                                                         \
    const Room room = {slice<float>(memory, 0, TILE * LINE), slice<float>(memory, 16640, DEPTH * PITCH),                            \
                       slice<float>(memory, 20992, DEPTH * PITCH), slice<float>(memory, 25344, DEPTH * BAND),                       \
                       slice<float>(memory, 33792, DEPTH * (CHANNELS + 1))};                                                        \
    const int tx = threadIdx.x & 15, ty = threadIdx.x >> 4, tile = blockIdx.x * TILE, first = blockIdx.z * CHANNELS

// Floats by channel and position (or distance): 0 before the first, the last one behind the last.
template <class T> struct Operand {
    const T* at;
    long long channel, step;
    int last;
};
template <class T> DEVICE float get(const Operand<T>& o, int c, int x) {
    return !o.at || x < 0 ? 0.f : to_float(o.at[c * o.channel + (x < o.last ? x : o.last) * o.step]);
}
DEVICE Operand<float> none() { return {nullptr, 0, 0, 0}; }
template <class T> DEVICE Operand<T> rows_of(const T* x, long long head, int size, int positions) {
    return {x + head * size * positions, positions, 1, positions - 1};
}
DEVICE Operand<float> table_of(const float* e, int head, int size, int known) {
    return {e + (long long)head * known * size, 1, size, known - 1};
}

// s[a][b] = sum over c of rows(c, i) * (plain(c, x) + band(c, i - x)) for i = i0 + 4 ty + a and x = x0 + 4 tx + b.
template <class R, class P, class B>
DEVICE void tile_product(float (&s)[EACH][EACH], const Room& room, Operand<R> rows, Operand<P> plain, Operand<B> band, int i0, int x0,
                         int size) {
    const int tid = threadIdx.x, tx = tid & 15, ty = tid >> 4;
    UNROLL for (int i = 0; i < EACH * EACH; i++) s[i / EACH][i % EACH] = 0.f;
    ROLLED for (int c0 = 0; c0 < size; c0 += DEPTH) {
        __syncthreads();
        ROLLED for (int n = tid; n < DEPTH * TILE; n += 256) {
            const int d = n / TILE, t = n % TILE;
            const bool inside = c0 + d < size;
            room.rs[d * PITCH + t] = inside ? get(rows, c0 + d, i0 + t) : 0.f;
            room.ps[d * PITCH + t] = inside ? get(plain, c0 + d, x0 + t) : 0.f;
        }
        ROLLED for (int n = tid; n < DEPTH * 2 * TILE; n += 256) {
            const int d = n / (2 * TILE), t = n % (2 * TILE);
            room.bs[d * BAND + t] = c0 + d < size ? get(band, c0 + d, i0 - x0 - (TILE - 1) + t) : 0.f;
        }
        __syncthreads();
        UNROLL for (int d = 0; d < DEPTH; d++) {
            const float4 r4 = load<float4>(room.rs + (d * PITCH + ty * EACH)), p4 = load<float4>(room.ps + (d * PITCH + tx * EACH));
            const Shared<float> from = room.bs + (d * BAND + (ty - tx) * EACH + TILE - EACH);
            const float4 w0 = load<float4>(from), w1 = load<float4>(from + 4);
            const float r[4] = {r4.x, r4.y, r4.z, r4.w}, p[4] = {p4.x, p4.y, p4.z, p4.w};
            const float w[8] = {w0.x, w0.y, w0.z, w0.w, w1.x, w1.y, w1.z, w1.w};
            UNROLL for (int i = 0; i < EACH * EACH; i++) {
                const int a = i / EACH, b = i % EACH;
                s[a][b] = fmaf(r[a], p[b] + w[a - b + EACH - 1], s[a][b]);
            }
        }
    }
}

// out[a][m] += sum over the tile's x of weight(r, x) * (plain(c, x) + band(c, r - x)) for r = r0 + 4 ty + a and c = first + tx + 16 m; the
// weights are w[r][x], or w[x][r] where they are turned.
template <bool TURNED, class P, class B>
DEVICE void accumulate(float (&out)[EACH][SLOTS], const Room& room, Operand<P> plain, Operand<B> band, int r0, int x0, int first, int size) {
    const int tid = threadIdx.x, tx = tid & 15, ty = tid >> 4, count = min(CHANNELS, size - first);
    ROLLED for (int t0 = 0; t0 < TILE; t0 += DEPTH) {
        __syncthreads();
        for (int n = tid; n < DEPTH * count; n += 256) {
            const int t = n % DEPTH, c = n / DEPTH;
            room.xs[t * (CHANNELS + 1) + c] = get(plain, first + c, x0 + t0 + t);
        }
        __syncthreads();
        ROLLED for (int t = 0; t < DEPTH; t++)
            UNROLL for (int a = 0; a < EACH; a++) {
                const int r = ty * EACH + a, x = t0 + t;
                const float weight = TURNED ? room.w[x * LINE + r] : room.w[r * LINE + x];
                UNROLL for (int m = 0; m < SLOTS; m++) {
                    const int c = tx + 16 * m;
                    if (c >= count) continue;
                    // a band is read where it lies: its channels are neighbours
                    const float more = band.at ? get(band, first + c, r0 + r - x0 - x) : 0.f;
                    out[a][m] = fmaf(weight, room.xs[t * (CHANNELS + 1) + c] + more, out[a][m]);
                }
            }
    }
}

DEVICE void clear(float (&out)[EACH][SLOTS]) { UNROLL for (int i = 0; i < EACH * SLOTS; i++) out[i / SLOTS][i % SLOTS] = 0.f; }

// Sums to their positions in the channels of this block.
template <class T> DEVICE void put(T* to, long long head, const float (&out)[EACH][SLOTS], int r0, int first, int size, int positions) {
    UNROLL for (int i = 0; i < EACH * SLOTS; i++) {
        const int r = r0 + (threadIdx.x >> 4) * EACH + i / SLOTS, c = first + (threadIdx.x & 15) + 16 * (i % SLOTS);
        if (c < size && r < positions) to[(head * size + c) * positions + r] = from_float<T>(out[i / SLOTS][i % SLOTS]);
    }
}

// One block for each tile of queries (x) of each head of each item (y).
template <class T>
DEVICE void forward(const T* q, const T* k, const T* v, const float* e, T* y, float* sums, int heads, int size, int positions, int known,
                float scale) {
    ROOM(room);
    const auto Q = rows_of(q, blockIdx.y, size, positions), K = rows_of(k, blockIdx.y, size, positions);
    const auto V = rows_of(v, blockIdx.y, size, positions);
    const auto E = table_of(e, blockIdx.y % heads, size, known);
    float most[EACH], sum[EACH], s[EACH][EACH], out[EACH][SLOTS];
    UNROLL for (int a = 0; a < EACH; a++) most[a] = -infinity(), sum[a] = 0.f;
    clear(out);
    ROLLED for (int x0 = 0; x0 <= tile; x0 += TILE) {
        tile_product(s, room, Q, K, E, tile, x0, size);
        UNROLL for (int a = 0; a < EACH; a++) {
            const int i = tile + ty * EACH + a;
            float now = most[a], part = 0.f;
            UNROLL for (int b = 0; b < EACH; b++) {
                s[a][b] *= scale;
                if (x0 + tx * EACH + b <= i) now = fmaxf(now, s[a][b]);
            }
            UNROLL for (int off = 8; off > 0; off /= 2) now = fmaxf(now, __shfl_xor_sync(ALL, now, off, 16));
            UNROLL for (int b = 0; b < EACH; b++) {
                const float p = x0 + tx * EACH + b <= i ? exp_of(s[a][b] - now) : 0.f;
                room.w[(ty * EACH + a) * LINE + tx * EACH + b] = p;
                part += p;
            }
            UNROLL for (int off = 8; off > 0; off /= 2) part += __shfl_xor_sync(ALL, part, off, 16);
            const float fade = exp_of(most[a] - now);
            sum[a] = fmaf(sum[a], fade, part);
            most[a] = now;
            UNROLL for (int m = 0; m < SLOTS; m++) out[a][m] *= fade;
        }
        accumulate<false>(out, room, V, none(), tile, x0, first, size);
    }
    UNROLL for (int a = 0; a < EACH; a++) {
        const int i = tile + ty * EACH + a;
        if (tx == 0 && first == 0 && i < positions) sums[(long long)blockIdx.y * positions + i] = most[a] + logf(sum[a]);
        UNROLL for (int m = 0; m < SLOTS; m++) out[a][m] /= sum[a];
    }
    put(y, blockIdx.y, out, tile, first, size, positions);
}

// What the softmax takes off each query's gradients: the gradient times the result. A thread for each query of each head and item.
template <class T>
DEVICE void own_of(const T* y, const T* dy, float* own, int size, int positions, int rows) {
    const long long at = (long long)blockIdx.x * 256 + threadIdx.x;
    if (at >= (long long)rows * positions) return;
    const long long from = at / positions * size * positions + at % positions;
    float s = 0.f;
    for (int c = 0; c < size; c++) s = fmaf(to_float(y[from + (long long)c * positions]), to_float(dy[from + (long long)c * positions]), s);
    own[at] = s;
}

// The weight of a pair, from its product s, and the gradient of its score, from d; both 0 where the key is ahead of the query.
DEVICE void pair(float& s, float& d, const float* sums, const float* own, int i, bool seen, int positions, float scale) {
    const bool there = seen && i < positions;
    s = there ? exp_of(fmaf(s, scale, -sums[i])) : 0.f;
    d = there ? s * (d - own[i]) * scale : 0.f;
}

template <class T>
DEVICE void queries(const T* q, const T* k, const T* v, const float* e, const T* dy, const float* sums, const float* own, T* dq,
                int heads, int size, int positions, int known, float scale) {
    ROOM(room);
    const long long row = (long long)blockIdx.y * positions;
    const auto Q = rows_of(q, blockIdx.y, size, positions), K = rows_of(k, blockIdx.y, size, positions);
    const auto V = rows_of(v, blockIdx.y, size, positions), G = rows_of(dy, blockIdx.y, size, positions);
    const auto E = table_of(e, blockIdx.y % heads, size, known);
    float s[EACH][EACH], d[EACH][EACH], out[EACH][SLOTS];
    clear(out);
    ROLLED for (int x0 = 0; x0 <= tile; x0 += TILE) {
        tile_product(s, room, Q, K, E, tile, x0, size);
        tile_product(d, room, G, V, none(), tile, x0, size);
        UNROLL for (int n = 0; n < EACH * EACH; n++) {
            const int a = n / EACH, b = n % EACH, i = tile + ty * EACH + a;
            pair(s[a][b], d[a][b], sums + row, own + row, i, x0 + tx * EACH + b <= i, positions, scale);
            room.w[(ty * EACH + a) * LINE + tx * EACH + b] = d[a][b];
        }
        accumulate<false>(out, room, K, E, tile, x0, first, size);
    }
    put(dq, blockIdx.y, out, tile, first, size, positions);
}

// One block for each tile of keys (x) of each head of each item (y).
template <class T>
DEVICE void keys_and_values(const T* q, const T* k, const T* v, const float* e, const T* dy, const float* sums, const float* own, T* dk,
                T* dv, int heads, int size, int positions, int known, float scale) {
    ROOM(room);
    const long long row = (long long)blockIdx.y * positions;
    const auto Q = rows_of(q, blockIdx.y, size, positions), K = rows_of(k, blockIdx.y, size, positions);
    const auto V = rows_of(v, blockIdx.y, size, positions), G = rows_of(dy, blockIdx.y, size, positions);
    const auto E = table_of(e, blockIdx.y % heads, size, known);
    float s[EACH][EACH], d[EACH][EACH], keys[EACH][SLOTS], values[EACH][SLOTS];
    clear(keys), clear(values);
    ROLLED for (int i0 = tile; i0 < positions; i0 += TILE) {
        tile_product(s, room, Q, K, E, i0, tile, size);
        tile_product(d, room, G, V, none(), i0, tile, size);
        UNROLL for (int n = 0; n < EACH * EACH; n++) {
            const int a = n / EACH, b = n % EACH, i = i0 + ty * EACH + a;
            pair(s[a][b], d[a][b], sums + row, own + row, i, tile + tx * EACH + b <= i, positions, scale);
            room.w[(ty * EACH + a) * LINE + tx * EACH + b] = s[a][b];
        }
        accumulate<true>(values, room, G, none(), tile, i0, first, size);
        __syncthreads();  // the weights are read
        UNROLL for (int n = 0; n < EACH * EACH; n++)
            room.w[(ty * EACH + n / EACH) * LINE + tx * EACH + n % EACH] = d[n / EACH][n % EACH];
        accumulate<true>(keys, room, Q, none(), tile, i0, first, size);
    }
    put(dk, blockIdx.y, keys, tile, first, size, positions);
    put(dv, blockIdx.y, values, tile, first, size, positions);
}

// One block for each tile of distances (x), not clipped, of each head (y); de is [heads, positions, size]. Columns are distances here, so
// that the embeddings lie plain and the keys in a band.
template <class T>
DEVICE void distances(const T* q, const T* k, const T* v, const float* e, const T* dy, const float* sums, const float* own, float* de,
                int batch, int heads, int size, int positions, int known, float scale) {
    ROOM(room);
    const auto E = table_of(e, blockIdx.y, size, known);
    float s[EACH][EACH], d[EACH][EACH], out[EACH][SLOTS];
    clear(out);
    ROLLED for (int item = 0; item < batch; item++) {
        const long long head = (long long)item * heads + blockIdx.y, row = head * positions;
        const auto Q = rows_of(q, head, size, positions), K = rows_of(k, head, size, positions);
        const auto V = rows_of(v, head, size, positions), G = rows_of(dy, head, size, positions);
        ROLLED for (int i0 = tile; i0 < positions; i0 += TILE) {
            tile_product(s, room, Q, E, K, i0, tile, size);
            tile_product(d, room, G, none(), V, i0, tile, size);
            UNROLL for (int n = 0; n < EACH * EACH; n++) {
                const int a = n / EACH, b = n % EACH, i = i0 + ty * EACH + a;
                pair(s[a][b], d[a][b], sums + row, own + row, i, tile + tx * EACH + b <= i, positions, scale);
                room.w[(ty * EACH + a) * LINE + tx * EACH + b] = d[a][b];
            }
            accumulate<true>(out, room, Q, none(), tile, i0, first, size);
        }
    }
    UNROLL for (int n = 0; n < EACH * SLOTS; n++) {
        const int r = tile + ty * EACH + n / SLOTS, c = first + tx + 16 * (n % SLOTS);
        if (c < size && r < positions) de[((long long)blockIdx.y * positions + r) * size + c] = out[n / SLOTS][n % SLOTS];
    }
}

// Distances clipped to the last known one: from [heads, positions, size] to [heads, known, size], a thread for each float.
KERNEL(256) attention_clip(const float* __restrict__ all, float* __restrict__ de, int heads, int size, int positions, int known) {
    const long long at = (long long)blockIdx.x * 256 + threadIdx.x;
    if (at >= (long long)heads * known * size) return;
    const int c = at % size, d = at / size % known;
    const float* from = all + at / ((long long)size * known) * positions * size + c;
    const int end = d + 1 < known ? d + 1 : positions;
    float s = 0.f;
    for (int r = d; r < end && r < positions; r++) s += from[(long long)r * size];
    de[at] = s;
}

#define ATTENTION(T, name)                                                                                                             \
    KERNEL(256) attention_forward_##name(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,                    \
        const float* __restrict__ e, T* __restrict__ y, float* __restrict__ sums, int heads, int size, int positions, int known,       \
        float scale) {                                                                                                                 \
        forward<T>(q, k, v, e, y, sums, heads, size, positions, known, scale);                                                         \
    }                                                                                                                                  \
    KERNEL(256) attention_own_##name(const T* __restrict__ y, const T* __restrict__ dy, float* __restrict__ own, int size,             \
        int positions, int rows) {                                                                                                     \
        own_of<T>(y, dy, own, size, positions, rows);                                                                                  \
    }                                                                                                                                  \
    KERNEL(256) attention_queries_##name(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,                    \
        const float* __restrict__ e, const T* __restrict__ dy, const float* __restrict__ sums, const float* __restrict__ own,          \
        T* __restrict__ dq, int heads, int size, int positions, int known, float scale) {                                              \
        queries<T>(q, k, v, e, dy, sums, own, dq, heads, size, positions, known, scale);                                               \
    }                                                                                                                                  \
    KERNEL(256) attention_keys_##name(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,                       \
        const float* __restrict__ e, const T* __restrict__ dy, const float* __restrict__ sums, const float* __restrict__ own,          \
        T* __restrict__ dk, T* __restrict__ dv, int heads, int size, int positions, int known, float scale) {                          \
        keys_and_values<T>(q, k, v, e, dy, sums, own, dk, dv, heads, size, positions, known, scale);                                   \
    }                                                                                                                                  \
    KERNEL(256) attention_distances_##name(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,                  \
        const float* __restrict__ e, const T* __restrict__ dy, const float* __restrict__ sums, const float* __restrict__ own,          \
        float* __restrict__ de, int batch, int heads, int size, int positions, int known, float scale) {                               \
        distances<T>(q, k, v, e, dy, sums, own, de, batch, heads, size, positions, known, scale);                                      \
    }
ATTENTION(float, f32)
ATTENTION(f16, f16)
ATTENTION(bf16, bf16)
