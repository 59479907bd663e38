// Sums and multiples of n floats.

// to = a + b; a and to may be one.
KERNEL(256) add_floats(const float* a, const float* __restrict__ b, float* to, long long n) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i < n) to[i] = a[i] + b[i];
}

// to = by * x; x and to may be one.
KERNEL(256) add_scale(const float* x, float* to, float by, long long n) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i < n) to[i] = by * x[i];
}

// to = a + by * b; a and to may be one.
KERNEL(256) add_multiple(const float* a, const float* __restrict__ b, float* to, float by, long long n) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i < n) to[i] = a[i] + by * b[i];
}
