// Matrix products, batched: C[z, m, n] = sum over k of A[z, m, k] * B[z, k, n], with bias and leaky ReLU.
//
// The naive loop is that formula; the fast version is tile.cu's. Either operand may lie transposed in memory: A_ALONG_K
// and B_ALONG_K say whether neighbours in memory are neighbours in k. (A captured CUDA graph may not call cuBLAS.)
// The batch of an operand may have a stride of 0: one matrix for all. blockIdx.z = batch * splits + split.

template <bool ALONG, int LANES>
struct Matrix {
    static const bool ALONG_K = ALONG;
    static const int VECTOR = LANES;
    const REAL* data;
    int pitch, rows, end;
    __device__ const REAL* at(int row, int k) const {
        if (row >= rows || k >= end)
            return nullptr;
        return data + (ALONG ? (long long)row * pitch + k : (long long)k * pitch + row);
    }
};

struct Result {
    REAL* data;
    const REAL* bias;
    int rows, columns, whole;
    REAL slope;
    __device__ void store(int m, int n, REAL value) const {
        if (m < rows && n < columns)
            data[(long long)m * columns + n] = whole ? activated(value, bias, n, slope) : value;
    }
};

extern "C" __global__ void __launch_bounds__(THREADS) matmul(
        const REAL* a, const REAL* b, const REAL* bias, REAL* c, int rows, int columns, int depth, int pitch_a, int pitch_b,
        int stride_a, int stride_b, int size, int splits, REAL slope) {
    int batch = blockIdx.z / splits, split = blockIdx.z % splits;
    int begin, end;
    share(depth, split, splits, &begin, &end);
    Matrix<A_ALONG_K, VECTOR_A> left = {a + (long long)batch * stride_a, pitch_a, rows, end};
    Matrix<B_ALONG_K, VECTOR_B> right = {b + (long long)batch * stride_b, pitch_b, columns, end};
    Result result = {c + (long long)split * size + (long long)batch * rows * columns, bias, rows, columns,
                     splits == 1, slope};
    tile_product(left, right, result, begin, end);
}
