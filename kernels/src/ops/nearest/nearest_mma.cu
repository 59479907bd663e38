// The nearest codeword of every vector on tensor cores, with exactly the indices of the plain f32 kernel (nearest.cu): ties go to the
// lowest index, and neither scores nor distances are ever written. z and the codebook are f32, dim at most SIZE.
//
// z . c comes from parts in bf16, z = z1 + z2 + r and c alike: the products z1 c1, z1 c2 and z2 c1. Every score has a bound: |here -
// plain| <= REACH |z| |c| + REST |c|^2 / 2. A codeword whose score less its bound is above another's with its bound cannot win. The others,
// a few for each vector, are kept and computed again as the plain kernel does. A vector that keeps more than KEPT, or with an infinity or a
// NaN in the way, is compared with all codewords as the plain kernel does.
namespace nearest {

constexpr int THREADS = 128, ROWS = 128, CODES = 64, KEPT = 32;  // a warp has 32 vectors; codewords of a tile; kept for a vector
template <int SIZE> constexpr int LINE = SIZE + 8;               // elements of a codeword's part
template <int SIZE> constexpr int FACTS = 2 * CODES * LINE<SIZE> * 2;   // bytes of a tile's parts
template <int SIZE> constexpr int STAGE = FACTS<SIZE> + CODES * 8;       // and of its facts
template <int SIZE> constexpr int SHARED = 2 * STAGE<SIZE> + ROWS * (KEPT * 8 + 4);

// bf16 rounds to 2^-8. Left out are z2 c2, r c and z r' (each 2^-16). A tensor core adds up 8 products or more and the sum so far, each
// cut off at 2^-23 of the largest. The plain sum, which begins with the half square, rounds to 2^-24 for each dimension.
template <int SIZE> constexpr float REACH = 3.1f / (1 << 16) + 3 * (SIZE / 8) * 10.3f / (1 << 23) + (SIZE + 8.f) / (1 << 24);
template <int SIZE> constexpr float REST = (SIZE + 16.f) / (1 << 24);
// A little more than the root of a sum of squares, also where squares vanish.
DEVICE float length(float square) { return sqrtf(square) * 1.0001f + 2e-19f; }

DEVICE long long place(long long vector, int d, int dim, int frames) { return (vector / frames * dim + d) * frames + vector % frames; }

// A codeword's parts [codewords, SIZE] in bf16, with zeros behind dim, and its half square and length. A thread for each codeword.
template <int SIZE> DEVICE void prepare(const float* codebook, bf16* first, bf16* second, float2* facts, int k, int dim) {
    const long long c = blockIdx.x * 256 + threadIdx.x;
    if (c >= k) return;
    float square = 0.f;
    for (int d = 0; d < SIZE; d++) {
        const float x = d < dim ? codebook[c * dim + d] : 0.f;
        const bf16 high = from_float<bf16>(x);
        first[c * SIZE + d] = high;
        second[c * SIZE + d] = from_float<bf16>(x - to_float(high));
        square = fmaf(x, x, square);
    }
    facts[c] = float2{0.5f * square, length(square)};
}

template <int SIZE>
DEVICE void fetch(Shared<bf16> codes, Shared<float2> facts, const bf16* first, const bf16* second, const float2* from, int k0, int k) {
    ROLLED for (int i = threadIdx.x; i < 2 * CODES * SIZE / 8; i += THREADS) {
        const int row = i / (SIZE / 8), chunk = i % (SIZE / 8), c = k0 + row % CODES;
        cp_async16(codes + (row * LINE<SIZE> + chunk * 8), (row < CODES ? first : second) + (long long)min(c, k - 1) * SIZE + chunk * 8, c < k ? 16 : 0);
    }
    const int i = 2 * threadIdx.x, c = k0 + i;
    if (i < CODES) cp_async16(facts + i, from + (c < k ? c : 0), 8 * max(0, min(2, k - c)));
}

template <int SIZE>
DEVICE void run(const float* z, const float* codebook, const bf16* first, const bf16* second, const float2* facts, unsigned* index,
                float* distance, unsigned* tally, long long n, int k, int dim, int frames) {
    constexpr int STEPS = SIZE / 16;
    DYNAMIC_SHARED(memory);
    const Shared<int> kept = slice<int>(memory, 2 * STAGE<SIZE>, ROWS * KEPT), many = slice<int>(memory, 2 * STAGE<SIZE> + ROWS * KEPT * 8, ROWS);
    const Shared<float> least = slice<float>(memory, 2 * STAGE<SIZE> + ROWS * KEPT * 4, ROWS * KEPT);  // what each of the kept is at least
    const int tid = threadIdx.x, lane = tid & 31, g = lane >> 2, t = lane & 3, own = tid & ~31;
    const long long row0 = (long long)blockIdx.x * ROWS, r = row0 + tid;
    many[tid] = 0;  // read by its own warp, after barriers

    // The parts of 32 vectors in registers: rows 8 s + g of the warp.
    unsigned a[2][2][STEPS][4];
    float size[4], bound[4];
    UNROLL for (int s = 0; s < 4; s++) {
        const long long row = row0 + own + s * 8 + g;
        float square = 0.f;
        UNROLL for (int i = 0; i < STEPS * 2; i++) {
            float x[2], rest[2];
            UNROLL for (int e = 0; e < 2; e++) {
                const int d = i * 8 + t * 2 + e;
                x[e] = row < n && d < dim ? z[place(row, d, dim, frames)] : 0.f;
                square = fmaf(x[e], x[e], square);
                rest[e] = x[e] - to_float(from_float<bf16>(x[e]));
            }
            a[0][s / 2][i / 2][i % 2 * 2 + s % 2] = pack<bf16>(x[0], x[1]);
            a[1][s / 2][i / 2][i % 2 * 2 + s % 2] = pack<bf16>(rest[0], rest[1]);
        }
        UNROLL for (int off = 1; off < 4; off *= 2) square += __shfl_xor_sync(ALL, square, off);
        size[s] = length(square), bound[s] = infinity();  // the nearest is at most this
    }

    const auto codes = [&](int tile) { return slice<bf16>(memory, tile % 2 * STAGE<SIZE>, 2 * CODES * LINE<SIZE>); };
    const auto about = [&](int tile) { return slice<float2>(memory, tile % 2 * STAGE<SIZE> + FACTS<SIZE>, CODES); };
    const auto fill = [&](int tile) {
        if (tile * CODES < k) fetch<SIZE>(codes(tile), about(tile), first, second, facts, tile * CODES, k);
        cp_async_commit();
    };
    fill(0);
    ROLLED for (int tile = 0; tile * CODES < k; tile++) {
        cp_async_wait<0>();
        __syncthreads();  // this tile is here, and nobody reads the one before, whose place is filled next
        fill(tile + 1);
        ROLLED for (int c0 = 0; c0 < CODES; c0 += 16) {
            float dot[2][2][4] = {};
            UNROLL for (int i = 0; i < STEPS; i++) {
                unsigned b[2][4];
                UNROLL for (int p = 0; p < 2; p++)
                    ldmatrix_x4<false>(b[p], codes(tile) + ((p * CODES + c0 + (lane & 7) + (lane >> 4) * 8) * LINE<SIZE> + i * 16 + (lane >> 3 & 1) * 8));
                UNROLL for (int p = 2; p >= 0; p--)  // z2 c1, z1 c2, z1 c1
                    UNROLL for (int m = 0; m < 4; m++) {
                        const unsigned pair[2] = {b[p == 1][m % 2 * 2], b[p == 1][m % 2 * 2 + 1]};
                        mma_m16n8k16<bf16>(dot[m / 2][m % 2], a[p == 2][m / 2][i], pair, dot[m / 2][m % 2]);
                    }
            }
            float2 fact[4];
            UNROLL for (int e = 0; e < 4; e++) fact[e] = about(tile)[c0 + e / 2 * 8 + t * 2 + e % 2];
            UNROLL for (int s = 0; s < 4; s++) {
                float low[4];
                UNROLL for (int e = 0; e < 4; e++) {
                    const float here = fact[e].x - dot[s / 2][e / 2][s % 2 * 2 + e % 2];
                    const float apart = fmaf(size[s] * fact[e].y, REACH<SIZE>, fact[e].x * REST<SIZE>);
                    low[e] = here - apart;
                    if (tile * CODES + c0 + e / 2 * 8 + t * 2 + e % 2 < k) bound[s] = fminf(bound[s], here + apart);  // a NaN changes nothing
                }
                UNROLL for (int off = 1; off < 4; off *= 2) bound[s] = fminf(bound[s], __shfl_xor_sync(ALL, bound[s], off));
                UNROLL for (int e = 0; e < 4; e++) {
                    const int c = tile * CODES + c0 + e / 2 * 8 + t * 2 + e % 2, row = own + s * 8 + g;
                    if (c >= k || low[e] > bound[s]) continue;  // a NaN stays
                    const int at = atomicAdd(many + row, 1);
                    if (at < KEPT) kept[row * KEPT + at] = c, least[row * KEPT + at] = low[e];
                }
            }
        }
    }
    cp_async_wait<0>();

    // A lane for each vector of its warp: those kept, as far as the bound that was reached at last leaves them.
    __syncwarp();
    float last = infinity(), best = infinity();
    UNROLL for (int s = 0; s < 4; s++) {
        const float b = __shfl_sync(ALL, bound[s], (lane & 7) * 4);
        if (lane >> 3 == s) last = b;
    }
    if (r >= n) return;
    const int count = many[tid];
    unsigned at = ALL, again = 0;
    for (int i = 0; i < (count <= KEPT ? count : k); i++) {
        if (count <= KEPT && least[tid * KEPT + i] > last) continue;
        const unsigned c = count <= KEPT ? (int)kept[tid * KEPT + i] : i;
        float s = facts[c].x;  // the plain kernel's score
        for (int d = 0; d < dim; d++) s = fmaf(z[place(r, d, dim, frames)], -codebook[(long long)c * dim + d], s);
        if (s < best || (s == best && c < at)) best = s, at = c;
        again++;
    }
    if (!(best < infinity())) at = 0;  // every score is NaN or infinite: as the plain kernel
    float square = 0.f;
    for (int d = 0; d < dim; d++) {
        const float apart = z[place(r, d, dim, frames)] - codebook[(long long)at * dim + d];
        square = fmaf(apart, apart, square);
    }
    index[r] = at, distance[r] = square;
    if (tally) atomicAdd(tally, again), atomicAdd(tally + 1, count > KEPT ? 1u : 0u);  // codewords compared in f32; vectors, with all
}

}  // namespace nearest

#define NEAREST(SIZE)                                                                                                                   \
    KERNEL(128) nearest_##SIZE(const float* __restrict__ z, const float* __restrict__ codebook, const bf16* __restrict__ first,        \
                               const bf16* __restrict__ second, const float2* __restrict__ facts, unsigned* __restrict__ index,        \
                               float* __restrict__ distance, unsigned* __restrict__ tally, long long n, int k, int dim, int frames) {  \
        nearest::run<SIZE>(z, codebook, first, second, facts, index, distance, tally, n, k, dim, frames);                              \
    }                                                                                                                                   \
    KERNEL(256) nearest_prepare_##SIZE(const float* __restrict__ codebook, bf16* __restrict__ first, bf16* __restrict__ second,        \
                                       float2* __restrict__ facts, int k, int dim) {                                                   \
        nearest::prepare<SIZE>(codebook, first, second, facts, k, dim);                                                                \
    }
NEAREST(64)
NEAREST(128)
