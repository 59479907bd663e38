// The quick GELU x * sigmoid(1.702 x) of n floats, and its gradient, as the CPU computes them.
constexpr float SLOPE = 1.702f;

DEVICE float unit(float x) { return x * (1.f / (1.f + exp_of(-(SLOPE * x)))); }

DEVICE float slope(float x, float dy) {
    const float inner = SLOPE * x, e = exp_of(-inner), gate = 1.f / (1.f + e);
    return dy * (gate * fmaf(inner, e * gate, 1.f));  // e * gate is 1 - gate without the loss of digits
}

#define GELU(T, name)                                                                                                              \
    KERNEL(256) gelu_forward_##name(const T* __restrict__ x, T* __restrict__ y, long long n) {                                     \
        const long long i = (long long)blockIdx.x * 256 + threadIdx.x;                                                             \
        if (i < n) y[i] = from_float<T>(unit(to_float(x[i])));                                                                     \
    }                                                                                                                              \
    KERNEL(256) gelu_backward_##name(const T* __restrict__ x, const T* __restrict__ dy, T* __restrict__ dx, long long n) {         \
        const long long i = (long long)blockIdx.x * 256 + threadIdx.x;                                                             \
        if (i < n) dx[i] = from_float<T>(slope(to_float(x[i]), to_float(dy[i])));                                                  \
    }
GELU(float, f32)
GELU(f16, f16)
GELU(bf16, bf16)
