// Rows of a table [rows, width] at codes [items, positions], to y [items, width, positions]; and their gradients back to the table.

// A thread for each float of y; adds to what is there where `more` is not 0.
KERNEL(256) embedding_forward(const float* __restrict__ table, const unsigned* __restrict__ codes, float* __restrict__ y, int width,
                              int positions, long long n, int more) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= n) return;
    const long long item = i / positions / width, c = i / positions % width, at = i % positions;
    const float v = table[(long long)codes[item * positions + at] * width + c];
    y[i] = more ? y[i] + v : v;
}

// dtable[r] = the sum of dy at the positions whose code is r, in their order. A block for 256 channels (y) of a row (x).
KERNEL(256) embedding_backward(const float* __restrict__ dy, const unsigned* __restrict__ codes, float* __restrict__ dtable, int width,
                               int positions, long long n) {
    DYNAMIC_SHARED(memory);
    const Shared<int> list = slice<int>(memory, 0, 256), counts = slice<int>(memory, 1024, 8);
    const int c = blockIdx.y * 256 + threadIdx.x;
    float sum = 0.f;
    gather::matches(list, counts, codes, n, blockIdx.x, [&](long long i) {
        if (c < width) sum += dy[(i / positions * width + c) * positions + i % positions];
    });
    if (c < width) dtable[(long long)blockIdx.x * width + c] = sum;
}
