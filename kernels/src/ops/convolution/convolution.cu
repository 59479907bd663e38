// Convolution over frames: x [batch, inputs, frames], w [outputs, inputs, taps] and y [batch, outputs, length], with
// y[o][t] = bias[o] + sum over k, i of w[o][i][k] * x[i][t * stride + k * dilation - padding], zeros outside; its adjoint, which is the
// transposed convolution; and the gradient of its weights. The product is implicit: nothing is unfolded in memory. Linear layers are
// convolutions of one tap, and residual blocks are convolutions with what stands around them done on the way.
// Plain f32 on CUDA cores: the reference for any faster variant.
constexpr int RECTIFY_IN = 1, RECTIFY_OUT = 2;  // flags

// y, rectified where asked, plus `add` where given, of y's shape but for `skip` frames before and behind. A block for 64 frames (x) of 64 outputs (y) of an item (z).
KERNEL(256) convolution_forward(const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
                                const float* __restrict__ add, float* __restrict__ y, int inputs, int frames, int outputs, int taps,
                                int stride, int padding, int dilation, int length, int flags, int skip) {
    using namespace product;
    DYNAMIC_SHARED(memory);
    const Shared<float> ls = slice<float>(memory, 0, DEPTH * PITCH), rs = slice<float>(memory, DEPTH * PITCH * 4, DEPTH * PITCH);
    const int t0 = blockIdx.x * TILE, o0 = blockIdx.y * TILE;
    x += (long long)blockIdx.z * inputs * frames;
    float sum[EACH][EACH];
    clear(sum);
    const auto weight = [&](int i, int term) {
        return o0 + i < outputs ? w[((long long)(o0 + i) * inputs + term % inputs) * taps + term / inputs] : 0.f;
    };
    const auto sample = [&](int i, int term) {
        const long long at = (long long)(t0 + i) * stride + (long long)(term / inputs) * dilation - padding;
        if (t0 + i >= length || at < 0 || at >= frames) return 0.f;
        const float v = x[(long long)(term % inputs) * frames + at];
        return flags & RECTIFY_IN ? fmaxf(v, 0.f) : v;
    };
    product::add<true, false>(sum, ls, rs, 0, taps * inputs, weight, sample);
    UNROLL for (int i = 0; i < EACH * EACH; i++) {
        const int o = o0 + row() + i / EACH, t = t0 + column() + i % EACH;
        if (o >= outputs || t >= length) continue;
        const long long row = (long long)blockIdx.z * outputs + o;
        float v = sum[i / EACH][i % EACH] + (bias ? bias[o] : 0.f);
        if (flags & RECTIFY_OUT) v = fmaxf(v, 0.f);
        y[row * length + t] = add ? v + add[row * (length + 2 * skip) + skip + t] : v;
    }
}

// x from y: the frames m * stride + r of one phase r meet only the taps k with r + padding - k * dilation a multiple of the stride, which
// are k0, k0 + step, ..: a plain convolution for each phase. x is 0 where `gate` (of its shape) is given and not above 0; then `add` is
// added. A block for 64 steps m (x) of 64 inputs (y) of a phase of an item (z).
KERNEL(256) convolution_adjoint(const float* __restrict__ y, const float* __restrict__ w, const float* __restrict__ bias,
                                const float* __restrict__ gate, const float* __restrict__ add, float* __restrict__ x, int inputs,
                                int frames, int outputs, int taps, int stride, int padding, int dilation, int length) {
    using namespace product;
    DYNAMIC_SHARED(memory);
    const Shared<float> ls = slice<float>(memory, 0, DEPTH * PITCH), rs = slice<float>(memory, DEPTH * PITCH * 4, DEPTH * PITCH);
    const int m0 = blockIdx.x * TILE, i0 = blockIdx.y * TILE, r = blockIdx.z % stride, item = blockIdx.z / stride;
    int first = 0, step = 1;
    while (first < taps && (r + padding + (long long)first * (stride - dilation % stride)) % stride != 0) first++;
    while ((long long)step * dilation % stride != 0) step++;
    const int live = first < taps ? (taps - first + step - 1) / step : 0;
    y += (long long)item * outputs * length;
    float sum[EACH][EACH];
    clear(sum);
    const auto weight = [&](int i, int term) {
        return i0 + i < inputs ? w[((long long)(term % outputs) * inputs + i0 + i) * taps + first + term / outputs * step] : 0.f;
    };
    const auto gradient = [&](int i, int term) {
        const long long reach = (long long)r + padding - (long long)(first + term / outputs * step) * dilation, t = m0 + i + reach / stride;
        return t < 0 || t >= length ? 0.f : y[(long long)(term % outputs) * length + t];
    };
    product::add<false, false>(sum, ls, rs, 0, live * outputs, weight, gradient);
    UNROLL for (int n = 0; n < EACH * EACH; n++) {
        const int i = i0 + row() + n / EACH;
        const long long t = (long long)(m0 + column() + n % EACH) * stride + r;
        if (i >= inputs || t >= frames) continue;
        const long long at = ((long long)item * inputs + i) * frames + t;
        float v = sum[n / EACH][n % EACH] + (bias ? bias[i] : 0.f);
        if (gate && !(gate[at] > 0.f)) v = 0.f;
        x[at] = add ? v + add[at] : v;
    }
}

// The gradient of w: terms are all frames of all items, cut into gridDim.z parts; part [parts, outputs, inputs * taps] keeps them apart.
// A block for 64 inputs and taps (x) of 64 outputs (y) of a part (z).
KERNEL(256) convolution_weights(const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ part, int batch, int inputs,
                                int frames, int outputs, int taps, int stride, int padding, int dilation, int length, int flags) {
    using namespace product;
    DYNAMIC_SHARED(memory);
    const Shared<float> ls = slice<float>(memory, 0, DEPTH * PITCH), rs = slice<float>(memory, DEPTH * PITCH * 4, DEPTH * PITCH);
    const int c0 = blockIdx.x * TILE, o0 = blockIdx.y * TILE, columns = inputs * taps;
    const long long terms = (long long)batch * length;
    const int t0 = (int)(terms * blockIdx.z / gridDim.z), t1 = (int)(terms * (blockIdx.z + 1) / gridDim.z);
    float sum[EACH][EACH];
    clear(sum);
    const auto gradient = [&](int i, int term) {
        return o0 + i < outputs ? dy[((long long)(term / length) * outputs + o0 + i) * length + term % length] : 0.f;
    };
    const auto sample = [&](int i, int term) {
        const int c = c0 + i;
        const long long at = (long long)(term % length) * stride + (long long)(c % taps) * dilation - padding;
        if (c >= columns || at < 0 || at >= frames) return 0.f;
        const float v = x[((long long)(term / length) * inputs + c / taps) * frames + at];
        return flags & RECTIFY_IN ? fmaxf(v, 0.f) : v;
    };
    product::add<true, true>(sum, ls, rs, t0, t1, gradient, sample);
    UNROLL for (int n = 0; n < EACH * EACH; n++) {
        const int o = o0 + row() + n / EACH, c = c0 + column() + n % EACH;
        if (o < outputs && c < columns) part[((long long)blockIdx.z * outputs + o) * columns + c] = sum[n / EACH][n % EACH];
    }
}

// sum[i] = part[0][i] + part[1][i] + .., in this order.
KERNEL(256) convolution_sum_parts(const float* __restrict__ part, float* __restrict__ sum, int parts, long long n) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= n) return;
    float s = 0.f;
    for (int p = 0; p < parts; p++) s += part[p * n + i];
    sum[i] = s;
}

// The sum of every channel of x [batch, channels, frames]: the gradient of a bias. A block for each channel.
KERNEL(256) convolution_channel_sums(const float* __restrict__ x, float* __restrict__ sum, int batch, int channels, int frames) {
    DYNAMIC_SHARED(memory);
    const Shared<float> room = slice<float>(memory, 0, 8);
    float s = 0.f;
    for (int item = 0; item < batch; item++)
        for (int t = threadIdx.x; t < frames; t += 256) s += x[((long long)item * channels + blockIdx.x) * frames + t];
    s = block_sum<256>(s, room);
    if (threadIdx.x == 0) sum[blockIdx.x] = s;
}
