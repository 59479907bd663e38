// Nearest codeword of every vector, without ever writing the matrix of distances; ties go to the lowest index.
//
// z [n, dim] and codebook [k, dim], row major. |z - c|^2 = |z|^2 + 2 (|c|^2 / 2 - z . c), and the bracket decides. The sum runs over
// the dimensions in order, one fused multiply-add after another from 0, and |c|^2 / 2 is added last.
// Plain fp32 arithmetic on CUDA cores: the reference for any faster variant. No header is needed to compile it.
#define ROWS 64     // vectors of a block
#define CODES 64    // codewords of a tile
#define DEPTH 32    // dimensions in shared memory at a time
#define EACH 4      // 16 x 16 threads, each 4 vectors x 4 codewords
#define PITCH (ROWS + 4)

extern "C" __global__ void __launch_bounds__(256)
nearest_f32(const float* __restrict__ z, const float* __restrict__ codebook,
            unsigned int* __restrict__ index, float* __restrict__ distance, int n, int k, int dim) {
    __shared__ float zs[DEPTH][PITCH];
    __shared__ float cs[DEPTH][PITCH];
    __shared__ float half_square[CODES];
    const int tid = threadIdx.x, tx = tid & 15, ty = tid >> 4;
    const long long row0 = (long long)blockIdx.x * ROWS;
    float best[EACH];
    unsigned int at[EACH];
    #pragma unroll
    for (int i = 0; i < EACH; i++) { best[i] = __int_as_float(0x7f800000); at[i] = 0xffffffffu; }
    for (int k0 = 0; k0 < k; k0 += CODES) {
        float dot[EACH][EACH];
        #pragma unroll
        for (int i = 0; i < EACH; i++)
            #pragma unroll
            for (int j = 0; j < EACH; j++) dot[i][j] = 0.f;
        float square = 0.f;
        for (int d0 = 0; d0 < dim; d0 += DEPTH) {
            __syncthreads();
            for (int i = tid; i < ROWS * DEPTH; i += 256) {
                const int r = i / DEPTH, d = i % DEPTH;
                const bool inside = d0 + d < dim;
                zs[d][r] = inside && row0 + r < n ? z[(row0 + r) * dim + d0 + d] : 0.f;
                cs[d][r] = inside && k0 + r < k ? codebook[(long long)(k0 + r) * dim + d0 + d] : 0.f;
            }
            __syncthreads();
            if (tid < CODES)
                for (int d = 0; d < DEPTH; d++) square = fmaf(cs[d][tid], cs[d][tid], square);
            for (int d = 0; d < DEPTH; d++) {
                float a[EACH], b[EACH];
                #pragma unroll
                for (int i = 0; i < EACH; i++) a[i] = zs[d][ty * EACH + i];
                #pragma unroll
                for (int j = 0; j < EACH; j++) b[j] = cs[d][tx * EACH + j];
                #pragma unroll
                for (int i = 0; i < EACH; i++)
                    #pragma unroll
                    for (int j = 0; j < EACH; j++) dot[i][j] = fmaf(a[i], b[j], dot[i][j]);
            }
        }
        if (tid < CODES) half_square[tid] = 0.5f * square;
        __syncthreads();
        #pragma unroll
        for (int j = 0; j < EACH; j++) {
            const int c = k0 + tx * EACH + j;
            if (c < k)
                #pragma unroll
                for (int i = 0; i < EACH; i++) {
                    const float s = half_square[tx * EACH + j] - dot[i][j];
                    if (s < best[i]) { best[i] = s; at[i] = (unsigned int)c; }
                }
        }
    }
    #pragma unroll
    for (int i = 0; i < EACH; i++) {
        #pragma unroll
        for (int off = 8; off > 0; off >>= 1) {
            const float s = __shfl_xor_sync(0xffffffffu, best[i], off, 16);
            const unsigned int c = __shfl_xor_sync(0xffffffffu, at[i], off, 16);
            if (s < best[i] || (s == best[i] && c < at[i])) { best[i] = s; at[i] = c; }
        }
        const long long r = row0 + ty * EACH + i;
        if (tx == 0 && r < n) {
            const unsigned int c = at[i] == 0xffffffffu ? 0u : at[i];   // every score is NaN: as on the CPU
            float s = 0.f;
            for (int d = 0; d < dim; d++) {
                const float e = z[r * dim + d] - codebook[(long long)c * dim + d];
                s = fmaf(e, e, s);
            }
            index[r] = c;
            distance[r] = s;
        }
    }
}
