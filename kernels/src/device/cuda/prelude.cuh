// What every kernel source begins with. NVRTC compiles it for a GPU; elsewhere the words are those of the shim of kernels/tests, so that
// one source runs on a GPU and, fiber by fiber, on a CPU. No other header is needed.
//
// Shared<T>            a pointer into shared memory; DYNAMIC_SHARED(name) is all of it, slice<T>(name, byte, count) an array in it
// load<V>, store       a vector (uint4, float4, ..) at a pointer to shared or global memory
// f16, bf16            16 bits; from_float<T> rounds to nearest even, to_float is exact, pack<T> puts two in a register, low first
// Multiplications and additions are fused where fmaf says so and nowhere else (--fmad=false).
#define ALL 0xffffffffu  // lanes of a warp
#define KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads)

#ifndef __CUDACC__
#include "shim.h"
#else
#define DEVICE __device__ __forceinline__
#define UNROLL _Pragma("unroll")
#define ROLLED _Pragma("unroll 1")
struct f16 { unsigned short bits; };
struct bf16 { unsigned short bits; };
template <class T> using Shared = T*;
#define DYNAMIC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]
template <class T> DEVICE T* slice(unsigned char* all, int byte, int) { return reinterpret_cast<T*>(all + byte); }
template <class V, class T> DEVICE V load(const T* p) { return *reinterpret_cast<const V*>(p); }
template <class V, class T> DEVICE void store(T* p, const V& v) { *reinterpret_cast<V*>(p) = v; }

DEVICE float to_float(float v) { return v; }
DEVICE float to_float(f16 v) { float f; asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(v.bits)); return f; }
DEVICE float to_float(bf16 v) { return __uint_as_float((unsigned)v.bits << 16); }
template <class T> DEVICE unsigned pack(float low, float high);
template <> DEVICE unsigned pack<f16>(float l, float h) { unsigned r; asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(h), "f"(l)); return r; }
template <> DEVICE unsigned pack<bf16>(float l, float h) { unsigned r; asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(h), "f"(l)); return r; }
template <class T> struct Round { static DEVICE T from(float f) { T v; v.bits = (unsigned short)pack<T>(f, 0.f); return v; } };
template <> struct Round<float> { static DEVICE float from(float f) { return f; } };
template <class T> DEVICE T from_float(float f) { return Round<T>::from(f); }
#endif

DEVICE float infinity() { return __int_as_float(0x7f800000); }
DEVICE float not_a_number() { return __int_as_float(0x7fc00000); }

// e^x as the CPU computes it (cpu/exp.rs), bit for bit: fused multiply-adds and integer shifts.
DEVICE float exp_of(float x) {
    const float LOW = -87.33654f, HIGH = 88.37f, ROUND = 12583039.f;
    float c = x > HIGH ? HIGH : x;
    c = c < LOW ? LOW : c;
    const float shifted = fmaf(c, 1.44269504f, ROUND), n = shifted - ROUND;
    float r = fmaf(n, -355.f / 512.f, c);
    r = fmaf(n, 2.1219444e-4f, r);
    float p = 1.9875691e-4f;
    p = fmaf(p, r, 1.3981999e-3f);
    p = fmaf(p, r, 8.333452e-3f);
    p = fmaf(p, r, 4.1665796e-2f);
    p = fmaf(p, r, 1.6666665e-1f);
    p = fmaf(p, r, 0.5f);
    const float y = (fmaf(p, r * r, r) + 1.f) * __int_as_float((int)((unsigned)__float_as_int(shifted) << 23));
    return x < LOW ? 0.f : y;
}

// The sum of a value of each lane, the same in all lanes: a fixed tree.
template <class T> DEVICE T warp_sum(T v) {
    UNROLL for (int off = 16; off > 0; off /= 2) v += __shfl_xor_sync(ALL, v, off);
    return v;
}
// The sum of a value of each thread, the same in all threads; room for a value of each warp.
template <int THREADS, class T> DEVICE T block_sum(T v, Shared<T> room) {
    v = warp_sum(v);
    __syncthreads();
    if (threadIdx.x % 32 == 0) room[threadIdx.x / 32] = v;
    __syncthreads();
    T sum = room[0];
    for (int w = 1; w < THREADS / 32; w++) sum += (T)room[w];
    return sum;
}
