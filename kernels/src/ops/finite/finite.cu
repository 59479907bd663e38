// Whether all of n floats are finite: how many are not, counted in parts of 1 << 14, then over the parts.
constexpr int PART = 1 << 14;

// A block for each part.
template <class T> DEVICE void count(const T* x, int* parts, long long n) {
    DYNAMIC_SHARED(memory);
    const Shared<int> room = slice<int>(memory, 0, 8);
    const long long first = (long long)blockIdx.x * PART, last = first + PART < n ? first + PART : n;
    int count = 0;
    for (long long i = first + threadIdx.x; i < last; i += 256) count += (__float_as_int(to_float(x[i])) & 0x7f800000) == 0x7f800000;
    count = block_sum<256>(count, room);
    if (threadIdx.x == 0) parts[blockIdx.x] = count;
}
KERNEL(256) finite_count_f32(const float* __restrict__ x, int* __restrict__ parts, long long n) { count(x, parts, n); }
KERNEL(256) finite_count_f16(const f16* __restrict__ x, int* __restrict__ parts, long long n) { count(x, parts, n); }
KERNEL(256) finite_count_bf16(const bf16* __restrict__ x, int* __restrict__ parts, long long n) { count(x, parts, n); }

// out = 1 where no part has any, else 0. One block.
DEVICE void all(const int* parts, float* out, int n) {
    DYNAMIC_SHARED(memory);
    const Shared<int> room = slice<int>(memory, 0, 8);
    int some = 0;
    for (int i = threadIdx.x; i < n; i += 256) some |= parts[i] > 0;
    some = block_sum<256>(some, room);
    if (threadIdx.x == 0) out[0] = some == 0 ? 1.f : 0.f;
}
KERNEL(256) finite_all(const int* __restrict__ parts, float* __restrict__ out, int n) { all(parts, out, n); }
