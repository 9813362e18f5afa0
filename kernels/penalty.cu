// The sums of a gradient penalty: one number a sample, over all other axes; and the forms that differentiate it.
//
//     T(s, a, b) = sum over n, m of s[n] a[n, m] b[n, m]
//
// row_dots = dT/ds, scale_rows = dT/da: one trilinear form again. With a logit l[n] and a sign t[n] for each sample the
// sums carry Roth's weight: sigma(t l)^2 * sum over m of a b. One block adds one row, in one pass over memory, each thread
// its own columns and then a tree of fixed shape, so that one seed gives one result.

const int ROW_THREADS = 256;

extern __shared__ __align__(16) unsigned char shared[];

// out[n] = before[n] + weight[n] * sum over m of a[n, m] b[n, m]; before, and logits with signs, may be missing (0, and 1).
extern "C" __global__ void __launch_bounds__(ROW_THREADS) row_dots(const REAL* a, const REAL* b, const REAL* logits,
                                                                   const REAL* signs, const REAL* before, REAL* out, int columns) {
    long long first = (long long)blockIdx.x * columns;
    REAL sum = 0;
    for (int m = threadIdx.x; m < columns; m += ROW_THREADS)
        sum += a[first + m] * b[first + m];
    REAL* sums = (REAL*)shared;
    sums[threadIdx.x] = sum;
    for (int half = ROW_THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half)
            sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0) {
        REAL weight = 1;
        if (logits) {
            REAL sigma = 1 / (1 + exp(-logits[blockIdx.x] * signs[blockIdx.x]));
            weight = sigma * sigma;
        }
        out[blockIdx.x] = (before ? before[blockIdx.x] : 0) + weight * sums[0];
    }
}

// out[n, m] = s[n] * x[n, m]
extern "C" __global__ void __launch_bounds__(ROW_THREADS) scale_rows(const REAL* x, const REAL* s, REAL* out, int size,
                                                                     int columns) {
    int i = blockIdx.x * ROW_THREADS + threadIdx.x;
    if (i < size)
        out[i] = x[i] * s[i / columns];
}
