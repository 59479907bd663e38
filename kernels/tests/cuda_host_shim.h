// Runs the kernels of a .cu file on the CPU: one block after the other, one fiber per CUDA thread.
//
// Supported: threadIdx, blockIdx, blockDim, gridDim, static __shared__ arrays, __syncthreads, __syncwarp and
// __shfl_xor_sync. Within a phase between two barriers the threads run to completion one by one, forward or in reverse,
// so a missing barrier shows as a wrong result in at least one of the two orders; a barrier that only some threads
// reach is reported.
#pragma once
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define SHIM_ASAN 1
#endif

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static
#define __restrict__

namespace shim {

enum State { RUNNING, AT_BLOCK, AT_WARP, DONE };

struct Thread {
    ucontext_t context;
    State state;
    dim3 id;
    uint64_t slot;
    std::vector<char> stack;
};

inline std::vector<Thread> threads;
inline Thread* current;
inline ucontext_t scheduler;
inline dim3 grid, block, block_id;
inline std::function<void()> body;
inline bool reverse = false;
#ifdef SHIM_ASAN
inline const void* scheduler_stack;
inline size_t scheduler_size;
#endif

// AddressSanitizer must be told of every change of stack.
inline void to_scheduler(State s) {
    current->state = s;
#ifdef SHIM_ASAN
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(s == DONE ? nullptr : &fake, scheduler_stack, scheduler_size);
#endif
    swapcontext(&current->context, &scheduler);
#ifdef SHIM_ASAN
    __sanitizer_finish_switch_fiber(fake, &scheduler_stack, &scheduler_size);
#endif
}

inline void to_thread(Thread& t) {
    current = &t;
#ifdef SHIM_ASAN
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, t.stack.data(), t.stack.size());
#endif
    swapcontext(&scheduler, &t.context);
#ifdef SHIM_ASAN
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

inline void entry() {
#ifdef SHIM_ASAN
    __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_size);
#endif
    body();
    to_scheduler(DONE);
}

inline unsigned linear() { return current->id.x + block.x * (current->id.y + block.y * current->id.z); }

// Lets go the threads of [from, to) if all that still run wait in `state`.
inline bool release(unsigned from, unsigned to, State state) {
    unsigned live = 0, waiting = 0;
    for (unsigned i = from; i < to; i++) {
        live += threads[i].state != DONE;
        waiting += threads[i].state == state;
    }
    if (!live || waiting != live) return false;
    for (unsigned i = from; i < to; i++)
        if (threads[i].state == state) threads[i].state = RUNNING;
    return true;
}

inline void run_block() {
    const unsigned n = block.x * block.y * block.z;
    threads.resize(n);
    for (unsigned i = 0; i < n; i++) {
        Thread& t = threads[i];
        t.state = RUNNING;
        t.id = dim3(i % block.x, i / block.x % block.y, i / block.x / block.y);
        t.stack.resize(64 << 10);
        getcontext(&t.context);
        t.context.uc_stack.ss_sp = t.stack.data();
        t.context.uc_stack.ss_size = t.stack.size();
        t.context.uc_link = nullptr;
        makecontext(&t.context, entry, 0);
    }
    for (unsigned done = 0; done < n;) {
        for (unsigned q = 0; q < n; q++) {
            Thread& t = threads[reverse ? n - 1 - q : q];
            if (t.state != RUNNING) continue;
            to_thread(t);
            done += t.state == DONE;
        }
        bool released = false;
        for (unsigned w = 0; w < n; w += 32) released |= release(w, w + 32 < n ? w + 32 : n, AT_WARP);
        if (!released && done < n && !release(0, n, AT_BLOCK)) {
            fprintf(stderr, "shim: only some threads of block (%u, %u) reach a barrier\n", block_id.x, block_id.y);
            abort();
        }
    }
}

template <class F>
void launch(dim3 blocks, dim3 size, F f) {
    grid = blocks;
    block = size;
    body = f;
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                block_id = dim3(x, y, z);
                run_block();
            }
}

}  // namespace shim

#define threadIdx (::shim::current->id)
#define blockIdx (::shim::block_id)
#define blockDim (::shim::block)
#define gridDim (::shim::grid)

static inline void __syncthreads() { shim::to_scheduler(shim::AT_BLOCK); }
static inline void __syncwarp(unsigned = ~0u) { shim::to_scheduler(shim::AT_WARP); }

static inline float __int_as_float(int v) {
    float f;
    memcpy(&f, &v, sizeof f);
    return f;
}

// Everyone writes, everyone reads, everyone goes on. A partner that is outside the group of `width` is oneself.
template <class T>
T __shfl_xor_sync(unsigned, T v, int mask, int width = 32) {
    const unsigned warp = shim::linear() & ~31u, lane = shim::linear() & 31u, from = lane ^ (unsigned)mask;
    shim::current->slot = 0;
    memcpy(&shim::current->slot, &v, sizeof v);
    __syncwarp();
    const bool inside = from / width == lane / width && warp + from < shim::threads.size();
    T r = v;
    if (inside) memcpy(&r, &shim::threads[warp + from].slot, sizeof r);
    __syncwarp();
    return r;
}
