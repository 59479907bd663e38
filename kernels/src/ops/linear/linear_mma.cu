// Linear layers on tensor cores, at every position of x [batch, inputs, positions]: w [outputs, inputs] and activations in f16 or bf16,
// sums and the bias in f32, results in f32 or (narrow) as the operands. Extents are any; where a row's length is no multiple of 8, its
// elements are fetched one by one.

// c[m][n] = bias[m] + sum over k of a(m, k) b(k, n).
template <class T, bool A_TURNED, bool B_TURNED, class OUT>
DEVICE void multiply(const T* a, const T* b, const float* bias, OUT* c, int m, int n, int k) {
    const int m0 = blockIdx.y * gemm::SIDE, n0 = blockIdx.x * gemm::SIDE;
    const auto fetch_a = [&](Shared<T> to, int s) { gemm::fetch<A_TURNED>(to, a, m0, m, s * gemm::DEPTH, k); };
    const auto fetch_b = [&](Shared<T> to, int s) { gemm::fetch<B_TURNED>(to, b, n0, n, s * gemm::DEPTH, k); };
    gemm::run<T, A_TURNED, B_TURNED>((k + gemm::DEPTH - 1) / gemm::DEPTH, fetch_a, fetch_b, [&](int i, int j, float sum) {
        const int row = m0 + i, column = n0 + j;
        if (row < m && column < n) c[(long long)row * n + column] = from_float<OUT>(sum + (bias ? bias[row] : 0.f));
    });
}

// An item for each z.
#define FORWARD(T, OUT, end)                                                                                                            \
    KERNEL(128) linear_forward_##T##end(const T* __restrict__ x, const T* __restrict__ w, const float* __restrict__ bias,              \
                                        OUT* __restrict__ y, int inputs, int outputs, int positions) {                                 \
        multiply<T, false, true, OUT>(w, x + (long long)blockIdx.z * inputs * positions, bias,                                         \
                                      y + (long long)blockIdx.z * outputs * positions, outputs, positions, inputs);                    \
    }                                                                                                                                   \
    KERNEL(128) linear_adjoint_##T##end(const T* __restrict__ dy, const T* __restrict__ w, OUT* __restrict__ dx, int inputs,           \
                                        int outputs, int positions) {                                                                  \
        multiply<T, true, true, OUT>(w, dy + (long long)blockIdx.z * outputs * positions, nullptr,                                     \
                                     dx + (long long)blockIdx.z * inputs * positions, inputs, positions, outputs);                     \
    }
// dw [outputs, inputs] of a part of all positions of all items for each z, 32 positions at a time; part [gridDim.z, outputs, inputs] keeps
// them apart.
template <class T> DEVICE void weights(const T* x, const T* dy, float* part, int inputs, int outputs, int positions, int batch) {
    const int o0 = blockIdx.y * gemm::SIDE, i0 = blockIdx.x * gemm::SIDE, each = (positions + gemm::DEPTH - 1) / gemm::DEPTH;
    const long long all = (long long)batch * each;
    const int first = (int)(all * blockIdx.z / gridDim.z), last = (int)(all * (blockIdx.z + 1) / gridDim.z);
    const auto gradient = [&](Shared<T> to, int s) {
        const long long item = (first + s) / each;
        gemm::fetch<false>(to, dy + item * outputs * positions, o0, outputs, (first + s) % each * gemm::DEPTH, positions);
    };
    const auto sample = [&](Shared<T> to, int s) {
        const long long item = (first + s) / each;
        gemm::fetch<false>(to, x + item * inputs * positions, i0, inputs, (first + s) % each * gemm::DEPTH, positions);
    };
    gemm::run<T, false, false>(last - first, gradient, sample, [&](int n, int j, float sum) {
        const int o = o0 + n, i = i0 + j;
        if (o < outputs && i < inputs) part[((long long)blockIdx.z * outputs + o) * inputs + i] = sum;
    });
}
#define WEIGHTS(T)                                                                                                                      \
    KERNEL(128) linear_weights_##T(const T* __restrict__ x, const T* __restrict__ dy, float* __restrict__ part, int inputs,            \
                                   int outputs, int positions, int batch) {                                                            \
        weights<T>(x, dy, part, inputs, outputs, positions, batch);                                                                     \
    }
FORWARD(f16, float, )
FORWARD(bf16, float, )
FORWARD(f16, f16, _narrow)
FORWARD(bf16, bf16, _narrow)
WEIGHTS(f16)
WEIGHTS(bf16)
