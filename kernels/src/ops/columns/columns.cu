// Columns of x [channels, positions] put beside others.

// to [channels, wide] from column `at` on = the `count` columns of x from `first` on, or zeros where there is no x; n = channels * count.
// A thread for each float.
KERNEL(256) columns_copy(const float* __restrict__ x, float* __restrict__ to, int positions, int first, int wide, int at, int count,
                         long long n) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i < n) to[i / count * wide + at + i % count] = x ? x[i / count * positions + first + i % count] : 0.f;
}
