// One update of n parameters p by gradients g times `scale`, with AdamW: `decay` is the rate times the weight decay (0 for biases and gains:
// Adam), `correct` 1 / (1 - beta^step). A thread for each.
KERNEL(256) adam_step(float* __restrict__ p, float* __restrict__ first, float* __restrict__ second, const float* __restrict__ g, float scale,
                      float rate, float decay, float beta1, float beta2, float correct1, float correct2, float epsilon, long long n) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= n) return;
    const float grad = g[i] * scale;
    float value = p[i];
    if (decay > 0.f) value -= decay * value;
    const float m = beta1 * first[i] + (1.f - beta1) * grad;
    const float v = beta2 * second[i] + (1.f - beta2) * grad * grad;
    first[i] = m, second[i] = v;
    p[i] = value - rate * (m * correct1) / (sqrtf(v * correct2) + epsilon);
}
