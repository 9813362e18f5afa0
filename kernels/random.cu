// Philox4x64-10 (Salmon et al. 2011), the stream of numpy.random.Philox, with the state on the device.
//
//     state: key[2], counter, next, kept      the next 64-bit word of the stream is number `next` after that counter;
//                                             kept: 2^32 + the 32 bits left over from the last word, or 0
//
// Word k is one of the four of block counter + 1 + k / 4. Draws of 32 bits take the lower half of a word, then the upper,
// as NumPy does; draws of 64 bits leave a kept half alone. Each thread finds its own words, so any number are drawn at once.

typedef unsigned long long u64;

__device__ u64 word(const u64* state, u64 k) {
    u64 key0 = state[0], key1 = state[1], block = state[2] + 1 + k / 4;
    u64 c0 = block, c1 = block < state[2] ? 1 : 0, c2 = 0, c3 = 0;
    for (int round = 0; round < 10; round++) {
        u64 high0 = __umul64hi(0xD2E7470EE14C6C93ull, c0), low0 = 0xD2E7470EE14C6C93ull * c0;
        u64 high1 = __umul64hi(0xCA5A826395121157ull, c2), low1 = 0xCA5A826395121157ull * c2;
        c0 = high1 ^ c1 ^ key0;
        c1 = low1;
        c2 = high0 ^ c3 ^ key1;
        c3 = low0;
        key0 += 0x9E3779B97F4A7C15ull;
        key1 += 0xBB67AE8584CAA73Bull;
    }
    u64 four[4] = {c0, c1, c2, c3};
    return four[k % 4];
}

// Draw i of this state: [0, 1) with 24 bits (float) or 53 (double), as numpy.random.Generator.random makes them.
__device__ float draw(const u64* state, u64 i, float) {
    u64 kept = state[4] != 0;
    unsigned bits = i < kept ? (unsigned)state[4] : (unsigned)(word(state, state[3] + (i - kept) / 2) >> (i - kept) % 2 * 32);
    return (bits >> 8) * (1.0f / 16777216.0f);
}

__device__ double draw(const u64* state, u64 i, double) {
    return (word(state, state[3] + i) >> 11) * (1.0 / 9007199254740992.0);
}

extern "C" __global__ void __launch_bounds__(256) uniform(const u64* state, REAL* out, int size) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < size)
        out[i] = draw(state, i, REAL());
}

__device__ void turn(float t, float* s, float* c) { sincospif(t, s, c); }
__device__ void turn(double t, double* s, double* c) { sincospi(t, s, c); }

// N(0, 1) by Box and Muller (1958): two uniforms make two normals, sqrt(-2 log(1 - u)) times the cosine and sine of 2 pi v.
extern "C" __global__ void __launch_bounds__(256) normal(const u64* state, REAL* out, int size) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (2 * i >= size)
        return;
    REAL radius = sqrt(-2 * log1p(-draw(state, 2 * i, REAL()))), s, c;
    turn(2 * draw(state, 2 * i + 1, REAL()), &s, &c);
    out[2 * i] = radius * c;
    if (2 * i + 1 < size)
        out[2 * i + 1] = radius * s;
}

// The state after `draws` of them, at least one; one thread.
extern "C" __global__ void advance(u64* state, int draws) {
    if (sizeof(REAL) == 8) {
        state[3] += draws;
        return;
    }
    u64 fresh = draws - (state[4] != 0), words = (fresh + 1) / 2;       // those that take a new half
    state[4] = fresh % 2 ? (word(state, state[3] + words - 1) >> 32) + (1ull << 32) : 0;
    state[3] += words;
}
