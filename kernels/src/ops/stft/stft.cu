// The short-time Fourier transform of x [batch, frames] as a product with a matrix [2 * bins, fft]: the window times the cosine (bins rows)
// and the negative sine. Frame t is centred on sample t * hop, ends are mirrored. Spectra are [batch, times, 2 * bins].

// The sample that padded position p mirrors.
DEVICE int source(int p, int fft, int frames) {
    const int i = abs(p - fft / 2);
    return i < frames ? i : 2 * (frames - 1) - i;
}

// The matrix from waves [3, fft]: the window, cosines, negative sines; n = 2 * bins * fft. A thread for each float.
KERNEL(256) stft_matrix(const float* __restrict__ waves, float* __restrict__ matrix, int fft, long long n) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= n) return;
    const long long row = i / fft, sample = i % fft, bins = fft / 2 + 1, bin = row % bins;
    matrix[i] = waves[sample] * waves[(row < bins ? fft : 2 * fft) + bin * sample % fft];
}

// A block for 64 rows of the matrix (x) and 64 times (y) of an item (z).
KERNEL(256) stft_spectrum(const float* __restrict__ x, const float* __restrict__ matrix, float* __restrict__ spectrum, int frames,
                          int times, int fft, int hop) {
    using namespace product;
    DYNAMIC_SHARED(memory);
    const Shared<float> ls = slice<float>(memory, 0, DEPTH * PITCH), rs = slice<float>(memory, DEPTH * PITCH * 4, DEPTH * PITCH);
    const int b0 = blockIdx.x * TILE, t0 = blockIdx.y * TILE, rows = fft + 2;
    x += (long long)blockIdx.z * frames;
    float sum[EACH][EACH];
    clear(sum);
    const auto sample = [&](int i, int n) { return t0 + i < times ? x[source((t0 + i) * hop + n, fft, frames)] : 0.f; };
    const auto wave = [&](int i, int n) { return b0 + i < rows ? matrix[(long long)(b0 + i) * fft + n] : 0.f; };
    add<true, true>(sum, ls, rs, 0, fft, sample, wave);
    UNROLL for (int i = 0; i < EACH * EACH; i++) {
        const int t = t0 + row() + i / EACH, b = b0 + column() + i % EACH;
        if (t < times && b < rows) spectrum[((long long)blockIdx.z * times + t) * rows + b] = sum[i / EACH][i % EACH];
    }
}

// What each sample of each windowed frame [batch, times, fft] is given by g, of a spectrum's shape.
KERNEL(256) stft_frames(const float* __restrict__ g, const float* __restrict__ matrix, float* __restrict__ windowed, int times, int fft) {
    using namespace product;
    DYNAMIC_SHARED(memory);
    const Shared<float> ls = slice<float>(memory, 0, DEPTH * PITCH), rs = slice<float>(memory, DEPTH * PITCH * 4, DEPTH * PITCH);
    const int n0 = blockIdx.x * TILE, t0 = blockIdx.y * TILE, rows = fft + 2;
    g += (long long)blockIdx.z * times * rows;
    float sum[EACH][EACH];
    clear(sum);
    const auto gradient = [&](int i, int b) { return t0 + i < times ? g[(long long)(t0 + i) * rows + b] : 0.f; };
    const auto wave = [&](int i, int b) { return n0 + i < fft ? matrix[(long long)b * fft + n0 + i] : 0.f; };
    add<true, false>(sum, ls, rs, 0, rows, gradient, wave);
    UNROLL for (int i = 0; i < EACH * EACH; i++) {
        const int t = t0 + row() + i / EACH, n = n0 + column() + i % EACH;
        if (t < times && n < fft) windowed[((long long)blockIdx.z * times + t) * fft + n] = sum[i / EACH][i % EACH];
    }
}

// Sample by sample, the sum over the frames that hold it or its mirror images. A thread for each sample (x) of an item (y).
KERNEL(256) stft_overlap(const float* __restrict__ windowed, float* __restrict__ x, int frames, int times, int fft, int hop) {
    const int s = blockIdx.x * 256 + threadIdx.x, half = fft / 2;
    if (s >= frames) return;
    windowed += (long long)blockIdx.y * times * fft;
    const int padded[3] = {half + s, half - s, half + 2 * (frames - 1) - s};
    float sum = 0.f;
    for (int image = 0; image < 3; image++) {
        const int p = padded[image];
        if (image > 0 && (p < 0 || p == padded[0] || source(p, fft, frames) != s)) continue;
        if (image == 2 && p == padded[1]) continue;
        const int first = p < fft ? 0 : (p - fft) / hop + 1, last = min(p / hop, times - 1);
        for (int t = first; t <= last; t++) sum += windowed[(long long)t * fft + p - t * hop];
    }
    x[(long long)blockIdx.y * frames + s] = sum;
}

// Magnitudes [batch, bins, times]. A thread for each.
KERNEL(256) stft_magnitude(const float* __restrict__ spectrum, float* __restrict__ magnitude, int bins, int times, long long n) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= n) return;
    const float* s = spectrum + (i / times / bins * times + i % times) * 2 * bins + i / times % bins;
    magnitude[i] = sqrtf(s[0] * s[0] + s[bins] * s[bins]);
}

// The gradient of a spectrum from that of its magnitudes: 0 where the square of a magnitude is 0.
KERNEL(256) stft_magnitude_backward(const float* __restrict__ spectrum, const float* __restrict__ g, float* __restrict__ d, int bins,
                                    int times, long long n) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= n) return;
    const long long at = (i / times / bins * times + i % times) * 2 * bins + i / times % bins;
    const float re = spectrum[at], im = spectrum[at + bins], square = re * re + im * im;
    const float scale = square == 0.f ? 0.f : g[i] / sqrtf(square);
    d[at] = re * scale, d[at + bins] = im * scale;
}
