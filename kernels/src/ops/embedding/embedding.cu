// Rows of tables [rows, width], numbered through all tables, at rows [items, positions], to y [items, width, positions]; and their
// gradients back to a table. A launch for each table, whose first row is `first`.
constexpr unsigned NO_ROW = 0xffffffff;

// A thread for each float of y. The first table's launch writes all of y: zeros for NO_ROW, NaNs for the rows of later tables, which they
// then write.
template <class T>
DEVICE void lookup(const unsigned* rows, const float* table, T* y, int width, int positions, int first, int count, long long n) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= n) return;
    const long long item = i / positions / width, c = i / positions % width, at = i % positions;
    const unsigned row = rows[item * positions + at];
    if (row >= (unsigned)first && row - (unsigned)first < (unsigned)count) y[i] = from_float<T>(table[(long long)(row - first) * width + c]);
    else if (first == 0) y[i] = from_float<T>(row == NO_ROW ? 0.f : not_a_number());
}

// dtable[r] = the sum of dy at the positions of row first + r, in their order. A block for 256 channels (y) of a row (x).
template <class T>
DEVICE void scatter(const unsigned* rows, const T* dy, float* dtable, int width, int positions, int first, long long n) {
    DYNAMIC_SHARED(memory);
    const Shared<int> list = slice<int>(memory, 0, 256), counts = slice<int>(memory, 1024, 8);
    const int c = blockIdx.y * 256 + threadIdx.x;
    float sum = 0.f;
    gather::matches(list, counts, rows, n, (unsigned)first + blockIdx.x, [&](long long i) {
        if (c < width) sum += to_float(dy[(i / positions * width + c) * positions + i % positions]);
    });
    if (c < width) dtable[(long long)blockIdx.x * width + c] = sum;
}

#define EMBEDDING(T, name)                                                                                                              \
    KERNEL(256) embedding_forward_##name(const unsigned* __restrict__ rows, const float* __restrict__ table, T* __restrict__ y,        \
                                         int width, int positions, int first, int count, long long n) {                                \
        lookup<T>(rows, table, y, width, positions, first, count, n);                                                                   \
    }                                                                                                                                   \
    KERNEL(256) embedding_backward_##name(const unsigned* __restrict__ rows, const T* __restrict__ dy, float* __restrict__ dtable,     \
                                          int width, int positions, int first, long long n) {                                          \
        scatter<T>(rows, dy, dtable, width, positions, first, n);                                                                       \
    }
EMBEDDING(float, f32)
EMBEDDING(f16, f16)
EMBEDDING(bf16, bf16)
