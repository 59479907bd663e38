// Causal attention with relative positions on tensor cores, forward, without ever writing the matrix of all pairs.
//
// As attention.cu defines it, with q, k, v and y [batch, heads * size, positions] and e [heads, known, SIZE] (zeros behind size) in f16 or
// bf16, and sums in f32. size is any number up to SIZE; where positions are no multiple of 8, elements are fetched one by one.
//
// A block takes 64 queries, a warp 16 of them, and goes over tiles of 64 keys. The tile of queries from i0 and of keys from j0 needs
// q_i . e_d for the 127 distances around i0 - j0: two halves of 64. The next tile of keys needs the lower of these halves again and one
// more below it, so each tile costs one product of 64 x 64 for it, as much as for the keys. A ring in shared memory holds two halves:
// q_i . e_d at row i, column d mod 128, written as the product leaves it and read along the skew. A warp reads its own rows only.
namespace attention {

constexpr int TILE = 64, THREADS = 128, PITCH = 2 * TILE + 8, RING = TILE * PITCH * 4;  // floats of a row of the ring; bytes
constexpr int LINE = TILE + 8;                                                          // elements of a channel's 64 positions
template <int SIZE> constexpr int ROW = SIZE + 8;                                       // of a distance's channels

// Positions p0 .. p0 + 63 of all channels: zeros behind the last of either.
template <int SIZE, class T> DEVICE void fetch(Shared<T> to, const T* from, int p0, int positions, int size) {
    ROLLED for (int i = threadIdx.x; i < SIZE * TILE / 8; i += THREADS) {
        const int c = i / (TILE / 8), chunk = i % (TILE / 8);
        fetch8(to + (c * LINE + chunk * 8), from + (long long)min(c, size - 1) * positions, c < size ? p0 + chunk * 8 : positions, positions,
               positions % 8 == 0);
    }
}
// Distances d0 .. d0 + 63: behind the last known it again.
template <int SIZE, class T> DEVICE void fetch_distances(Shared<T> to, const T* from, int d0, int known) {
    ROLLED for (int i = threadIdx.x; i < TILE * SIZE / 8; i += THREADS) {
        const int d = i / (SIZE / 8), chunk = i % (SIZE / 8);
        cp_async16(to + (d * ROW<SIZE> + chunk * 8), from + ((long long)min(d0 + d, known - 1) * SIZE + chunk * 8));
    }
}

// s = q x for the warp's 16 queries and 64 keys by channel, or (BY_ROW) distances by row.
template <int SIZE, bool BY_ROW, class T> DEVICE void product(float (&s)[8][4], const unsigned (&q)[SIZE / 16][4], Shared<T> x) {
    const int lane = threadIdx.x & 31;
    UNROLL for (int i = 0; i < 32; i++) s[i / 4][i % 4] = 0.f;
    UNROLL for (int k = 0; k < SIZE / 16; k++)
        UNROLL for (int n = 0; n < 4; n++) {
            unsigned b[4];
            if (BY_ROW) ldmatrix_x4<false>(b, x + ((n * 16 + (lane & 7) + (lane >> 4) * 8) * ROW<SIZE> + k * 16 + (lane >> 3 & 1) * 8));
            else ldmatrix_x4<true>(b, x + ((k * 16 + (lane & 15)) * LINE + n * 16 + (lane >> 4) * 8));
            UNROLL for (int h = 0; h < 2; h++) {
                const unsigned pair[2] = {b[2 * h], b[2 * h + 1]};
                mma_m16n8k16<T>(s[2 * n + h], q[k], pair, s[2 * n + h]);
            }
        }
}

// q . e for the 64 distances from d0, into the ring.
template <int SIZE, class T> DEVICE void band(Shared<float> ring, const unsigned (&q)[SIZE / 16][4], Shared<T> e, int d0) {
    const int lane = threadIdx.x & 31, row = (threadIdx.x >> 5) * 16 + (lane >> 2);
    float s[8][4];
    product<SIZE, true>(s, q, e);
    UNROLL for (int i = 0; i < 16; i++)
        store(ring + ((row + i % 2 * 8) * PITCH + (d0 & TILE) + i / 2 * 8 + (lane & 3) * 2), float2{s[i / 2][i % 2 * 2], s[i / 2][i % 2 * 2 + 1]});
}

template <class T, int SIZE>
DEVICE void run(const T* q, const T* k, const T* v, const T* e, T* y, float* sums, int heads, int size, int positions, int known, float scale) {
    DYNAMIC_SHARED(memory);
    constexpr int COUNT = SIZE * LINE, KS = RING, VS = KS + COUNT * 2, ES = VS + COUNT * 2;
    const Shared<float> ring = slice<float>(memory, 0, TILE * PITCH);
    const Shared<T> ks = slice<T>(memory, KS, COUNT), vs = slice<T>(memory, VS, COUNT), es = slice<T>(memory, ES, TILE * ROW<SIZE>);
    const int tid = threadIdx.x, lane = tid & 31, g = lane >> 2, t = lane & 3, warp = tid >> 5;
    const int last = gridDim.x - 1 - blockIdx.x, i0 = last * TILE;  // the longest rows first
    const long long base = (long long)blockIdx.y * size * positions;
    const float lowest = -infinity(), slope = scale * 1.44269504f;  // exponentials of 2
    q += base, k += base, v += base, y += base, sums += (long long)blockIdx.y * positions;
    e += (long long)(blockIdx.y % heads) * known * SIZE;

    // Queries pass through the place of the values into registers; the ring gets the half of the furthest distances.
    unsigned qs[SIZE / 16][4];
    fetch<SIZE>(vs, q, i0, positions, size), fetch_distances<SIZE>(es, e, i0, known);
    cp_async_commit(), cp_async_wait<0>();
    __syncthreads();
    UNROLL for (int c = 0; c < SIZE / 16; c++)
        ldmatrix_x4<true>(qs[c], vs + ((c * 16 + (lane >> 4) * 8 + (lane & 7)) * LINE + warp * 16 + (lane >> 3 & 1) * 8));
    band<SIZE>(ring, qs, es, i0);
    __syncthreads();
    fetch<SIZE>(ks, k, 0, positions, size);
    if (last > 0) fetch_distances<SIZE>(es, e, i0 - TILE, known);
    cp_async_commit();

    float out[SIZE / 8][4] = {}, most[2] = {lowest, lowest}, sum[2] = {};
    ROLLED for (int tile = 0; tile <= last; tile++) {
        const int j0 = tile * TILE, d0 = i0 - j0 - TILE;  // the lower half of this tile's distances
        cp_async_wait<0>();
        __syncthreads();  // keys and distances are here, and the values' place is free
        fetch<SIZE>(vs, v, j0, positions, size);
        cp_async_commit();
        // Halves that lie wholly behind the last known distance are alike: from the third on they are in the ring already.
        if (d0 >= 0 && (tile == 0 || d0 < known - 1)) band<SIZE>(ring, qs, es, d0);
        float s[8][4];
        product<SIZE, false>(s, qs, ks);
        cp_async_wait<0>();
        __syncthreads();  // values are here, the ring is written, and the places of keys and distances are free
        if (tile < last) {
            fetch<SIZE>(ks, k, j0 + TILE, positions, size);
            if (d0 >= TILE && d0 - TILE < known - 1) fetch_distances<SIZE>(es, e, d0 - TILE, known);
        }
        cp_async_commit();
        UNROLL for (int h = 0; h < 2; h++) {  // rows g and g + 8 of the warp
            const int row = warp * 16 + g + 8 * h, i = i0 + row;
            float now = most[h], part = 0.f;
            UNROLL for (int n = 0; n < 16; n++) {
                const int j = j0 + n / 2 * 8 + t * 2 + n % 2;
                float& x = s[n / 2][2 * h + n % 2];
                x = j <= i ? x + ring[row * PITCH + ((i - j) & (2 * TILE - 1))] : lowest;
                now = fmaxf(now, x);
            }
            UNROLL for (int off = 1; off < 4; off *= 2) now = fmaxf(now, __shfl_xor_sync(ALL, now, off));
            const float fade = exp2_fast((most[h] - now) * slope);
            UNROLL for (int n = 0; n < 16; n++) part += s[n / 2][2 * h + n % 2] = exp2_fast((s[n / 2][2 * h + n % 2] - now) * slope);
            most[h] = now;
            sum[h] = fmaf(sum[h], fade, part);  // of this lane's columns: lanes are added up at the end
            UNROLL for (int c = 0; c < SIZE / 4; c++) out[c / 2][2 * h + c % 2] *= fade;
        }
        UNROLL for (int n = 0; n < TILE / 16; n++) {  // the weights as they lie in two accumulators are the left operand
            const unsigned p[4] = {pack<T>(s[2 * n][0], s[2 * n][1]), pack<T>(s[2 * n][2], s[2 * n][3]),
                                   pack<T>(s[2 * n + 1][0], s[2 * n + 1][1]), pack<T>(s[2 * n + 1][2], s[2 * n + 1][3])};
            UNROLL for (int c = 0; c < SIZE / 16; c++) {
                unsigned b[4];
                ldmatrix_x4<false>(b, vs + ((c * 16 + (lane & 7) + (lane >> 4) * 8) * LINE + n * 16 + (lane >> 3 & 1) * 8));
                UNROLL for (int h = 0; h < 2; h++) {
                    const unsigned pair[2] = {b[2 * h], b[2 * h + 1]};
                    mma_m16n8k16<T>(out[2 * c + h], p, pair, out[2 * c + h]);
                }
            }
        }
    }
    cp_async_wait<0>();
    UNROLL for (int h = 0; h < 2; h++) {
        UNROLL for (int off = 1; off < 4; off *= 2) sum[h] += __shfl_xor_sync(ALL, sum[h], off);
        const int i = i0 + warp * 16 + g + 8 * h;
        if (i >= positions) continue;
        const float one = 1.f / sum[h];
        if (t == 0) sums[i] = most[h] * scale + logf(sum[h]);
        UNROLL for (int n = 0; n < SIZE / 4; n++) {
            const int c = n / 2 * 8 + t * 2 + n % 2;
            if (c < size) y[(long long)c * positions + i] = from_float<T>(out[n / 2][2 * h + n % 2] * one);
        }
    }
}

}  // namespace attention

#define ATTENTION(T, SIZE)                                                                                                             \
    KERNEL(128) attention_##T##_##SIZE(const T* __restrict__ q, const T* __restrict__ k, const T* __restrict__ v,                     \
                                       const T* __restrict__ e, T* __restrict__ y, float* __restrict__ sums, int heads, int size,     \
                                       int positions, int known, float scale) {                                                       \
        attention::run<T, SIZE>(q, k, v, e, y, sums, heads, size, positions, known, scale);                                           \
    }
ATTENTION(f16, 64)
ATTENTION(f16, 128)
ATTENTION(f16, 160)
ATTENTION(bf16, 64)
ATTENTION(bf16, 128)
ATTENTION(bf16, 160)
