// CUDA's words for a kernel that g++ compiles: built-in variables, barriers, shuffles, atomics, vectors.
#pragma once
#include <cmath>

#include "fibers.h"

#define __global__
#define __launch_bounds__(...)
#define __restrict__
#define DEVICE inline
#define UNROLL
#define ROLLED

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) uint4 { unsigned x, y, z, w; };

#define threadIdx (::shim::current->id)
#define blockIdx (::shim::block_id)
#define blockDim (::shim::block)
#define gridDim (::shim::grid)

inline void aligned(const void* p, size_t to) { if ((uintptr_t)p % to) shim::fail("a global address is not aligned to %zu", to); }
template <class V, class T> V load(Shared<T> p) { return Shared<V>{p.low, p.high, p.at}.load(); }
template <class V, class T> V load(const T* p) { V v; aligned(p, sizeof v), memcpy(&v, p, sizeof v); return v; }
template <class V, class T> void store(Shared<T> p, const V& v) { Shared<V>{p.low, p.high, p.at}.store(v); }
template <class V, class T> void store(T* p, const V& v) { aligned(p, sizeof v); memcpy(p, &v, sizeof v); }

inline void __syncthreads(int line = __builtin_LINE()) {
    shim::current->meets = "__syncthreads", shim::current->line = line, shim::park(shim::AT_BLOCK);
}
inline void __syncwarp(unsigned = ~0u, int line = __builtin_LINE()) {
    int none = 0;
    shim::together("__syncwarp", line, none, [](int**) { shim::warp_phase[shim::self() / shim::WARP]++; });
}

// Shuffles of whole warps. They order no memory.
namespace shim {
template <class T, class F> T exchange(const char* name, unsigned mask, T v, int argument, int width, int line, F from) {
    struct { T value, result; int argument, width; } mine = {v, v, argument, width};
    if (mask != ~0u) fail("%s of a part of a warp is not supported", name);
    together(name, line, mine, [&](auto** lane) {
        for (int l = 0; l < 32; l++) {
            const int w = lane[l]->width, base = l & ~(w - 1), f = from(l - base, lane[l]->argument, w);
            if (f >= 0 && f < w) lane[l]->result = lane[base + f]->value;
        }
    });
    return mine.result;
}
}  // namespace shim
#define SHUFFLE(name, from)                                                                              \
    template <class T> T name(unsigned m, T v, int x, int width = 32, int line = __builtin_LINE()) {     \
        const auto f = []([[maybe_unused]] int l, int x, [[maybe_unused]] int w) { return from; };       \
        return shim::exchange(#name, m, v, x, width, line, f);                                           \
    }
SHUFFLE(__shfl_sync, x & (w - 1))
SHUFFLE(__shfl_xor_sync, l ^ x)
SHUFFLE(__shfl_up_sync, l - x)
inline unsigned __ballot_sync(unsigned mask, bool yes, int line = __builtin_LINE()) {
    struct { bool yes; unsigned all; } mine = {yes, 0};
    if (mask != ~0u) shim::fail("a ballot of a part of a warp is not supported");
    shim::together("__ballot_sync", line, mine, [&](auto** lane) {
        unsigned all = 0;
        for (int l = 0; l < 32; l++) all |= (unsigned)lane[l]->yes << l;
        for (int l = 0; l < 32; l++) lane[l]->all = all;
    });
    return mine.all;
}
inline int __popc(unsigned v) { return __builtin_popcount(v); }

// Of whole numbers alone: sums of floats would depend on the order.
inline int atomicAdd(Shared<int> p, int v) {
    int old;
    shim::touch(shim::self(), p.place(sizeof v), sizeof v, shim::ATOMIC);
    memcpy(&old, shim::shared + p.at, sizeof v), v += old, memcpy(shim::shared + p.at, &v, sizeof v);
    return old;
}
inline unsigned atomicAdd(unsigned* p, unsigned v) { const unsigned old = *p; *p = old + v; return old; }

inline float __int_as_float(int v) { float f; memcpy(&f, &v, sizeof f); return f; }
inline int __float_as_int(float v) { int i; memcpy(&i, &v, sizeof i); return i; }
using std::max;
using std::min;

struct f16 { unsigned short bits; };
struct bf16 { unsigned short bits; };
#include "tensor_core.h"
