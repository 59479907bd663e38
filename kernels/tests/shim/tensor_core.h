// Instructions of tensor cores on the CPU, after the PTX ISA's fragment layouts. Included by shim.h.
#pragma once

inline float to_float(float v) { return v; }
inline float to_float(bf16 v) { return __int_as_float((int)((unsigned)v.bits << 16)); }
inline float to_float(f16 v) { _Float16 h; memcpy(&h, &v, sizeof h); return (float)h; }
template <class T> T from_float(float f);  // to nearest even, as cvt.rn
template <> inline float from_float<float>(float f) { return f; }
template <> inline f16 from_float<f16>(float f) { const _Float16 h = (_Float16)f; f16 v; memcpy(&v, &h, sizeof v); return v; }
template <> inline bf16 from_float<bf16>(float f) {
    const unsigned x = (unsigned)__float_as_int(f);
    return {(unsigned short)(f != f ? 0x7fff : (x + 0x7fff + (x >> 16 & 1)) >> 16)};
}
template <class T> unsigned pack(float low, float high) { return from_float<T>(low).bits | (unsigned)from_float<T>(high).bits << 16; }
inline float exp2_fast(float x) { return exp2f(x); }

namespace shim {

// How a tensor core sums: 0 exactly and then to nearest; n > 0 in blocks of n products, each with the sum so far cut off below 2^-23 of
// the largest and the result towards zero. Published models of the A100 (n = 8) and H100 (n = 16) keep up to 2 bits more.
inline float block_sum(float c, const double* product, int n) {
    double sum = c, top = 0;
    for (int i = 0; i < n; i++) sum += product[i], top = std::max(top, fabs(product[i]));
    if (top == 0) return (float)sum;  // c has no more bits than are kept; or a NaN
    if (!settings.tensor_core || !std::isfinite(sum)) return (float)sum;
    top = std::max(top, (double)fabsf(c));
    uint64_t bits;
    memcpy(&bits, &top, sizeof bits), bits &= 0x7ffull << 52;  // its power of two
    double power;
    memcpy(&power, &bits, sizeof power);
    const double unit = power * 0x1p-23, parts = 0x1p23 / power;
    double whole = trunc(c * parts);
    for (int i = 0; i < n; i++) whole += trunc(product[i] * parts);
    const float r = (float)(whole * unit);
    return fabs(r) > fabs(whole * unit) ? nextafterf(r, 0.f) : r;
}

struct Mma { float* d; const unsigned *a, *b; const float* c; };
// d = a b + c of a warp, a 16 x 16, b 16 x 8; value(register, j) is value j of a register.
template <class V> void multiply(Mma** lane, V value) {
    double left[16][16], right[16][8];
    for (int l = 0; l < 32; l++)
        for (int j = 0; j < 2; j++) {
            // register i of a: row l / 4 (+ 8 if i is odd), of b: column l / 4; both: 2 values from 2 (l % 4) of a half of k
            for (int i = 0; i < 4; i++) left[l / 4 + i % 2 * 8][l % 4 * 2 + j + i / 2 * 8] = value(lane[l]->a[i], j);
            for (int i = 0; i < 2; i++) right[l % 4 * 2 + j + i * 8][l / 4] = value(lane[l]->b[i], j);
        }
    float out[16][8];
    const int step = settings.tensor_core ? std::min(settings.tensor_core, 16) : 16;
    for (int r = 0; r < 16; r++)
        for (int n = 0; n < 8; n++) {
            double product[16];
            for (int k = 0; k < 16; k++) product[k] = left[r][k] * right[k][n];
            out[r][n] = lane[r % 8 * 4 + n / 2]->c[r / 8 * 2 + n % 2];
            for (int k = 0; k < 16; k += step) out[r][n] = block_sum(out[r][n], product + k, step);
        }
    for (int l = 0; l < 32; l++)  // value i of c and d: row l / 4 (+ 8), columns 2 (l % 4) and the next
        for (int i = 0; i < 4; i++) lane[l]->d[i] = out[l / 4 + i / 2 * 8][l % 4 * 2 + i % 2];
}

inline void ldmatrix_x4(int line, unsigned (&r)[4], Shared<unsigned short> row, bool trans) {
    struct { unsigned* r; Shared<unsigned short> row; } mine = {r, row};
    together("ldmatrix.x4", line, mine, [&](auto** lane) {
        unsigned short m[4][8][8];
        for (int l = 0; l < 32; l++) {
            const auto& p = lane[l]->row;
            if (p.at < p.low || p.at + 16 > p.high || p.at % 16)
                fail("ldmatrix of line %d: lane %d's row at byte %lld is misaligned or outside of [%u, %u)", line, l, p.at, p.low, p.high);
            touch(current->index / WARP * WARP + l, (unsigned)p.at, 16, READ);
            memcpy(m[l / 8][l % 8], shared + p.at, 16);
        }
        for (int l = 0; l < 32; l++)
            for (int i = 0, x = l / 4, y = l % 4 * 2; i < 4; i++)
                lane[l]->r[i] = trans ? m[i][y][x] | (unsigned)m[i][y + 1][x] << 16 : m[i][x][y] | (unsigned)m[i][x][y + 1] << 16;
    });
}

}  // namespace shim

template <bool TRANS, class T> void ldmatrix_x4(unsigned (&r)[4], Shared<T> row, int line = __builtin_LINE()) {
    static_assert(sizeof(T) == 2);
    shim::ldmatrix_x4(line, r, {row.low, row.high, row.at}, TRANS);
}
template <class T>
void mma_m16n8k16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], const float (&c)[4], int line = __builtin_LINE()) {
    shim::Mma mine = {d, a, b, c};
    const auto half = [](unsigned r, int j) { return (double)to_float(T{(unsigned short)(r >> 16 * j)}); };
    shim::together("mma.m16n8k16", line, mine, [&](shim::Mma** lane) { shim::multiply(lane, half); });
}

// The source is read at once and the bytes arrive when they are waited for: until then nobody may touch where they go.
template <class T> void cp_async16(Shared<T> to, const T* from, int bytes = 16) {
    const unsigned at = Shared<uint4>{to.low, to.high, to.at}.place(16);
    aligned(from, 16);
    if (bytes < 0 || bytes > 16) shim::fail("cp.async of %d bytes", bytes);
    shim::touch(shim::self(), at, 16, shim::WRITE);
    if (shim::settings.checks) for (unsigned i = at / 2; i < at / 2 + 8; i++) shim::cells[i].filling = true;
    shim::current->copies.push_back({at, shim::current->groups, {}});
    memcpy(shim::current->copies.back().bytes, from, bytes);
}
inline void cp_async_commit() { shim::current->groups++; }
template <int N> void cp_async_wait() {
    auto& copies = shim::current->copies;
    size_t n = 0;
    for (; n < copies.size() && copies[n].group + N < shim::current->groups; n++) {
        const unsigned to = copies[n].to;
        memcpy(shim::shared + to, copies[n].bytes, 16);
        for (shim::Cell* c = &shim::cells[to / 2]; c < &shim::cells[to / 2] + 8; c++)  // from now on as if the thread had just written them
            c->filling = false, c->write_block = shim::block_phase, c->write_warp = shim::warp_phase[shim::self() / shim::WARP];
    }
    copies.erase(copies.begin(), copies.begin() + n);
}
