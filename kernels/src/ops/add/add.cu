// to = a + b, n floats; a and to may be one.
#define ADD(T, name)                                                                                  \
    KERNEL(256) add_##name(const T* a, const T* __restrict__ b, T* to, long long n) {                 \
        const long long i = (long long)blockIdx.x * 256 + threadIdx.x;                                \
        if (i < n) to[i] = from_float<T>(to_float(a[i]) + to_float(b[i]));                            \
    }
ADD(float, f32)
ADD(f16, f16)
ADD(bf16, bf16)
