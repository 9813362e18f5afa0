// Batch normalisation over all axes but the last: x is (rows, channels).
//
//     mean_c = sum_m x_mc / M,   var_c = sum_m (x_mc - mean_c)^2 / M,   y = (x - mean) r   with   r = (var + eps)^(-1/2)
//
// The naive loops are those sums. The fast version reads x twice, once for the statistics and once for y: a block of 32
// channels x 8 lanes walks down a chunk of rows; the lanes of a channel are joined in shared memory, the chunks by the
// kernel that uses them, both always in the same order. Backwards, with <a> the mean of a over the rows:
//
//     gx = r (g - <g> - y <g y>)                                                  the cotangent of x
//     x' = -r^2 [(h - <h>) <g y> + (g - <g>) <h y> + y (<h g> - <h> <g> - 3 <h y> <g y>)]      that of x in <h, gx>

const int CHANNELS = 32, LANES = 8;

extern __shared__ __align__(16) unsigned char shared[];

// Means and sums of squares about them of two sets of numbers, joined (Chan et al. 1979).
__device__ void join(REAL* count, REAL* mean, REAL* square, REAL other_count, REAL other_mean, REAL other_square) {
    REAL total = *count + other_count;
    if (total == 0)
        return;
    REAL apart = other_mean - *mean;
    *mean += apart * (other_count / total);
    *square += other_square + apart * apart * (*count * other_count / total);
    *count = total;
}

// parts (chunks, 3, channels): the count, the mean and the sum of squares about it of each chunk of rows.
extern "C" __global__ void __launch_bounds__(256) moments(const REAL* x, REAL* parts, int rows, int channels) {
    int channel = blockIdx.y * CHANNELS + threadIdx.x, chunk = (rows + gridDim.x - 1) / gridDim.x;
    int end = min(rows, (int)(blockIdx.x + 1) * chunk);
    REAL count = 0, mean = 0, square = 0;
    if (channel < channels)
        for (int m = blockIdx.x * chunk + threadIdx.y; m < end; m += LANES) {
            REAL value = x[(long long)m * channels + channel];
            count += 1;
            REAL apart = value - mean;
            mean += apart / count;
            square += apart * (value - mean);
        }
    REAL* lanes = (REAL*)shared;        // (3, LANES, CHANNELS)
    REAL* own = lanes + threadIdx.y * CHANNELS + threadIdx.x;
    own[0] = count;
    own[LANES * CHANNELS] = mean;
    own[2 * LANES * CHANNELS] = square;
    __syncthreads();
    if (threadIdx.y == 0 && channel < channels) {
        for (int k = 1; k < LANES; k++)
            join(&count, &mean, &square, own[k * CHANNELS], own[(LANES + k) * CHANNELS], own[(2 * LANES + k) * CHANNELS]);
        REAL* part = parts + (long long)blockIdx.x * 3 * channels + channel;
        part[0] = count;
        part[channels] = mean;
        part[2 * channels] = square;
    }
}

// mean (channels,) and var (channels,) from the chunks' parts.
extern "C" __global__ void __launch_bounds__(256) join_moments(const REAL* parts, REAL* mean, REAL* var, int chunks,
                                                               int channels) {
    int channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= channels)
        return;
    REAL count = 0, middle = 0, square = 0;
    for (int k = 0; k < chunks; k++) {
        const REAL* part = parts + (long long)k * 3 * channels + channel;
        join(&count, &middle, &square, part[0], part[channels], part[2 * channels]);
    }
    mean[channel] = middle;
    var[channel] = square / count;
}

extern "C" __global__ void __launch_bounds__(256) normalize(const REAL* x, const REAL* mean, const REAL* var, REAL* y,
                                                            int size, int channels, REAL eps) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < size)
        y[i] = (x[i] - mean[i % channels]) / sqrt(var[i % channels] + eps);
}

// parts (chunks, 5, channels): sums over a chunk of rows of g, g y and, where there is an h, of h, h y and h g.
extern "C" __global__ void __launch_bounds__(256) products(const REAL* g, const REAL* y, const REAL* h, REAL* parts, int rows,
                                                           int channels) {
    int channel = blockIdx.y * CHANNELS + threadIdx.x, chunk = (rows + gridDim.x - 1) / gridDim.x;
    int end = min(rows, (int)(blockIdx.x + 1) * chunk);
    REAL sums[5] = {};
    if (channel < channels)
        for (int m = blockIdx.x * chunk + threadIdx.y; m < end; m += LANES) {
            long long i = (long long)m * channels + channel;
            REAL a = g[i], b = y[i], c = h ? h[i] : 0;
            sums[0] += a;
            sums[1] += a * b;
            sums[2] += c;
            sums[3] += c * b;
            sums[4] += c * a;
        }
    REAL* lanes = (REAL*)shared;        // (5, LANES, CHANNELS)
    REAL* own = lanes + threadIdx.y * CHANNELS + threadIdx.x;
    for (int s = 0; s < 5; s++)
        own[s * LANES * CHANNELS] = sums[s];
    __syncthreads();
    if (threadIdx.y == 0 && channel < channels)
        for (int s = 0; s < 5; s++) {
            REAL sum = 0;
            for (int k = 0; k < LANES; k++)
                sum += own[(s * LANES + k) * CHANNELS];
            parts[((long long)blockIdx.x * 5 + s) * channels + channel] = sum;
        }
}

// parts (chunks, channels): sums over a chunk of rows.
extern "C" __global__ void __launch_bounds__(256) column_sums(const REAL* x, REAL* parts, int rows, int channels) {
    int channel = blockIdx.y * CHANNELS + threadIdx.x, chunk = (rows + gridDim.x - 1) / gridDim.x;
    int end = min(rows, (int)(blockIdx.x + 1) * chunk);
    REAL sum = 0;
    if (channel < channels)
        for (int m = blockIdx.x * chunk + threadIdx.y; m < end; m += LANES)
            sum += x[(long long)m * channels + channel];
    REAL* lanes = (REAL*)shared;        // (LANES, CHANNELS)
    REAL* own = lanes + threadIdx.y * CHANNELS + threadIdx.x;
    *own = sum;
    __syncthreads();
    if (threadIdx.y == 0 && channel < channels) {
        for (int k = 1; k < LANES; k++)
            sum += own[k * CHANNELS];
        parts[(long long)blockIdx.x * channels + channel] = sum;
    }
}

// The chunks' parts (chunks, size) added, and divided by `count`.
extern "C" __global__ void __launch_bounds__(256) join_sums(const REAL* parts, REAL* out, int chunks, int size, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size)
        return;
    REAL sum = 0;
    for (int k = 0; k < chunks; k++)
        sum += parts[(long long)k * size + i];
    out[i] = sum / count;
}

extern "C" __global__ void __launch_bounds__(256) normalize_vjp(const REAL* g, const REAL* y, const REAL* r, const REAL* means,
                                                                REAL* gx, int size, int channels) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, c = i % channels;
    if (i < size)
        gx[i] = r[c] * (g[i] - means[c] - y[i] * means[channels + c]);
}

extern "C" __global__ void __launch_bounds__(256) normalize_vjp_x(const REAL* h, const REAL* g, const REAL* y, const REAL* r,
                                                                  const REAL* means, REAL* out, int size, int channels) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, c = i % channels;
    if (i >= size)
        return;
    REAL mean_g = means[c], mean_gy = means[channels + c];
    REAL mean_h = means[2 * channels + c], mean_hy = means[3 * channels + c], mean_hg = means[4 * channels + c];
    out[i] = -r[c] * r[c] * ((h[i] - mean_h) * mean_gy + (g[i] - mean_g) * mean_hy
                             + y[i] * (mean_hg - mean_h * mean_g - 3 * mean_hy * mean_gy));
}
