// From f32 to 16 bits, to nearest even, and back; n numbers. Where `room` is over `width`, rows get zeros behind them.
template <class F, class T> DEVICE void cast(const F* from, T* to, int width, int room, long long n) {
    const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
    if (i >= n) return;
    const long long row = i / room, c = i % room;
    to[i] = from_float<T>(c < width ? to_float(from[row * width + c]) : 0.f);
}

#define CAST(F, T, name)                                                                                                       \
    KERNEL(256) cast_##name(const F* __restrict__ from, T* __restrict__ to, int width, int room, long long n) {               \
        cast<F, T>(from, to, width, room, n);                                                                                  \
    }
CAST(float, f16, f32_to_f16)
CAST(float, bf16, f32_to_bf16)
CAST(f16, float, f16_to_f32)
CAST(bf16, float, bf16_to_f32)
