// What reconstruction costs, with gradients: the square of the difference of samples, and per item the norm of the difference of STFT
// magnitudes and the mean absolute difference of their logarithms. Sums are f64, of pieces of 1 << 14 numbers, then over the pieces.
constexpr int PIECE = 1 << 14;

// gradient = `slope` times y - x; parts [items, gridDim.x] the sums of its squares. A block for a piece (x) of an item (y) of n samples.
KERNEL(256) loss_samples(const float* __restrict__ x, const float* __restrict__ y, float* __restrict__ gradient,
                         double* __restrict__ parts, double slope, int n) {
    DYNAMIC_SHARED(memory);
    const Shared<double> room = slice<double>(memory, 0, 8);
    const int last = min(n, (int)(blockIdx.x + 1) * PIECE);
    const long long base = (long long)blockIdx.y * n;
    double s = 0.;
    for (int i = blockIdx.x * PIECE + threadIdx.x; i < last; i += 256) {
        const double d = (double)(y[base + i] - x[base + i]);
        s += d * d;
        gradient[base + i] = (float)(d * slope);
    }
    s = block_sum<256>(s, room);
    if (threadIdx.x == 0) parts[(long long)blockIdx.y * gridDim.x + blockIdx.x] = s;
}

// sums[item] = the sum of its parts, or the root of it. A block for each item.
KERNEL(256) loss_sum(const double* __restrict__ parts, double* __restrict__ sums, double scale, int n, int root) {
    DYNAMIC_SHARED(memory);
    const Shared<double> room = slice<double>(memory, 0, 8);
    double s = 0.;
    for (int i = threadIdx.x; i < n; i += 256) s += parts[(long long)blockIdx.x * n + i];
    s = block_sum<256>(s, room);
    if (threadIdx.x == 0) sums[blockIdx.x] = root ? sqrt(s) : s * scale;
}

DEVICE float magnitude(float re, float im) { return sqrtf(re * re + im * im); }

// Of spectra x and y [items, times, 2 * bins] the sums of the squares of their magnitudes' difference; n = times * bins.
KERNEL(256) loss_magnitudes(const float* __restrict__ x, const float* __restrict__ y, double* __restrict__ parts, int bins, int n) {
    DYNAMIC_SHARED(memory);
    const Shared<double> room = slice<double>(memory, 0, 8);
    const int last = min(n, (int)(blockIdx.x + 1) * PIECE);
    const long long base = (long long)blockIdx.y * 2 * n;
    double s = 0.;
    for (int i = blockIdx.x * PIECE + threadIdx.x; i < last; i += 256) {
        const long long at = base + (long long)(i / bins) * 2 * bins + i % bins;
        const double d = (double)(magnitude(y[at], y[at + bins]) - magnitude(x[at], x[at + bins]));
        s += d * d;
    }
    s = block_sum<256>(s, room);
    if (threadIdx.x == 0) parts[(long long)blockIdx.y * gridDim.x + blockIdx.x] = s;
}

// y becomes the gradient of `spectral` times the item's norm and `step` times the sum of the absolute differences of the logarithms above
// `floor`, of which parts has the sums (0 without a step).
KERNEL(256) loss_spectra(const float* __restrict__ x, float* __restrict__ y, const double* __restrict__ norms, double* __restrict__ parts,
                         double spectral, float step, float floor, int bins, int n) {
    DYNAMIC_SHARED(memory);
    const Shared<double> room = slice<double>(memory, 0, 8);
    const int last = min(n, (int)(blockIdx.x + 1) * PIECE);
    const long long base = (long long)blockIdx.y * 2 * n;
    const double norm = norms[blockIdx.y];
    const float scale = norm > 0. ? (float)(spectral / norm) : 0.f, lowest = logf(floor);
    double s = 0.;
    for (int i = blockIdx.x * PIECE + threadIdx.x; i < last; i += 256) {
        const long long at = base + (long long)(i / bins) * 2 * bins + i % bins;
        const float a = magnitude(x[at], x[at + bins]), b = magnitude(y[at], y[at + bins]);
        float factor = b > 1e-12f ? scale * (1.f - a / b) : 0.f;  // a magnitude of zero has no direction
        if (step > 0.f) {
            const float d = (b > floor ? logf(b) : lowest) - (a > floor ? logf(a) : lowest);
            s += (double)fabsf(d);
            if (b > floor && d != 0.f) factor += copysignf(step, d) / (b * b);
        }
        y[at] *= factor, y[at + bins] *= factor;
    }
    s = block_sum<256>(s, room);
    if (threadIdx.x == 0) parts[(long long)blockIdx.y * gridDim.x + blockIdx.x] = s;
}
