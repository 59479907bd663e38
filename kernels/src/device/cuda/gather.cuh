// The places at which a number stands among others, in order: for sums over what shares a code, without atomics.
namespace gather {

constexpr int SHARED = (256 + 8) * 4;  // bytes

// Calls each(i) for every i < n with codes[i] == code, in the order of i, by all 256 threads together.
template <class F>
DEVICE void matches(Shared<int> list, Shared<int> counts, const unsigned* codes, long long n, unsigned code, const F& each) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    ROLLED for (long long i0 = 0; i0 < n; i0 += 256) {
        const long long i = i0 + threadIdx.x;
        const bool hit = i < n && codes[i] == code;
        const unsigned hits = __ballot_sync(ALL, hit);
        __syncthreads();
        if (lane == 0) counts[warp] = __popc(hits);
        __syncthreads();
        int before = 0, all = 0;
        for (int w = 0; w < 8; w++) {
            const int c = counts[w];
            if (w < warp) before += c;
            all += c;
        }
        if (all == 0) continue;
        if (hit) list[before + __popc(hits & ((1u << lane) - 1))] = (int)threadIdx.x;
        __syncthreads();
        for (int m = 0; m < all; m++) each(i0 + list[m]);
    }
}

}  // namespace gather
