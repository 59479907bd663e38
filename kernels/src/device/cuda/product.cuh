// A tile of a product in f32 on CUDA cores: 64 x 64 sums by 256 threads, each 4 x 4 of them, 16 terms at a time in shared memory.
// A sum is one fused multiply-add after another, in the order of its terms.
namespace product {

constexpr int TILE = 64, EACH = 4, DEPTH = 16, THREADS = 256, PITCH = TILE + 4;
constexpr int SHARED = 2 * DEPTH * PITCH * 4;  // bytes

// The first row and column of a thread.
DEVICE int row() { return threadIdx.x / 16 * EACH; }
DEVICE int column() { return threadIdx.x % 16 * EACH; }

DEVICE void clear(float (&sum)[EACH][EACH]) { UNROLL for (int i = 0; i < EACH * EACH; i++) sum[i / EACH][i % EACH] = 0.f; }

// One operand's terms t0 .. t0 + 15. BY_TERM: neighbours in memory are neighbouring terms, else rows.
template <bool BY_TERM, class F> DEVICE void fill(Shared<float> to, int t0, int t1, const F& get) {
    UNROLL for (int n = threadIdx.x; n < DEPTH * TILE; n += THREADS) {
        const int d = BY_TERM ? n % DEPTH : n / TILE, i = BY_TERM ? n / DEPTH : n % TILE;
        to[d * PITCH + i] = t0 + d < t1 ? get(i, t0 + d) : 0.f;
    }
}

// sum[a][b] += left(row + a, t) * right(column + b, t) for t from t0 to t1; left(i, t) is given i of the tile's 64 rows, and gives 0
// where there is none.
template <bool LEFT_BY_TERM, bool RIGHT_BY_TERM, class L, class R>
DEVICE void add(float (&sum)[EACH][EACH], Shared<float> ls, Shared<float> rs, int t0, int t1, const L& left, const R& right) {
    ROLLED for (int t = t0; t < t1; t += DEPTH) {
        __syncthreads();
        fill<LEFT_BY_TERM>(ls, t, t1, left);
        fill<RIGHT_BY_TERM>(rs, t, t1, right);
        __syncthreads();
        UNROLL for (int d = 0; d < DEPTH; d++) {
            const float4 l = load<float4>(ls + (d * PITCH + row())), r = load<float4>(rs + (d * PITCH + column()));
            const float ls4[4] = {l.x, l.y, l.z, l.w}, rs4[4] = {r.x, r.y, r.z, r.w};
            UNROLL for (int i = 0; i < EACH * EACH; i++) sum[i / EACH][i % EACH] = fmaf(ls4[i / EACH], rs4[i % EACH], sum[i / EACH][i % EACH]);
        }
    }
}

}  // namespace product
