// Runs a CUDA kernel on the CPU: included before an unchanged .cu file, which g++ then compiles as C++.
//
// Each thread of a block is a fiber with a stack of its own. It runs until it meets a barrier, and goes on when all have
// met it. What is not synchronised is run in a chosen order (forwards, backwards or shuffled), so that a missing barrier
// shows in one of them. Blocks run one after another. Shared memory starts as NaN in every block; each argument lies
// against a page that nobody may touch; cp.async copies nothing before it is waited for; a warp's exchange is: write
// one's own slot, meet, read, meet. With EMULATOR_RACES it finds races, too: two threads at one place, one of which writes,
// and no barrier between them; for g++ -fsanitize=thread calls a function before each access, which is answered here. What
// this cannot show: bank conflicts, the order of memory, and whether the layout of tensor-core fragments stated in the
// kernels is the hardware's.

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <sys/mman.h>
#include <utility>
#include <vector>
#ifndef __x86_64__
#include <ucontext.h>
#endif

struct dim3 { unsigned x, y, z; };
struct uint3 { unsigned x, y, z; };
struct int4 { int x, y, z, w; };
struct alignas(16) float4 { float x, y, z, w; };

#define __global__
#define __device__
#define __shared__
#define __forceinline__ inline
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
#define __CUDA_EMULATOR__

static thread_local uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;

using std::max;
using std::min;
inline float rsqrt(float x) { return 1 / std::sqrt(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline void sincospi(double x, double* s, double* c) { *s = std::sin(M_PI * x); *c = std::cos(M_PI * x); }
inline void sincospif(float x, float* s, float* c) { *s = std::sin(M_PI * (double)x); *c = std::cos(M_PI * (double)x); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}

const size_t SHARED = 228 * 1024, PAGE = 4096, STACK = 64 * 1024;

// Shared memory, what is called `shared` in the kernels, between two pages that may be closed.
extern "C" { unsigned char emulator_room[PAGE + SHARED + PAGE] __attribute__((aligned(4096))); }
__asm__(".globl shared\n.hidden shared\n.set shared, emulator_room + 4096");
extern __attribute__((visibility("hidden"))) unsigned char shared[];

namespace emulator {

enum State { READY, AT_BLOCK, AT_WARP, DONE };

struct Copy { void* target; const void* source; int bytes; };

struct Fiber {
    void* stack = nullptr;
#ifdef __x86_64__
    void* pointer = nullptr;        // its stack pointer while it does not run
#else
    ucontext_t context;
#endif
    State state = DONE;
    int line = 0;
    uint3 index;
    std::vector<std::vector<Copy>> copies;      // groups of cp.async not yet waited for; the last is still open
};

// Where threads may meet: shared memory (the first) and the launch's arguments, with who was last at each 4 bytes.
struct Visit { int thread, block; unsigned epoch, warp_epoch; };
struct Word { Visit write, read, read_by_another; };
struct Place { char* start; size_t bytes; Word* words; };
static std::vector<Place> places;
#ifdef EMULATOR_RACES
const bool RACES = true;
#else
const bool RACES = false;
#endif
static bool watched;                                // a kernel's thread runs, and races are looked for
static int block_number;
static unsigned block_epoch, warp_epochs[32];       // barriers so far

static std::vector<Fiber> fibers;
static Fiber* current;
static void (*body)(void*);
static void* body_data;
static char message[512];
static sigjmp_buf failure;

#ifdef __x86_64__
static void* scheduler;
extern "C" void emulator_switch(void** from, void* to);
__asm__(".text\n.hidden emulator_switch\n.globl emulator_switch\nemulator_switch:\n"
        "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
        "mov %rsp, (%rdi)\nmov %rsi, %rsp\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n");
#else
static ucontext_t scheduler;
#endif

static void leave() {
#ifdef __x86_64__
    emulator_switch(&current->pointer, scheduler);
#else
    swapcontext(&current->context, &scheduler);
#endif
}

static void run_fiber() {
    body(body_data);
    current->state = DONE;
    leave();
    abort();
}

static void enter(Fiber& fiber) {
    current = &fiber;
    threadIdx = fiber.index;
    fiber.state = READY;
    watched = RACES;
#ifdef __x86_64__
    emulator_switch(&scheduler, fiber.pointer);
#else
    swapcontext(&scheduler, &fiber.context);
#endif
    watched = false;
}

static void prepare(Fiber& fiber) {
    if (!fiber.stack)
        fiber.stack = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#ifdef __x86_64__
    void** top = (void**)((char*)fiber.stack + STACK);
    *--top = nullptr;                   // alignment, as if run_fiber had been called
    *--top = (void*)run_fiber;
    for (int k = 0; k < 6; k++)
        *--top = nullptr;               // the registers that emulator_switch pops
    fiber.pointer = top;
#else
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack;
    fiber.context.uc_stack.ss_size = STACK;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, run_fiber, 0);
#endif
    fiber.state = READY;
    fiber.copies.assign(1, {});
}

[[noreturn]] static void fail(const char* what) {
    snprintf(message, sizeof message, "%s: thread (%u, %u, %u) of block (%u, %u, %u)", what, threadIdx.x, threadIdx.y,
             threadIdx.z, blockIdx.x, blockIdx.y, blockIdx.z);
    siglongjmp(failure, 1);
}

static void meet(State where, int line) {
    current->state = where;
    current->line = line;
    leave();
}

// Let go all who wait at a barrier that everybody (who is not done) has met: of the block, or of a warp.
static bool release(State where, size_t first, size_t last) {
    int line = 0;
    for (size_t k = first; k < last; k++) {
        if (fibers[k].state == DONE)
            continue;
        if (fibers[k].state != where)
            return false;
        if (line && fibers[k].line != line) {
            threadIdx = fibers[k].index;
            fail("threads meet at different barriers");
        }
        line = fibers[k].line;
    }
    for (size_t k = first; k < last; k++)
        if (fibers[k].state == where)
            fibers[k].state = READY;
    return line != 0;
}

static void run_block(const std::vector<int>& order) {
    size_t count = order.size();
    while (true) {
        bool ran = false, alive = false;
        for (int k : order)
            if (fibers[k].state == READY) {
                enter(fibers[k]);
                ran = true;
            }
        for (size_t warp = 0; warp < count; warp += 32)
            if (release(AT_WARP, warp, std::min(warp + 32, count))) {
                warp_epochs[warp / 32]++;
                ran = true;
            }
        if (release(AT_BLOCK, 0, count)) {
            block_epoch++;
            ran = true;
        }
        for (size_t k = 0; k < count; k++)
            alive |= fibers[k].state != DONE;
        if (!alive)
            return;
        if (!ran)
            fail("some threads wait at a barrier that others never reach");
    }
}

static void on_fault(int number, siginfo_t* info, void*) {
    char what[64] = "an index out of the bounds of a thread's own array";          // -fsanitize=bounds stops it so
    if (number != SIGILL)
        snprintf(what, sizeof what, "out of bounds at %p", info->si_addr);
    fail(what);
}

// Run `kernel(data)` for every thread of the grid; 0, or 1 with what went wrong in `message`. order: 0 forwards,
// 1 backwards, other numbers shuffle.
static int run(void (*kernel)(void*), void* data, const unsigned* grid, const unsigned* block, size_t shared_bytes, int order) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    body = kernel;
    body_data = data;
    size_t count = (size_t)block[0] * block[1] * block[2];
    if (fibers.size() < count)
        fibers.resize(count);
    std::vector<int> turns(count);
    std::iota(turns.begin(), turns.end(), 0);
    if (order == 1)
        std::reverse(turns.begin(), turns.end());
    else if (order > 1)
        for (unsigned k = count - 1, state = order; k > 0; k--) {       // <random> would take most of the time to compile
            state = state * 1664525 + 1013904223;
            std::swap(turns[k], turns[(state >> 8) % (k + 1)]);
        }

    static char* signal_stack = (char*)malloc(64 * 1024);
    stack_t alternate = {signal_stack, 0, 64 * 1024}, old_stack;
    struct sigaction action = {}, old_segv, old_bus, old_ill;
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaltstack(&alternate, &old_stack);
    sigaction(SIGSEGV, &action, &old_segv);
    sigaction(SIGBUS, &action, &old_bus);
    sigaction(SIGILL, &action, &old_ill);
    // The launch's shared memory begins behind a fence and ends at another (to a page: the rest of that is looked at below).
    size_t room = (shared_bytes + PAGE - 1) / PAGE * PAGE;
    mprotect(shared - PAGE, PAGE, PROT_NONE);
    mprotect(shared + room, PAGE, PROT_NONE);
    places.push_back({(char*)shared, room, (Word*)calloc(room / 4 + 1, sizeof(Word))});
    std::rotate(places.begin(), places.end() - 1, places.end());
    int failed = sigsetjmp(failure, 1);
    watched = false;
    if (!failed) {
        for (unsigned z = 0; z < grid[2]; z++)
            for (unsigned y = 0; y < grid[1]; y++)
                for (unsigned x = 0; x < grid[0]; x++) {
                    blockIdx = {x, y, z};
                    block_number++;
                    memset(shared, 0xff, room);         // NaN, as float and as double
                    for (size_t k = 0; k < count; k++) {
                        fibers[k].index = {unsigned(k % block[0]), unsigned(k / block[0] % block[1]),
                                           unsigned(k / block[0] / block[1])};
                        prepare(fibers[k]);
                    }
                    run_block(turns);
                    for (size_t k = shared_bytes; k < room; k++)
                        if (shared[k] != 0xff)
                            fail("wrote behind the block's shared memory");
                }
    }
    free(places.front().words);
    places.erase(places.begin());
    mprotect(shared - PAGE, PAGE, PROT_READ | PROT_WRITE);
    mprotect(shared + room, PAGE, PROT_READ | PROT_WRITE);
    sigaction(SIGSEGV, &old_segv, nullptr);
    sigaction(SIGBUS, &old_bus, nullptr);
    sigaction(SIGILL, &old_ill, nullptr);
    sigaltstack(&old_stack, nullptr);
    return failed;
}

// ---- Races. None of this may be watched itself, so it calls nothing that is compiled with it.

#define UNWATCHED __attribute__((no_sanitize("thread")))

static inline UNWATCHED bool in_order(const Visit& one, const Visit& now, bool is_shared) {
    if (!one.block || (one.block == now.block && one.thread == now.thread))
        return true;
    if (one.block != now.block)
        return is_shared;               // each block has its own; of the rest blocks share all, in no order
    return one.epoch != now.epoch || (one.thread / 32 == now.thread / 32 && one.warp_epoch != now.warp_epoch);
}

static UNWATCHED void visit(const void* address, size_t bytes, bool writes) {
    if (!watched)
        return;
    const char* first = (const char*)address;
    for (Place *place = places.data(), *end = place + places.size(); place != end; place++) {
        if (first < place->start || first >= place->start + place->bytes)
            continue;
        int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
        Visit now = {thread, block_number, block_epoch, warp_epochs[thread / 32]};
        bool is_shared = place->start == (char*)shared;
        for (size_t k = (first - place->start) / 4; k <= (first + bytes - 1 - place->start) / 4; k++) {
            Word& word = place->words[k];
            if (!in_order(word.write, now, is_shared))
                fail(writes ? "a race: two threads write here, with no barrier between them"
                            : "a race: reads what another thread wrote, with no barrier between them");
            if (writes && !(in_order(word.read, now, is_shared) && in_order(word.read_by_another, now, is_shared)))
                fail("a race: writes what another thread read, with no barrier between them");
            if (writes) {
                word.write = now;
            } else {
                if (word.read.thread != now.thread || word.read.block != now.block)
                    word.read_by_another = word.read;
                word.read = now;
            }
        }
    }
}

// ---- The calls that a kernel makes.

static unsigned lane() { return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32; }
static unsigned warp() { return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) / 32; }

template <class T>
T exchange(T value, unsigned from, int line) {
    static T slots[32][32];
    slots[warp()][lane()] = value;
    meet(AT_WARP, line);
    T other = slots[warp()][from % 32];
    meet(AT_WARP, line);
    return other;
}

inline void copy_async(void* target, const void* source, int bytes) {
    if ((uintptr_t)target % bytes || (uintptr_t)source % bytes)
        fail("a misaligned cp.async");
    visit(target, bytes, true);         // it may be written at any time from now on, and is when it is waited for
    if (source)
        visit(source, bytes, false);
    current->copies.back().push_back({target, source, bytes});
}

inline void commit_copies() { current->copies.emplace_back(); }

inline void wait_for_copies(int pending) {
    auto& groups = current->copies;
    int done = std::max(0, (int)groups.size() - 1 - pending);
    for (int k = 0; k < done; k++)
        for (const Copy& copy : groups[k]) {
            visit(copy.target, copy.bytes, true);
            copy.source ? (void)memcpy(copy.target, copy.source, copy.bytes) : (void)memset(copy.target, 0, copy.bytes);
        }
    groups.erase(groups.begin(), groups.begin() + done);
}

inline unsigned to_tf32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return (bits + 0x1000) & ~0x1fffu;
}

// mma.sync m16n8k8 of TF32 numbers, with the layout that tile.cu states.
inline void multiply_add(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    static float matrix_a[32][16][8], matrix_b[32][8][8];
    unsigned w = warp(), g = lane() / 4, t = lane() % 4;
    auto value = [](unsigned bits) { float x; bits &= ~0x1fffu; memcpy(&x, &bits, 4); return x; };
    for (int r = 0; r < 4; r++)
        matrix_a[w][g + r % 2 * 8][t + r / 2 * 4] = value(a[r]);
    for (int r = 0; r < 2; r++)
        matrix_b[w][t + r * 4][g] = value(b[r]);
    meet(AT_WARP, __LINE__);
    for (int r = 0; r < 4; r++)
        for (int k = 0; k < 8; k++)
            d[r] += matrix_a[w][g + r / 2 * 8][k] * matrix_b[w][k][2 * t + r % 2];
    meet(AT_WARP, __LINE__);
}

// A kernel's arguments, each behind a pointer, as cuLaunchKernel takes them.
template <class... A, size_t... I>
void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*(A*)arguments[I]...);
}

template <class... A>
int launch(void (*kernel)(A...), int given, void** arguments, const unsigned* grid, const unsigned* block,
           size_t shared_bytes, int order) {
    if (given != sizeof...(A)) {
        snprintf(message, sizeof message, "it takes %d arguments, got %d", (int)sizeof...(A), given);
        return 1;
    }
    struct Call { void (*kernel)(A...); void** arguments; } data = {kernel, arguments};
    return run([](void* d) { Call* c = (Call*)d; call(c->kernel, c->arguments, std::index_sequence_for<A...>()); },
               &data, grid, block, shared_bytes, order);
}

}  // namespace emulator

#define __syncthreads() emulator::meet(emulator::AT_BLOCK, __LINE__)
#define __syncwarp() emulator::meet(emulator::AT_WARP, __LINE__)
#define __shfl_xor_sync(mask, value, other) emulator::exchange(value, emulator::lane() ^ (other), __LINE__)
#define __shfl_sync(mask, value, from) emulator::exchange(value, from, __LINE__)

// Memory for an argument that ends at a fence (to `alignment` bytes) and begins behind another.
extern "C" void* emulator_map(size_t bytes) {
    size_t room = (bytes + PAGE - 1) / PAGE * PAGE;
    char* base = (char*)mmap(nullptr, room + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return nullptr;
    mprotect(base, PAGE, PROT_NONE);
    mprotect(base + PAGE + room, PAGE, PROT_NONE);
    emulator::places.push_back({base + PAGE, room, (emulator::Word*)calloc(room / 4, sizeof(emulator::Word))});
    return base + PAGE;
}

extern "C" void emulator_unmap(void* start, size_t bytes) {
    size_t room = (bytes + PAGE - 1) / PAGE * PAGE;
    munmap((char*)start - PAGE, room + 2 * PAGE);
    for (size_t k = 0; k < emulator::places.size(); k++)
        if (emulator::places[k].start == start) {
            free(emulator::places[k].words);
            emulator::places.erase(emulator::places.begin() + k);
        }
}

extern "C" const char* emulator_message() { return emulator::message; }

// What -fsanitize=thread calls before each access; the library of that name is not linked.
#ifdef EMULATOR_RACES
#define WATCH(name, bytes) \
    extern "C" UNWATCHED void __tsan_read##name(void* a) { emulator::visit(a, bytes, false); } \
    extern "C" UNWATCHED void __tsan_write##name(void* a) { emulator::visit(a, bytes, true); } \
    extern "C" UNWATCHED void __tsan_unaligned_read##name(void* a) { emulator::visit(a, bytes, false); } \
    extern "C" UNWATCHED void __tsan_unaligned_write##name(void* a) { emulator::visit(a, bytes, true); }
WATCH(1, 1) WATCH(2, 2) WATCH(4, 4) WATCH(8, 8) WATCH(16, 16)
extern "C" UNWATCHED void __tsan_read_range(void* a, size_t bytes) { emulator::visit(a, bytes, false); }
extern "C" UNWATCHED void __tsan_write_range(void* a, size_t bytes) { emulator::visit(a, bytes, true); }
extern "C" UNWATCHED void __tsan_init() {}
#endif
