// What is done element by element between the products, each chain in one pass over memory, and the softplus losses.

extern __shared__ __align__(16) unsigned char shared[];

// y = leaky(x * scale[c] + shift[c]): the scale and shift of a normalisation, and its activation (slope 1: none).
extern "C" __global__ void __launch_bounds__(256) scale_shift(const REAL* x, const REAL* scale, const REAL* shift, REAL* y,
                                                              int size, int channels, REAL slope) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size)
        return;
    REAL value = x[i] * scale[i % channels] + shift[i % channels];
    y[i] = value > 0 ? value : slope != 0 || value != value ? slope * value : 0;     // 0 * infinity is NaN
}

// The derivatives of the activations, from their results y: g * (y > 0 ? 1 : slope), g * (1 - y^2), g * y * (1 - y).
extern "C" __global__ void __launch_bounds__(256) leaky_relu_vjp(const REAL* g, const REAL* y, REAL* out, int size, REAL slope) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < size)
        out[i] = y[i] > 0 ? g[i] : slope != 0 ? slope * g[i] : 0;
}

extern "C" __global__ void __launch_bounds__(256) tanh_vjp(const REAL* g, const REAL* y, REAL* out, int size) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < size)
        out[i] = g[i] * (1 - y[i] * y[i]);
}

extern "C" __global__ void __launch_bounds__(256) sigmoid_vjp(const REAL* g, const REAL* y, REAL* out, int size) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < size)
        out[i] = g[i] * y[i] * (1 - y[i]);
}

// out[0] = sum over n of softplus(sign * l[n]) / size, with softplus(x) = max(x, 0) + log1p(exp(-|x|)); one block.
extern "C" __global__ void __launch_bounds__(256) softplus_mean(const REAL* l, REAL* out, int size, REAL sign) {
    REAL sum = 0;
    for (int i = threadIdx.x; i < size; i += 256) {
        REAL x = sign * l[i];
        sum += (x > 0 ? x : 0) + log1p(exp(x > 0 ? -x : x));
    }
    REAL* sums = (REAL*)shared;
    sums[threadIdx.x] = sum;
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half)
            sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0)
        out[0] = sums[0] / size;
}

// out[n] = g[0] * sign * sigma(sign * l[n]) / size
extern "C" __global__ void __launch_bounds__(256) softplus_mean_vjp(const REAL* g, const REAL* l, REAL* out, int size, REAL sign) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size)
        return;
    REAL x = sign * l[i], e = exp(x > 0 ? -x : x);
    out[i] = g[0] * sign * (x > 0 ? 1 : e) / (1 + e) / size;
}
