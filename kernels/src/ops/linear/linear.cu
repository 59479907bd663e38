// A linear layer for a few rows of activations, as in sampling: y[r][o] = bias[o] + sum over i of w[o][i] * x[r][i]. (At every position of
// a sequence a linear layer is a convolution of one tap.) A warp for each output (x) of up to 8 rows (y); weights in f32, f16 or bf16 are
// read once for all of them, sums are f32: each lane's inputs in order, then a fixed tree over lanes.
template <class T> DEVICE void linear_rows(const float* x, const T* w, const float* bias, float* y, int rows, int inputs, int outputs) {
    constexpr int MOST = 8;
    const int lane = threadIdx.x % 32, o = blockIdx.x * 8 + threadIdx.x / 32, r0 = blockIdx.y * MOST;
    if (o >= outputs) return;
    float sum[MOST] = {};
    for (int i = lane; i < inputs; i += 32) {
        const float v = to_float(w[(long long)o * inputs + i]);
        UNROLL for (int r = 0; r < MOST; r++)
            if (r0 + r < rows) sum[r] = fmaf(v, x[(long long)(r0 + r) * inputs + i], sum[r]);
    }
    UNROLL for (int r = 0; r < MOST; r++) {
        const float s = warp_sum(sum[r]);
        if (lane == 0 && r0 + r < rows) y[(long long)(r0 + r) * outputs + o] = s + (bias ? bias[o] : 0.f);
    }
}

#define ROWS_OF(T, name)                                                                                                              \
    KERNEL(256) linear_rows_##name(const float* __restrict__ x, const T* __restrict__ w, const float* __restrict__ bias,             \
                                   float* __restrict__ y, int rows, int inputs, int outputs) {                                       \
        linear_rows<T>(x, w, bias, y, rows, inputs, outputs);                                                                         \
    }
ROWS_OF(float, f32)
ROWS_OF(f16, f16)
ROWS_OF(bf16, bf16)
