// Convolution over frames on tensor cores, as convolution.cu defines it: activations and weights in f16 or bf16, sums, biases and the
// gradients of parameters in f32. Weights lie by tap, [taps, outputs, inputs]. Extents are any; frames that lie askew (shifted by a tap,
// a stride apart) are fetched one by one.
constexpr int RECTIFY_IN = 1, RECTIFY_OUT = 2;  // flags

template <class T> DEVICE T rectified(T v) { return v.bits & 0x8000 ? T{0} : v; }

// Frames at, at + step, .. of a row of `frames` (8 of them), zeros outside, rectified where asked.
template <class T> DEVICE void gather8(Shared<T> to, const T* row, long long at, int step, int frames, bool there, bool rectify) {
    if (step == 1 && frames % 8 == 0 && at % 8 == 0 && !rectify) {
        const bool inside = there && at >= 0 && at < frames;
        cp_async16(to, row + (inside ? at : 0), inside ? 16 : 0);
        return;
    }
    unsigned v[8];
    UNROLL for (int i = 0; i < 8; i++) {
        const long long f = at + (long long)i * step;
        const T x = there && f >= 0 && f < frames ? row[f] : T{0};
        v[i] = rectify ? rectified(x).bits : x.bits;
    }
    store(to, uint4{v[0] | v[1] << 16, v[2] | v[3] << 16, v[4] | v[5] << 16, v[6] | v[7] << 16});
}

// [outputs, inputs, taps] in f32 to [taps, outputs, inputs]; n = outputs * inputs.
template <class T> DEVICE void pack_weights(const float* from, T* to, int taps, long long n) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i < n * taps) to[i] = from_float<T>(from[i % n * taps + i / n]);
}

// A block for 128 frames (x) of 128 outputs (y) of an item (z).
template <class T>
DEVICE void forward(const T* x, const T* w, const float* bias, const T* add, T* y, int inputs, int frames, int outputs, int taps, int stride,
                    int padding, int dilation, int length, int flags, int skip) {
    using gemm::DEPTH;
    const int o0 = blockIdx.y * gemm::SIDE, t0 = blockIdx.x * gemm::SIDE, chunks = (inputs + DEPTH - 1) / DEPTH;
    x += (long long)blockIdx.z * inputs * frames;
    const auto weight = [&](Shared<T> to, int s) {
        gemm::fetch<false>(to, w + (long long)(s / chunks) * outputs * inputs, o0, outputs, s % chunks * DEPTH, inputs);
    };
    const auto sample = [&](Shared<T> to, int s) {
        gemm::lines<true>(to, [&](int line, int chunk, Shared<T> at) {
            const int i = s % chunks * DEPTH + line, t = t0 + chunk * 8;
            const long long from = (long long)t * stride + (long long)(s / chunks) * dilation - padding;
            gather8(at, x + (long long)min(i, inputs - 1) * frames, from, stride, frames, i < inputs, flags & RECTIFY_IN);
        });
    };
    gemm::run<T, false, true>(taps * chunks, weight, sample, [&](int i, int j, float sum) {
        const int o = o0 + i, t = t0 + j;
        if (o >= outputs || t >= length) return;
        const long long row = (long long)blockIdx.z * outputs + o;
        float v = sum + (bias ? bias[o] : 0.f);
        if (flags & RECTIFY_OUT) v = fmaxf(v, 0.f);
        y[row * length + t] = from_float<T>(add ? v + to_float(add[row * (length + 2 * skip) + skip + t]) : v);
    });
}

// A block for 128 steps of the stride (x) of 128 inputs (y) of a phase of an item (z).
template <class T>
DEVICE void adjoint(const T* y, const T* w, const float* bias, const T* gate, const T* add, T* x, int inputs, int frames, int outputs,
                    int taps, int stride, int padding, int dilation, int length) {
    using gemm::DEPTH;
    const int i0 = blockIdx.y * gemm::SIDE, m0 = blockIdx.x * gemm::SIDE, chunks = (outputs + DEPTH - 1) / DEPTH;
    const int r = blockIdx.z % stride, item = blockIdx.z / stride;
    int first = 0, step = 1;
    while (first < taps && (r + padding + (long long)first * (stride - dilation % stride)) % stride != 0) first++;
    while ((long long)step * dilation % stride != 0) step++;
    const int live = first < taps ? (taps - first + step - 1) / step : 0;
    y += (long long)item * outputs * length;
    const auto weight = [&](Shared<T> to, int s) {
        gemm::fetch<true>(to, w + (long long)(first + s / chunks * step) * outputs * inputs, i0, inputs, s % chunks * DEPTH, outputs);
    };
    const auto gradient = [&](Shared<T> to, int s) {
        const long long reach = ((long long)r + padding - (long long)(first + s / chunks * step) * dilation) / stride;
        gemm::lines<true>(to, [&](int line, int chunk, Shared<T> at) {
            const int o = s % chunks * DEPTH + line;
            gather8(at, y + (long long)min(o, outputs - 1) * length, m0 + chunk * 8 + reach, 1, length, o < outputs, false);
        });
    };
    gemm::run<T, true, true>(live * chunks, weight, gradient, [&](int n, int j, float sum) {
        const int i = i0 + n;
        const long long t = (long long)(m0 + j) * stride + r;
        if (i >= inputs || t >= frames) return;
        const long long at = ((long long)item * inputs + i) * frames + t;
        float v = sum + (bias ? bias[i] : 0.f);
        if (gate && !(to_float(gate[at]) > 0.f)) v = 0.f;
        x[at] = from_float<T>(add ? v + to_float(add[at]) : v);
    });
}

// A block for 128 inputs of a tap (x) of 128 outputs (y) of a part of all frames of all items (z), 32 frames at a time; part [gridDim.z,
// outputs, inputs, taps].
template <class T>
DEVICE void weights(const T* x, const T* dy, float* part, int inputs, int frames, int outputs, int taps, int stride, int padding,
                    int dilation, int length, int flags, int batch) {
    using gemm::DEPTH;
    const int o0 = blockIdx.y * gemm::SIDE, i0 = blockIdx.x / taps * gemm::SIDE, tap = blockIdx.x % taps;
    const int each = (length + DEPTH - 1) / DEPTH;
    const long long all = (long long)batch * each;
    const int first = (int)(all * blockIdx.z / gridDim.z), last = (int)(all * (blockIdx.z + 1) / gridDim.z);
    const auto gradient = [&](Shared<T> to, int s) {
        const long long item = (first + s) / each;
        gemm::fetch<false>(to, dy + item * outputs * length, o0, outputs, (first + s) % each * DEPTH, length);
    };
    const auto sample = [&](Shared<T> to, int s) {
        const long long item = (first + s) / each;
        const int t0 = (first + s) % each * DEPTH;
        gemm::lines<false>(to, [&](int line, int chunk, Shared<T> at) {
            const int i = i0 + line, t = t0 + chunk * 8;
            const long long from = (long long)t * stride + (long long)tap * dilation - padding;
            gather8(at, x + (item * inputs + min(i, inputs - 1)) * frames, from, stride, frames, i < inputs, flags & RECTIFY_IN);
        });
    };
    gemm::run<T, false, false>(last - first, gradient, sample, [&](int n, int j, float sum) {
        const int o = o0 + n, i = i0 + j;
        if (o < outputs && i < inputs) part[(((long long)blockIdx.z * outputs + o) * inputs + i) * taps + tap] = sum;
    });
}

// A block for each channel.
template <class T> DEVICE void channel_sums(const T* x, float* sum, int batch, int channels, int frames) {
    DYNAMIC_SHARED(memory);
    const Shared<float> room = slice<float>(memory, 0, 8);
    float s = 0.f;
    for (int item = 0; item < batch; item++)
        for (int t = threadIdx.x; t < frames; t += 256) s += to_float(x[((long long)item * channels + blockIdx.x) * frames + t]);
    s = block_sum<256>(s, room);
    if (threadIdx.x == 0) sum[blockIdx.x] = s;
}

#define CONVOLUTION(T)                                                                                                                  \
    KERNEL(256) convolution_pack_##T(const float* __restrict__ from, T* __restrict__ to, int taps, long long n) {                      \
        pack_weights<T>(from, to, taps, n);                                                                                             \
    }                                                                                                                                   \
    KERNEL(128) convolution_forward_##T(const T* __restrict__ x, const T* __restrict__ w, const float* __restrict__ bias,              \
                                        const T* __restrict__ add, T* __restrict__ y, int inputs, int frames, int outputs, int taps,   \
                                        int stride, int padding, int dilation, int length, int flags, int skip) {                      \
        forward<T>(x, w, bias, add, y, inputs, frames, outputs, taps, stride, padding, dilation, length, flags, skip);                 \
    }                                                                                                                                   \
    KERNEL(128) convolution_adjoint_##T(const T* __restrict__ y, const T* __restrict__ w, const float* __restrict__ bias,              \
                                        const T* __restrict__ gate, const T* __restrict__ add, T* __restrict__ x, int inputs,          \
                                        int frames, int outputs, int taps, int stride, int padding, int dilation, int length) {        \
        adjoint<T>(y, w, bias, gate, add, x, inputs, frames, outputs, taps, stride, padding, dilation, length);                        \
    }                                                                                                                                   \
    KERNEL(128) convolution_weights_##T(const T* __restrict__ x, const T* __restrict__ dy, float* __restrict__ part, int inputs,       \
                                        int frames, int outputs, int taps, int stride, int padding, int dilation, int length,          \
                                        int flags, int batch) {                                                                        \
        weights<T>(x, dy, part, inputs, frames, outputs, taps, stride, padding, dilation, length, flags, batch);                       \
    }                                                                                                                                   \
    KERNEL(256) convolution_channel_sums_##T(const T* __restrict__ x, float* __restrict__ sum, int batch, int channels, int frames) {  \
        channel_sums<T>(x, sum, batch, channels, frames);                                                                               \
    }
CONVOLUTION(f16)
CONVOLUTION(bf16)
