// What the threads of a block do to shared memory, watched access by access.
//
// An access is a fault if it is outside of its array, misaligned, reads what nothing wrote or what a cp.async still fills, or if no
// barrier orders it after what another thread did to the same bytes. The last is judged by the barriers that were passed and not by
// what was overwritten, so that any one order of threads finds it.
#pragma once
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

namespace shim {

constexpr unsigned WARP = 32, MOST_SHARED = 227 * 1024;  // what a block may ask for on sm_90; 163 KB on sm_80

// How a launch runs. Order of threads and blocks: 0 forward, 1 reverse, more: random by this seed, with switches in mid-phase.
struct Settings { int order, checks, tensor_core; };
inline Settings settings;
inline std::mt19937 dice;

enum Kind { READ, WRITE, ATOMIC };

// Two bytes: who touched them last, and in which phases between barriers of the block and of the warp.
struct Cell {
    uint32_t write_block, write_warp, read_block, read_warp;
    uint16_t writer, reader;
    uint8_t readers;  // since the last write: 0 none, 1 one thread, 2 threads of one warp, 3 of several
    bool written, atomic, filling;
};
inline std::vector<Cell> cells;
alignas(128) inline unsigned char shared[MOST_SHARED];
inline unsigned shared_bytes;
inline uint32_t block_phase;                // barriers of the block so far
inline std::vector<uint32_t> warp_phase;    // of each warp
unsigned self();                            // the running thread's index in its block
void pause();                               // lets others run
[[noreturn]] __attribute__((format(printf, 1, 2))) void fail(const char* format, ...);

inline void forget(unsigned warps, unsigned bytes) {
    shared_bytes = bytes, block_phase = 1;
    cells.assign((bytes + 1) / 2, Cell());
    warp_phase.assign(warps, 1);
    memset(shared, 0xff, bytes);  // NaNs
}

inline void touch(unsigned thread, unsigned at, unsigned bytes, Kind kind) {
    if (!settings.checks) return;
    const unsigned own = thread / WARP, now = warp_phase[own];
    const char* verb = kind == READ ? "reads" : "writes";
    for (unsigned i = at / 2; i < (at + bytes + 1) / 2; i++) {
        Cell& c = cells[i];
        if (c.filling) fail("%s shared byte %u, which a cp.async of thread %u still fills", verb, 2 * i, c.writer);
        if (kind == READ && !c.written) fail("reads shared byte %u, which nothing wrote", 2 * i);
        const bool after = c.write_block < block_phase || c.writer == thread || (c.writer / WARP == own && c.write_warp < now);
        if (c.written && !after && !(c.atomic && kind == ATOMIC))
            fail("race: %s shared byte %u, which thread %u wrote, without a barrier between", verb, 2 * i, c.writer);
        const bool read = c.readers && c.read_block == block_phase, by_own = c.readers < 3 && c.reader / WARP == own;
        const bool by_me = by_own && (c.read_warp < now || (c.readers == 1 && c.reader == thread));
        if (kind == READ) {
            c.readers = !read || by_me ? 1 : by_own ? 2 : 3;
            c.reader = (uint16_t)thread, c.read_block = block_phase, c.read_warp = now;
        } else {
            if (read && !by_me) fail("race: writes shared byte %u, which thread %u reads, without a barrier between", 2 * i, c.reader);
            c = {block_phase, now, 0, 0, (uint16_t)thread, 0, 0, true, kind == ATOMIC, false};
        }
    }
}

}  // namespace shim

// A pointer into shared memory, with the bounds of its array in bytes.
template <class T> struct Shared {
    unsigned low, high;
    long long at;
    struct Element {
        Shared p;
        operator T() const { return p.load(); }
        const Element& operator=(const T& v) const { return p.store(v), *this; }
        const Element& operator=(const Element& o) const { return p.store(o.p.load()), *this; }
    };
    Shared operator+(long long n) const { return {low, high, at + n * (long long)sizeof(T)}; }
    Element operator[](long long n) const { return {*this + n}; }
    unsigned place(unsigned bytes) const {
        if (at < low || at + bytes > high) shim::fail("shared byte %lld is outside of its array [%u, %u)", at, low, high);
        if (at % bytes) shim::fail("shared byte %lld is not aligned to %u", at, bytes);
        if (shim::settings.order > 1 && shim::dice() % 64 == 0) shim::pause();
        return (unsigned)at;
    }
    T load() const {
        T v;
        shim::touch(shim::self(), place(sizeof v), sizeof v, shim::READ);
        return memcpy(&v, shim::shared + at, sizeof v), v;
    }
    void store(const T& v) const {
        shim::touch(shim::self(), place(sizeof v), sizeof v, shim::WRITE);
        memcpy(shim::shared + at, &v, sizeof v);
    }
};
struct SharedMemory {};
#define DYNAMIC_SHARED(name) const SharedMemory name
template <class T> Shared<T> slice(SharedMemory, int byte, int count) {
    const Shared<T> s = {(unsigned)byte, (unsigned)(byte + count * sizeof(T)), byte};
    if (s.high > shim::shared_bytes) shim::fail("an array ends at byte %u of %u of shared memory", s.high, shim::shared_bytes);
    return s;
}
