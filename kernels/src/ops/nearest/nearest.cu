// The nearest codeword of every vector, without ever writing the matrix of distances, and the moving averages of a codebook.
//
// Vectors z are the frames of [items, dim, frames] (with one frame: rows), n of them; the codebook is [k, dim]. The score of a codeword,
// |c|^2 / 2 - z . c, is one fused multiply-add after another over the dimensions, beginning with the half square: the CPU's bits. Ties go
// to the lowest index, and a NaN is nobody's nearest. Plain f32 on CUDA cores: the reference for any faster variant.

DEVICE long long place(long long vector, int d, int dim, int frames) { return (vector / frames * dim + d) * frames + vector % frames; }

KERNEL(256) nearest_half_squares(const float* __restrict__ codebook, float* __restrict__ half, int k, int dim) {
    const int c = blockIdx.x * 256 + threadIdx.x;
    if (c >= k) return;
    float square = 0.f;
    for (int d = 0; d < dim; d++) square = fmaf(codebook[(long long)c * dim + d], codebook[(long long)c * dim + d], square);
    half[c] = 0.5f * square;
}

// Indices and squared distances. A block for 64 vectors.
KERNEL(256) nearest_f32(const float* __restrict__ z, const float* __restrict__ codebook, const float* __restrict__ half,
                        unsigned* __restrict__ index, float* __restrict__ distance, long long n, int k, int dim, int frames) {
    using namespace product;
    DYNAMIC_SHARED(memory);
    const Shared<float> ls = slice<float>(memory, 0, DEPTH * PITCH), rs = slice<float>(memory, DEPTH * PITCH * 4, DEPTH * PITCH);
    const long long row0 = (long long)blockIdx.x * TILE;
    float best[EACH];
    unsigned at[EACH];
    UNROLL for (int i = 0; i < EACH; i++) best[i] = infinity(), at[i] = ALL;
    const auto vector = [&](int i, int d) { return row0 + i < n ? z[place(row0 + i, d, dim, frames)] : 0.f; };
    for (int k0 = 0; k0 < k; k0 += TILE) {
        float score[EACH][EACH];
        UNROLL for (int i = 0; i < EACH * EACH; i++) {
            const int c = k0 + column() + i % EACH;
            score[i / EACH][i % EACH] = c < k ? half[c] : infinity();
        }
        const auto codeword = [&](int i, int d) { return k0 + i < k ? -codebook[(long long)(k0 + i) * dim + d] : 0.f; };
        add<false, true>(score, ls, rs, 0, dim, vector, codeword);
        UNROLL for (int i = 0; i < EACH * EACH; i++) {
            const float s = score[i / EACH][i % EACH];
            if (s < best[i / EACH]) best[i / EACH] = s, at[i / EACH] = k0 + column() + i % EACH;
        }
    }
    UNROLL for (int i = 0; i < EACH; i++) {
        UNROLL for (int off = 8; off > 0; off /= 2) {
            const float other = __shfl_xor_sync(ALL, best[i], off, 16);
            const unsigned there = __shfl_xor_sync(ALL, at[i], off, 16);
            if (other < best[i] || (other == best[i] && there < at[i])) best[i] = other, at[i] = there;
        }
        const long long r = row0 + row() + i;
        if (column() != 0 || r >= n) continue;
        const unsigned found = at[i] < (unsigned)k ? at[i] : 0;
        float square = 0.f;
        for (int d = 0; d < dim; d++) {
            const float apart = z[place(r, d, dim, frames)] - codebook[(long long)found * dim + d];
            square = fmaf(apart, apart, square);
        }
        index[r] = found, distance[r] = square;
    }
}

// How many vectors have each code, and their sums [k, dim], in the order of the vectors. A block for 256 dimensions (y) of a code (x).
KERNEL(256) nearest_sums(const float* __restrict__ z, const unsigned* __restrict__ codes, unsigned* __restrict__ counts,
                         float* __restrict__ sums, long long n, int dim, int frames) {
    DYNAMIC_SHARED(memory);
    const Shared<int> list = slice<int>(memory, 0, 256), some = slice<int>(memory, 1024, 8);
    const int d = blockIdx.y * 256 + threadIdx.x;
    float sum = 0.f;
    unsigned count = 0;
    gather::matches(list, some, codes, n, blockIdx.x, [&](long long i) {
        if (d < dim) sum += z[place(i, d, dim, frames)];
        count++;
    });
    if (d < dim) sums[(long long)blockIdx.x * dim + d] = sum;
    if (d == 0) counts[blockIdx.x] = count;
}

// Averages [k] and [k, dim] that keep a share of themselves and take a share of a step's counts and sums.
KERNEL(256) nearest_average(const unsigned* __restrict__ counts, const float* __restrict__ sums, float* __restrict__ average_counts,
                            float* __restrict__ average_sums, float keep, float take, int k, int dim) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= (long long)k * dim) return;
    average_sums[i] = keep * average_sums[i] + take * sums[i];
    if (i < k) average_counts[i] = keep * average_counts[i] + take * (float)counts[i];
}

// Numbers the codewords whose average count is below the threshold, in order; the others get -1. rank [k + 1], their number last. One block.
KERNEL(256) nearest_out_of_use(const float* __restrict__ average_counts, int* __restrict__ rank, float threshold, int k) {
    DYNAMIC_SHARED(memory);
    const Shared<int> some = slice<int>(memory, 0, 8);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int before = 0;
    for (int c0 = 0; c0 < k; c0 += 256) {
        const int c = c0 + threadIdx.x;
        const bool dead = c < k && average_counts[c] < threshold;
        const unsigned all = __ballot_sync(ALL, dead);
        __syncthreads();
        if (lane == 0) some[warp] = __popc(all);
        __syncthreads();
        int own = before + __popc(all & ((1u << lane) - 1));
        for (int w = 0; w < 8; w++) {
            const int n = some[w];
            own += w < warp ? n : 0, before += n;
        }
        if (c < k) rank[c] = dead ? own : -1;
    }
    if (threadIdx.x == 0) rank[k] = before;
}

// Revives the codewords that have a donor, a vector of this step: it and twice the threshold become their averages. Then all codewords are
// their average sum divided by their average count, where that is not 0.
KERNEL(256) nearest_centres(const float* __restrict__ z, const int* __restrict__ rank, const unsigned* __restrict__ donors,
                            float* __restrict__ average_counts, float* __restrict__ average_sums, float* __restrict__ codebook,
                            float threshold, int given, int k, int dim, int frames) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= (long long)k * dim) return;
    const int c = (int)(i / dim), d = (int)(i % dim), own = rank[c];
    const bool revived = own >= 0 && own < given;
    const float count = revived ? 2.f * threshold : average_counts[c];
    if (revived) {
        average_sums[i] = z[place(donors[own], d, dim, frames)] * count;
        if (d == 0) average_counts[c] = count;
    }
    if (count > 0.f) codebook[i] = average_sums[i] / count;
}
