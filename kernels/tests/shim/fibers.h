// The threads of a block as fibers of one CPU thread, block after block. A fiber runs until it meets others: at a barrier, or at an
// instruction of its warp. Buffers end before a page that must not be touched, so that what reaches behind them ends the launch.
#pragma once
#include <csignal>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>

#include "watch.h"

struct dim3 { unsigned x = 1, y = 1, z = 1; };

namespace shim {

constexpr unsigned STACK = 256 << 10;

enum State { READY, AT_WARP, AT_BLOCK, DONE, FAULTY };
struct Copy { unsigned to, group; unsigned char bytes[16]; };
struct Thread {
    ucontext_t context;
    char* stack = nullptr;
    State state;
    dim3 id;
    unsigned index, groups;    // groups of cp.async that were committed
    std::vector<Copy> copies;  // cp.async that were not waited for
    const char* meets;         // the instruction and line at which it waits for others, and its operands
    int line;
    void* operands;
};
inline std::vector<Thread> threads;
inline std::vector<unsigned> arrived;  // of each warp, at the instruction where it meets
inline Thread* current;
inline dim3 grid, block, block_id;
inline std::function<void()> body;
inline char sentence[400];
inline ucontext_t scheduler;

inline unsigned self() { return current->index; }
inline void park(State s) { current->state = s, swapcontext(&current->context, &scheduler); }
inline void pause() { park(READY); }

// Ends the launch, which throws the sentence.
inline void fail(const char* format, ...) {
    const int n = snprintf(sentence, sizeof sentence, "block (%u, %u, %u), thread %u: ", block_id.x, block_id.y, block_id.z, current->index);
    va_list rest;
    va_start(rest, format), vsnprintf(sentence + n, sizeof sentence - n, format, rest), va_end(rest);
    park(FAULTY);
    __builtin_trap();
}

// A touch of the page behind a buffer: the thread ends here, and the scheduler goes on.
inline void broken(int, siginfo_t* info, void*) {
    snprintf(sentence, sizeof sentence, "block (%u, %u, %u), thread %u: touches address %p, outside of every buffer", block_id.x,
             block_id.y, block_id.z, current->index, info->si_addr);
    current->state = FAULTY;
    setcontext(&scheduler);
}
// While it lives, such touches are caught.
struct Guard {
    std::vector<char> stack = std::vector<char>(64 << 10);
    stack_t alternate = {}, before = {};
    struct sigaction segv = {}, bus = {};
    Guard() {
        alternate.ss_sp = stack.data(), alternate.ss_size = stack.size();
        sigaltstack(&alternate, &before);
        struct sigaction now = {};
        now.sa_sigaction = broken, now.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigaction(SIGSEGV, &now, &segv), sigaction(SIGBUS, &now, &bus);
    }
    ~Guard() { sigaction(SIGSEGV, &segv, nullptr), sigaction(SIGBUS, &bus, nullptr), sigaltstack(&before, nullptr); }
};

// An instruction of a whole warp: the last lane that arrives carries it out for all, `all(the operands of 32 lanes)`.
template <class O, class F> void together(const char* name, int line, O& mine, F all) {
    const unsigned w = current->index / WARP;
    current->meets = name, current->line = line, current->operands = &mine;
    if (++arrived[w] < WARP) return park(AT_WARP);
    arrived[w] = 0;
    O* every[WARP];
    for (unsigned l = 0; l < WARP; l++) {
        Thread& t = threads[w * WARP + l];
        if (t.line != line || strcmp(t.meets, name))
            fail("is at %s of line %d while lane %u of its warp is at %s of line %d", name, line, l, t.meets, t.line);
        every[l] = static_cast<O*>(t.operands);
        t.state = READY;
    }
    all(every);
}

inline void entry() {
    body();
    if (!current->copies.empty()) fail("ends with a cp.async that it did not wait for");
    park(DONE);
}

// Nobody can go on: if all threads that are left wait at one barrier, they may.
inline void pass_barrier() {
    int line = 0;
    for (auto& t : threads) {
        if (t.state == DONE && line == 0) continue;
        if (t.state != AT_BLOCK || (line && line != t.line))
            throw std::runtime_error("thread " + std::to_string(t.index) + (t.state == DONE ? " has ended, and others wait for it" :
                std::string(" waits for ever at ") + t.meets + " of line " + std::to_string(t.line)));
        line = t.line;
        if (&t != &threads[0] && threads[0].state == DONE) throw std::runtime_error("thread 0 has ended, and others wait for it");
    }
    for (auto& t : threads)
        if (t.state == AT_BLOCK) t.state = READY;
    for (auto& phase : warp_phase) phase++;
    block_phase++;
}

inline void arrange(std::vector<unsigned>& turn) {
    for (unsigned i = 0; i < turn.size(); i++) turn[i] = i;
    if (settings.order == 1) std::reverse(turn.begin(), turn.end());
    if (settings.order > 1) std::shuffle(turn.begin(), turn.end(), dice);
}

inline void run_block(unsigned bytes) {
    const unsigned n = block.x * block.y * block.z;
    if (threads.size() < n) threads.reserve(1024), threads.resize(n);
    else while (threads.size() > n) munmap(threads.back().stack, STACK), threads.pop_back();
    forget(n / WARP, bytes), arrived.assign(n / WARP, 0);
    for (unsigned i = 0; i < n; i++) {
        Thread& t = threads[i];
        if (!t.stack) t.stack = (char*)mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        t.state = READY, t.index = i, t.id = {i % block.x, i / block.x % block.y, i / block.x / block.y};
        t.copies.clear(), t.groups = 0;
        getcontext(&t.context);
        t.context.uc_stack.ss_sp = t.stack, t.context.uc_stack.ss_size = STACK, t.context.uc_link = nullptr;
        makecontext(&t.context, entry, 0);
    }
    std::vector<unsigned> turn(n);
    arrange(turn);
    for (unsigned done = 0; done < n;) {
        if (settings.order > 1) arrange(turn);
        if (std::none_of(threads.begin(), threads.end(), [](const Thread& t) { return t.state == READY; })) pass_barrier();
        for (unsigned i : turn) {
            current = &threads[i];
            if (current->state != READY) continue;
            swapcontext(&scheduler, &current->context);
            if (current->state == FAULTY) throw std::runtime_error(sentence);
            done += current->state == DONE;
        }
    }
}

// Throws a sentence about the first fault.
inline void launch(dim3 blocks, unsigned n, unsigned bytes, std::function<void()> f) {
    if (n == 0 || n % WARP || n > 1024 || bytes > MOST_SHARED) throw std::runtime_error("no such block (here of whole warps), or shared memory");
    if (!blocks.x || !blocks.y || !blocks.z || blocks.x > 0x7fffffff || blocks.y > 65535 || blocks.z > 65535) throw std::runtime_error("no such grid");
    grid = blocks, block = {n, 1, 1}, body = f;
    dice.seed(settings.order);
    const Guard guard;
    std::vector<unsigned> turn(grid.x * grid.y * grid.z);
    arrange(turn);
    for (unsigned i : turn) {
        block_id = {i % grid.x, i / grid.x % grid.y, i / grid.x / grid.y};
        run_block(bytes);
    }
}

}  // namespace shim
