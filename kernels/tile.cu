// One tile of a matrix product, C[m, n] = sum over k of A[m, k] * B[k, n]: what conv.cu and matmul.cu are built on.
//
// An operand says where its elements lie; this file moves them to shared memory and multiplies. The naive loop is
//
//     for m, n:   sum = 0;   for k in begin ... end:   sum += A(m, k) * B(k, n);   C.store(m, n, sum)
//
// and the fast version gives each block of 128 threads a tile of 64 x 64 results. It walks along k in slabs of DEPTH,
// three of them in flight: while one is multiplied, cp.async brings the two that follow. With TF32 four warps of 32 x
// 32 results use the tensor cores (mma.sync m16n8k8); otherwise each thread has 8 x 4 results in registers.
//
// The launcher puts this file before the one that uses it and defines
//     REAL                 float or double
//     TF32                 1: multiply on tensor cores, with 10 bits of mantissa; 0: in full precision
//     VECTOR_A, VECTOR_B   how many neighbouring elements an operand is read at once: 1, 2 or 4
// An operand is a struct with
//     ALONG_K, VECTOR      whether its neighbours in memory are neighbours in k, or in m (in n, for B)
//     const REAL* at(int row, int k)      the first of VECTOR neighbours (all are there, or none), or null for zeros

const int THREADS = 128, TILE = 64, STAGES = 3, DEPTH = TF32 ? 32 : 16;

extern __shared__ __align__(16) unsigned char shared[];

// Each slab's rows are padded so that the threads of a warp read from different banks.
template <bool ALONG_K>
struct Slab {
    static const int PITCH = ALONG_K ? DEPTH + 4 : TILE + 8, SIZE = (ALONG_K ? TILE : DEPTH) * PITCH;
    static __device__ int at(int row, int k) { return ALONG_K ? row * PITCH + k : k * PITCH + row; }
};

// VECTOR elements from global to shared memory, or zeros where source is null, not there before wait_for_copies().
template <int VECTOR>
__device__ void copy_async(REAL* target, const REAL* source) {
    const int bytes = VECTOR * sizeof(REAL);
#ifdef __CUDA_ARCH__
    unsigned to = (unsigned)__cvta_generic_to_shared(target);
    const void* from = source ? source : (const REAL*)shared;     // nothing is read from it when it is null
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;\n"
                 :: "r"(to), "l"(from), "n"(bytes), "r"(source ? bytes : 0));
#else
    emulator::copy_async(target, source, bytes);
#endif
}

__device__ void commit_copies() {
#ifdef __CUDA_ARCH__
    asm volatile("cp.async.commit_group;\n" ::);
#else
    emulator::commit_copies();
#endif
}

// Wait until all groups of this thread's copies have arrived but the PENDING latest.
template <int PENDING>
__device__ void wait_for_copies() {
#ifdef __CUDA_ARCH__
    asm volatile("cp.async.wait_group %0;\n" :: "n"(PENDING));
#else
    emulator::wait_for_copies(PENDING);
#endif
}

#if TF32
// d (16 x 8) += a (16 x 8) * b (8 x 8), spread over a warp. With g = lane / 4 and t = lane % 4 a thread holds
//     a: (g, t) (g + 8, t) (g, t + 4) (g + 8, t + 4)      b: (t, g) (t + 4, g)
//     d: (g, 2t) (g, 2t + 1) (g + 8, 2t) (g + 8, 2t + 1)
__device__ void multiply_add(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#ifdef __CUDA_ARCH__
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};\n" : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    emulator::multiply_add(d, a, b);
#endif
}

// The nearest number with 10 bits of mantissa, ties away from zero.
__device__ unsigned to_tf32(float x) {
#ifdef __CUDA_ARCH__
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;\n" : "=r"(bits) : "f"(x));
    return bits;
#else
    return emulator::to_tf32(x);
#endif
}
#endif

// A slab of an operand: rows first_row ... first_row + TILE, k from first_k.
template <class Operand>
__device__ void fetch(const Operand& operand, REAL* slab, int first_row, int first_k) {
    const int VECTOR = Operand::VECTOR, ALONG = Operand::ALONG_K ? DEPTH : TILE;
    for (int piece = threadIdx.x; piece < TILE * DEPTH / VECTOR; piece += THREADS) {
        int across = piece / (ALONG / VECTOR), along = piece % (ALONG / VECTOR) * VECTOR;
        int row = Operand::ALONG_K ? across : along, k = Operand::ALONG_K ? along : across;
        copy_async<VECTOR>(slab + Slab<Operand::ALONG_K>::at(row, k), operand.at(first_row + row, first_k + k));
    }
}

// This block's tile: rows 64 * blockIdx.x ..., columns 64 * blockIdx.y ..., over k = begin ... end.
template <class A, class B, class C>
__device__ void tile_product(const A& a, const B& b, const C& c, int begin, int end) {
    typedef Slab<A::ALONG_K> SlabA;
    typedef Slab<B::ALONG_K> SlabB;
    REAL* slabs = (REAL*)shared;
    const int STAGE = SlabA::SIZE + SlabB::SIZE;
    const int first_m = blockIdx.x * TILE, first_n = blockIdx.y * TILE;
    const int steps = (end - begin + DEPTH - 1) / DEPTH;

    for (int step = 0; step < STAGES - 1; step++) {
        if (step < steps) {
            fetch(a, slabs + step * STAGE, first_m, begin + step * DEPTH);
            fetch(b, slabs + step * STAGE + SlabA::SIZE, first_n, begin + step * DEPTH);
        }
        commit_copies();
    }

#if TF32
    const int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    const int warp_m = warp / 2 * 32, warp_n = warp % 2 * 32;
    float sums[2][4][4] = {};
#else
    const int thread_m = threadIdx.x / 16, thread_n = threadIdx.x % 16;       // results at thread_m + 8i, thread_n + 16j
    REAL sums[8][4] = {};
#endif

    for (int step = 0; step < steps; step++) {
        wait_for_copies<STAGES - 2>();
        __syncthreads();        // this step's slab is there for all, and all are done with the one that is now refilled
        int ahead = step + STAGES - 1;
        if (ahead < steps) {
            fetch(a, slabs + ahead % STAGES * STAGE, first_m, begin + ahead * DEPTH);
            fetch(b, slabs + ahead % STAGES * STAGE + SlabA::SIZE, first_n, begin + ahead * DEPTH);
        }
        commit_copies();
        const REAL* slab_a = slabs + step % STAGES * STAGE;
        const REAL* slab_b = slab_a + SlabA::SIZE;
#if TF32
        #pragma unroll
        for (int k = 0; k < DEPTH; k += 8) {
            unsigned part_a[2][4], part_b[4][2];
            #pragma unroll
            for (int i = 0; i < 2; i++)
                #pragma unroll
                for (int r = 0; r < 4; r++)
                    part_a[i][r] = to_tf32(slab_a[SlabA::at(warp_m + 16 * i + g + r % 2 * 8, k + t + r / 2 * 4)]);
            #pragma unroll
            for (int j = 0; j < 4; j++)
                #pragma unroll
                for (int r = 0; r < 2; r++)
                    part_b[j][r] = to_tf32(slab_b[SlabB::at(warp_n + 8 * j + g, k + t + r * 4)]);
            #pragma unroll
            for (int i = 0; i < 2; i++)
                #pragma unroll
                for (int j = 0; j < 4; j++)
                    multiply_add(sums[i][j], part_a[i], part_b[j]);
        }
#else
        #pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            REAL part_a[8], part_b[4];
            #pragma unroll
            for (int i = 0; i < 8; i++)
                part_a[i] = slab_a[SlabA::at(thread_m + 8 * i, k)];
            #pragma unroll
            for (int j = 0; j < 4; j++)
                part_b[j] = slab_b[SlabB::at(thread_n + 16 * j, k)];
            #pragma unroll
            for (int i = 0; i < 8; i++)
                #pragma unroll
                for (int j = 0; j < 4; j++)
                    sums[i][j] += part_a[i] * part_b[j];
        }
#endif
    }

#if TF32
    #pragma unroll
    for (int i = 0; i < 2; i++)
        #pragma unroll
        for (int j = 0; j < 4; j++)
            #pragma unroll
            for (int r = 0; r < 4; r++)
                c.store(first_m + warp_m + 16 * i + g + r / 2 * 8, first_n + warp_n + 8 * j + 2 * t + r % 2, sums[i][j][r]);
#else
    #pragma unroll
    for (int i = 0; i < 8; i++)
        #pragma unroll
        for (int j = 0; j < 4; j++)
            c.store(first_m + thread_m + 8 * i, first_n + thread_n + 16 * j, sums[i][j]);
#endif
}

// bias (or none) and leaky ReLU of the given slope (1 for none), in the order in which layers apply them.
__device__ REAL activated(REAL value, const REAL* bias, int channel, REAL slope) {
    if (bias)
        value += bias[channel];
    return value > 0 ? value : slope != 0 || value != value ? slope * value : 0;        // 0 * infinity is NaN
}

// Part `split` of 0 ... length, in whole slabs.
__device__ void share(int length, int split, int splits, int* begin, int* end) {
    int slabs = (length + DEPTH - 1) / DEPTH, each = (slabs + splits - 1) / splits * DEPTH;
    *begin = min(split * each, length);
    *end = min(*begin + each, length);
}

// A product cut along k into `splits` parts leaves them in a workspace (splits, size); here they are added, always in
// the same order, so that one seed gives one result.
extern "C" __global__ void __launch_bounds__(256) sum_splits(const REAL* parts, const REAL* bias, REAL* out,
                                                             int size, int channels, int splits, REAL slope) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size)
        return;
    REAL sum = 0;
    for (int s = 0; s < splits; s++)
        sum += parts[(long long)s * size + i];
    out[i] = activated(sum, bias, i % channels, slope);
}
