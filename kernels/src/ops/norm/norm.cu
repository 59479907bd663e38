// The sum of the squares of several tensors, in f64.
constexpr int PIECE = 1 << 14;

// parts[offset + block] = that of a piece of n floats. A block for each piece.
KERNEL(256) norm_squares(const float* __restrict__ x, double* __restrict__ parts, int offset, long long n) {
    DYNAMIC_SHARED(memory);
    const Shared<double> room = slice<double>(memory, 0, 8);
    const long long first = (long long)blockIdx.x * PIECE, last = first + PIECE < n ? first + PIECE : n;
    double s = 0.;
    for (long long i = first + threadIdx.x; i < last; i += 256) s += (double)x[i] * (double)x[i];
    s = block_sum<256>(s, room);
    if (threadIdx.x == 0) parts[offset + blockIdx.x] = s;
}

// The sum of n parts. One block.
KERNEL(256) norm_sum(const double* __restrict__ parts, double* __restrict__ sum, int n) {
    DYNAMIC_SHARED(memory);
    const Shared<double> room = slice<double>(memory, 0, 8);
    double s = 0.;
    for (int i = threadIdx.x; i < n; i += 256) s += parts[i];
    s = block_sum<256>(s, room);
    if (threadIdx.x == 0) sum[0] = s;
}
