// What stands between gradients and parameters: the norm of all gradients, clipping by it, and AdamW.

// The sum of squares of part blockIdx.x of n floats, in f64: parts[offset + block]. Each block has 1 << 16 floats.
KERNEL(256) optimiser_squares(const float* __restrict__ g, double* __restrict__ parts, int offset, long long n) {
    DYNAMIC_SHARED(memory);
    const Shared<double> room = slice<double>(memory, 0, 8);
    const long long first = (long long)blockIdx.x << 16, last = first + (1 << 16) < n ? first + (1 << 16) : n;
    double s = 0.;
    for (long long i = first + threadIdx.x; i < last; i += 256) s += (double)g[i] * (double)g[i];
    s = block_sum<256>(s, room);
    if (threadIdx.x == 0) parts[offset + blockIdx.x] = s;
}

// facts: [0] the norm, the root of the sum of all parts; [1] what gradients are multiplied by: `unscale`, and less where the norm (with
// unscale) is over `most` (0: no limit); [2] 1 where the norm is finite, else 0. One block.
KERNEL(256) optimiser_norm(const double* __restrict__ parts, float* __restrict__ facts, float unscale, float most, int n) {
    DYNAMIC_SHARED(memory);
    const Shared<double> room = slice<double>(memory, 0, 8);
    double s = 0.;
    for (int i = threadIdx.x; i < n; i += 256) s += parts[i];
    s = block_sum<256>(s, room);
    if (threadIdx.x != 0) return;
    const double norm = sqrt(s) * (double)unscale;
    facts[0] = (float)norm;
    facts[1] = unscale * (most > 0.f && norm > (double)most ? (float)((double)most / norm) : 1.f);
    facts[2] = norm < 1e300 ? 1.f : 0.f;  // neither infinite nor a NaN
}

// One update of n parameters p by gradients g times facts[1]; nothing happens where facts[2] is 0. `decay` is the rate times the weight
// decay (0 for biases and gains: Adam), `correct` 1 / (1 - beta^step).
KERNEL(256) optimiser_adamw(float* __restrict__ p, float* __restrict__ first, float* __restrict__ second, const float* __restrict__ g,
                            const float* __restrict__ facts, float rate, float decay, float beta1, float beta2, float correct1,
                            float correct2, float epsilon, long long n) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= n || !(facts[2] > 0.f)) return;
    const float grad = g[i] * facts[1];
    float value = p[i];
    if (decay > 0.f) value -= decay * value;
    const float m = beta1 * first[i] + (1.f - beta1) * grad;
    const float v = beta2 * second[i] + (1.f - beta2) * grad * grad;
    first[i] = m, second[i] = v;
    p[i] = value - rate * (m * correct1) / (sqrtf(v * correct2) + epsilon);
}
