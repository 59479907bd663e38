// Columns of x [channels, positions] put beside others, by the bytes of a number.

// to [channels, wide] from column `at` on = the `count` columns of x from `first` on, or zeros where there is no x; n = channels * count.
// A thread for each number.
template <class T>
DEVICE void copy(const T* x, T* to, int positions, int first, int wide, int at, int count, long long n) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i < n) to[i / count * wide + at + i % count] = x ? x[i / count * positions + first + i % count] : T(0);
}

KERNEL(256) columns_copy_4(const unsigned* __restrict__ x, unsigned* __restrict__ to, int positions, int first, int wide, int at, int count,
                           long long n) {
    copy(x, to, positions, first, wide, at, count, n);
}
KERNEL(256) columns_copy_2(const unsigned short* __restrict__ x, unsigned short* __restrict__ to, int positions, int first, int wide, int at,
                           int count, long long n) {
    copy(x, to, positions, first, wide, at, count, n);
}
