// A product on tensor cores: 128 x 128 by 4 warps of 64 x 64, going over terms by 32 with three buffers filled ahead.
namespace gemm {

constexpr int SIDE = 128, DEPTH = 32, STAGES = 3, THREADS = 128;
constexpr int TILE = SIDE * DEPTH, SHARED = STAGES * 2 * TILE * 2;  // elements of a buffer of an operand; bytes
constexpr int PITCH = SIDE + 8;                                     // floats of a row of the result
static_assert(SIDE / 2 * PITCH * 4 <= SHARED, "half of the result takes the operands' place");

// Where 8 elements of a buffer lie, so that 8 rows of one chunk meet all banks: a row of 32 terms (4 chunks), or, TURNED, a term of 128
// rows.
template <bool TURNED> DEVICE int place(int line, int chunk) {
    return TURNED ? line * SIDE + (chunk ^ (line & 7)) * 8 : line * DEPTH + ((chunk ^ line >> 1) & 3) * 8;
}

// Calls each(line, chunk, to) for every 8 elements of a buffer, by all threads.
template <bool TURNED, class T, class F> DEVICE void lines(Shared<T> to, const F& each) {
    constexpr int CHUNKS = TURNED ? SIDE / 8 : DEPTH / 8;
    ROLLED for (int i = threadIdx.x; i < TILE / 8; i += THREADS) each(i / CHUNKS, i % CHUNKS, to + place<TURNED>(i / CHUNKS, i % CHUNKS));
}

// Terms k0 .. k0 + 31 of rows r0 .. r0 + 127 of an operand [rows, terms], or TURNED [terms, rows], as it lies in memory.
template <bool TURNED, class T> DEVICE void fetch(Shared<T> to, const T* from, int r0, int rows, int k0, int terms) {
    const int length = TURNED ? rows : terms, count = TURNED ? terms : rows;
    lines<TURNED>(to, [&](int line, int chunk, Shared<T> at) {
        const int first = (TURNED ? k0 : r0) + line, second = (TURNED ? r0 : k0) + chunk * 8;
        fetch8(at, from + (long long)min(first, count - 1) * length, first < count ? second : length, length, length % 8 == 0);
    });
}

// put(row, column, sum) for all of a tile; fetch_a(to, s) and fetch_b(to, s) fetch the terms of step s.
template <class T, bool A_TURNED, bool B_TURNED, class A, class B, class PUT>
DEVICE void run(int steps, const A& fetch_a, const B& fetch_b, const PUT& put) {
    DYNAMIC_SHARED(memory);
    const Shared<T> as = slice<T>(memory, 0, STAGES * TILE), bs = slice<T>(memory, STAGES * TILE * 2, STAGES * TILE);
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, t = lane & 3, wm = (warp & 1) * 64, wn = (warp >> 1) * 64;
    const auto fill = [&](int s) {
        if (s < steps) fetch_a(as + s % STAGES * TILE, s), fetch_b(bs + s % STAGES * TILE, s);
        cp_async_commit();
    };
    float sum[4][8][4] = {};
    for (int s = 0; s < STAGES - 1; s++) fill(s);
    ROLLED for (int s = 0; s < steps; s++) {
        cp_async_wait<STAGES - 2>();
        __syncthreads();  // step s is here, and nobody reads step s - 1 any more, whose buffer is filled next
        fill(s + STAGES - 1);
        const Shared<T> at = as + s % STAGES * TILE, bt = bs + s % STAGES * TILE;
        UNROLL for (int kk = 0; kk < DEPTH / 16; kk++) {
            unsigned left[4][4];
            UNROLL for (int i = 0; i < 4; i++) {  // rows 0-7 and 8-15 of the first 8 terms, then of the second
                const int r = wm + i * 16;
                if (A_TURNED) ldmatrix_x4<true>(left[i], at + place<true>(kk * 16 + (lane >> 4) * 8 + (lane & 7), r / 8 + (lane >> 3 & 1)));
                else ldmatrix_x4<false>(left[i], at + place<false>(r + (lane & 15), kk * 2 + (lane >> 4)));
            }
            UNROLL for (int j = 0; j < 4; j++) {
                unsigned right[4];  // both halves of the terms for columns 0-7, then for 8-15
                const int r = wn + j * 16;
                if (B_TURNED) ldmatrix_x4<true>(right, bt + place<true>(kk * 16 + (lane & 15), r / 8 + (lane >> 4)));
                else ldmatrix_x4<false>(right, bt + place<false>(r + (lane & 7) + (lane >> 4) * 8, kk * 2 + (lane >> 3 & 1)));
                UNROLL for (int h = 0; h < 2; h++) {
                    const unsigned pair[2] = {right[2 * h], right[2 * h + 1]};
                    UNROLL for (int i = 0; i < 4; i++) mma_m16n8k16<T>(sum[i][2 * j + h], left[i], pair, sum[i][2 * j + h]);
                }
            }
        }
    }
    cp_async_wait<0>();
    // Half of the result after the other goes through shared memory, so that it leaves in whole rows. Registers hold rows g and g + 8 of
    // 16, columns 2 t and the next of 8.
    const Shared<float> cs = slice<float>(memory, 0, SIDE / 2 * PITCH);
    ROLLED for (int half = 0; half < 2; half++) {
        __syncthreads();  // the operands, or the other half, are read
        if (wm == half * 64)
            UNROLL for (int i = 0; i < 64; i++) {
                const float(&x)[4] = sum[i / 16][i / 2 % 8];
                const int row = i / 16 * 16 + i % 2 * 8 + g;
                store(cs + (row * PITCH + wn + i / 2 % 8 * 8 + t * 2), float2{x[i % 2 * 2], x[i % 2 * 2 + 1]});
            }
        __syncthreads();
        ROLLED for (int i = threadIdx.x; i < SIDE / 2 * SIDE; i += THREADS) put(half * 64 + i / SIDE, i % SIDE, cs[i / SIDE * PITCH + i % SIDE]);
    }
}

}  // namespace gemm
