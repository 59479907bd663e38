// Layer normalisation over the channels of x [batch, channels, positions]: (x - mean) / sqrt(variance + 1e-5) * gain + bias. The mean and
// the reciprocal deviation of every position, kept [batch, 2, positions], serve the way back.
//
// A block has 32 positions (x) of an item (y) and 8 warps, each with every eighth channel; their sums are added in order.
constexpr int GROUPS = 8;

DEVICE float over_channels(float v, Shared<float> room) {
    const int lane = threadIdx.x % 32, group = threadIdx.x / 32;
    __syncthreads();
    room[group * 32 + lane] = v;
    __syncthreads();
    float s = 0.f;
    for (int g = 0; g < GROUPS; g++) s += room[g * 32 + lane];
    return s;
}

template <class T>
DEVICE void forward(const T* x, const float* gain, const float* bias, T* y, float* kept, int channels, int positions) {
    DYNAMIC_SHARED(memory);
    const Shared<float> room = slice<float>(memory, 0, 32 * GROUPS);
    const int group = threadIdx.x / 32, at = blockIdx.x * 32 + threadIdx.x % 32;
    const bool there = at < positions;
    const float share = 1.f / channels;
    x += (long long)blockIdx.y * channels * positions, y += (long long)blockIdx.y * channels * positions;
    float mean = 0.f, square = 0.f;
    for (int c = group; c < channels; c += GROUPS) mean += there ? to_float(x[(long long)c * positions + at]) : 0.f;
    mean = over_channels(mean, room) * share;
    for (int c = group; c < channels; c += GROUPS) {
        const float d = there ? to_float(x[(long long)c * positions + at]) - mean : 0.f;
        square = fmaf(d, d, square);
    }
    const float scale = 1.f / sqrtf(fmaf(over_channels(square, room), share, 1e-5f));
    if (!there) return;
    if (group == 0) kept[(long long)blockIdx.y * 2 * positions + at] = mean, kept[((long long)blockIdx.y * 2 + 1) * positions + at] = scale;
    for (int c = group; c < channels; c += GROUPS)
        y[(long long)c * positions + at] = from_float<T>(fmaf((to_float(x[(long long)c * positions + at]) - mean) * scale, gain[c], bias[c]));
}

template <class T>
DEVICE void backward(const T* x, const float* gain, const float* kept, const T* dy, T* dx, int channels, int positions) {
    DYNAMIC_SHARED(memory);
    const Shared<float> room = slice<float>(memory, 0, 32 * GROUPS);
    const int group = threadIdx.x / 32, at = blockIdx.x * 32 + threadIdx.x % 32;
    const bool there = at < positions;
    const float share = 1.f / channels;
    const long long base = (long long)blockIdx.y * channels * positions;
    x += base, dy += base, dx += base;
    const float mean = there ? kept[(long long)blockIdx.y * 2 * positions + at] : 0.f;
    const float scale = there ? kept[((long long)blockIdx.y * 2 + 1) * positions + at] : 0.f;
    float flat = 0.f, along = 0.f;
    for (int c = group; c < channels; c += GROUPS) {
        if (!there) continue;
        const float g = to_float(dy[(long long)c * positions + at]) * gain[c];
        flat += g;
        along = fmaf(g, (to_float(x[(long long)c * positions + at]) - mean) * scale, along);
    }
    flat = over_channels(flat, room) * share;
    along = over_channels(along, room) * share;
    if (!there) return;
    for (int c = group; c < channels; c += GROUPS) {
        const float h = (to_float(x[(long long)c * positions + at]) - mean) * scale, g = to_float(dy[(long long)c * positions + at]) * gain[c];
        dx[(long long)c * positions + at] = from_float<T>((g - flat - h * along) * scale);
    }
}

// The gradients of gain and bias. A block for each channel.
template <class T>
DEVICE void parameters(const T* x, const float* kept, const T* dy, float* dgain, float* dbias, int batch, int channels, int positions) {
    DYNAMIC_SHARED(memory);
    const Shared<float> room = slice<float>(memory, 0, 8);
    float gain = 0.f, bias = 0.f;
    for (int item = 0; item < batch; item++) {
        const long long row = ((long long)item * channels + blockIdx.x) * positions;
        for (int at = threadIdx.x; at < positions; at += 256) {
            const float mean = kept[(long long)item * 2 * positions + at], scale = kept[((long long)item * 2 + 1) * positions + at];
            const float g = to_float(dy[row + at]);
            gain += (to_float(x[row + at]) - mean) * scale * g;
            bias += g;
        }
    }
    gain = block_sum<256>(gain, room);
    bias = block_sum<256>(bias, room);
    if (threadIdx.x == 0) dgain[blockIdx.x] = gain, dbias[blockIdx.x] = bias;
}

#define LAYER_NORM(T, name)                                                                                                             \
    KERNEL(256) layer_norm_forward_##name(const T* __restrict__ x, const float* __restrict__ gain, const float* __restrict__ bias,     \
                                          T* __restrict__ y, float* __restrict__ kept, int channels, int positions) {                  \
        forward<T>(x, gain, bias, y, kept, channels, positions);                                                                        \
    }                                                                                                                                   \
    KERNEL(256) layer_norm_backward_##name(const T* __restrict__ x, const float* __restrict__ gain, const float* __restrict__ kept,    \
                                           const T* __restrict__ dy, T* __restrict__ dx, int channels, int positions) {                \
        backward<T>(x, gain, kept, dy, dx, channels, positions);                                                                        \
    }                                                                                                                                   \
    KERNEL(256) layer_norm_parameters_##name(const T* __restrict__ x, const float* __restrict__ kept, const T* __restrict__ dy,        \
                                             float* __restrict__ dgain, float* __restrict__ dbias, int batch, int channels,            \
                                             int positions) {                                                                          \
        parameters<T>(x, kept, dy, dgain, dbias, batch, channels, positions);                                                           \
    }
LAYER_NORM(float, f32)
LAYER_NORM(f16, f16)
LAYER_NORM(bf16, bf16)
