// Instructions of tensor cores as functions: inline PTX (sm_80 and later) under NVRTC, elsewhere the shim's emulation.
//
// ldmatrix_x4<TRANS>   r[i] = a lane's two elements of 8 x 8 matrix i, whose row j begins where lane 8 i + j points
// mma_m16n8k16<T>      d = a b + c; a 16 x 16 row major, b 16 x 8 column major, c and d 16 x 8 in f32
// cp_async16           16 bytes from global to shared memory, of which the first `bytes` are read and the others become 0
#ifdef __CUDACC__
DEVICE unsigned address(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
DEVICE float exp2_fast(float x) { float y; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }

template <bool TRANS, class T> DEVICE void ldmatrix_x4(unsigned (&r)[4], const T* row) {
#define LDMATRIX(kind)                                                                                     \
    asm volatile("ldmatrix.sync.aligned.m8n8.x4" kind ".shared.b16 {%0, %1, %2, %3}, [%4];"               \
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address(row)) : "memory")
    if (TRANS) LDMATRIX(".trans");
    else LDMATRIX("");
}

#define MMA(types)                                                                                                              \
    asm("mma.sync.aligned." types " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"                        \
        : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])                                                                        \
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]))
#define OPERANDS float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], const float (&c)[4]
template <class T> DEVICE void mma_m16n8k16(OPERANDS);
template <> DEVICE void mma_m16n8k16<f16>(OPERANDS) { MMA("m16n8k16.row.col.f32.f16.f16.f32"); }
template <> DEVICE void mma_m16n8k16<bf16>(OPERANDS) { MMA("m16n8k16.row.col.f32.bf16.bf16.f32"); }

template <class T> DEVICE void cp_async16(T* to, const T* from, int bytes = 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" : : "r"(address(to)), "l"(from), "r"(bytes) : "memory");
}
DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" : : : "memory"); }
template <int N> DEVICE void cp_async_wait() { asm volatile("cp.async.wait_group %0;" : : "n"(N) : "memory"); }
#endif

// Eight elements of a row of `length` in global memory, from column c on, to shared memory: at once where rows begin at multiples of 16
// bytes, else one by one. What is not there becomes 0.
template <class T> DEVICE void fetch8(Shared<T> to, const T* row, int c, int length, bool aligned_rows) {
    const int there = min(max(length - c, 0), 8);
    if (aligned_rows) {
        cp_async16(to, there ? row + c : row, 2 * there);
        return;
    }
    unsigned short v[8];
    UNROLL for (int i = 0; i < 8; i++) v[i] = i < there ? row[c + i].bits : 0;
    store(to, uint4{v[0] | (unsigned)v[1] << 16, v[2] | (unsigned)v[3] << 16, v[4] | (unsigned)v[5] << 16, v[6] | (unsigned)v[7] << 16});
}
