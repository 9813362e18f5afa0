// The convolution trio as implicit matrix products: three faces of one trilinear form.
//
//     T(x, w, y) = sum over n,i,j,u,v,c,o of x[n, i*s+u-p, j*s+v-p, c] * w[u,v,c,o] * y[n,i,j,o]
//
// Nothing is lowered in memory. Each face is C[m, n] = sum over k of A[m, k] * B[k, n] (tile.cu) with A read through two
// tables, the positions (n, i, j) and the taps (u, v, channel), whose entries add up to a place in an image:
//
//     face              A[m, k]                     m             n   k             naive loop
//     conv2d            x at position m, tap k      (n, i, j)     o   (u, v, c)     y[n,i,j,o] += x[...] * w[u,v,c,o]
//     conv_transpose2d  y at position m, tap k      (n, h, w)     c   (u, v, o)     x[n,h,w,c] += y[...] * w[u,v,c,o]
//     conv2d_weight     x at position k, tap m      (u, v, c)     o   (n, i, j)     w[u,v,c,o] += x[...] * y[n,i,j,o]
//
// A strided transposed convolution falls apart into s*s classes (parities): h+p = i*s+u says that a row h meets only the
// taps u = (h+p) mod s, mod s. Each class is a dense smaller convolution, and no multiplication is by a stuffed zero.
//
//     position: {place of image + (row * width + column) * channels, row, column, place in the result}
//     tap:      {(du * width + dv) * channels + channel, du, dv, place in w}
//     class:    {first position, positions, first tap, taps}
//
// blockIdx.z = class * splits + split: which class, and which part of k.

struct Image {
    const REAL* data;
    int height, width;
    // The element that a position and a tap meet in, or null in the padding.
    __device__ const REAL* at(int4 position, int4 tap) const {
        bool inside = (unsigned)(position.y + tap.y) < (unsigned)height && (unsigned)(position.z + tap.z) < (unsigned)width;
        return inside ? data + (position.x + tap.x) : nullptr;
    }
};

struct PositionsByTaps {        // A of conv2d and conv_transpose2d
    static const bool ALONG_K = true;
    static const int VECTOR = VECTOR_A;
    Image image;
    const int4 *positions, *taps;
    int rows, end;
    __device__ const REAL* at(int m, int k) const {
        return m < rows && k < end ? image.at(positions[m], taps[k]) : nullptr;
    }
};

struct TapsByPositions {        // A of conv2d_weight
    static const bool ALONG_K = false;
    static const int VECTOR = VECTOR_A;
    Image image;
    const int4 *positions, *taps;
    int rows, end;
    __device__ const REAL* at(int m, int k) const {
        return m < rows && k < end ? image.at(positions[k], taps[m]) : nullptr;
    }
};

struct WeightOutputs {          // B of conv2d: w[tap, o]
    static const bool ALONG_K = false;
    static const int VECTOR = VECTOR_B;
    const REAL* data;
    const int4* taps;
    int columns, end;
    __device__ const REAL* at(int n, int k) const {
        return n < columns && k < end ? data + taps[k].w + n : nullptr;
    }
};

struct WeightInputs {           // B of conv_transpose2d: w[tap, c], whose neighbours are those of the tap's o
    static const bool ALONG_K = true;
    static const int VECTOR = VECTOR_B;
    const REAL* data;
    const int4* taps;
    int columns, end, outputs;
    __device__ const REAL* at(int n, int k) const {
        return n < columns && k < end ? data + taps[k].w + n * outputs : nullptr;
    }
};

struct Outputs {                // B of conv2d_weight: y[position, o]
    static const bool ALONG_K = false;
    static const int VECTOR = VECTOR_B;
    const REAL* data;
    int columns, end;
    __device__ const REAL* at(int n, int k) const {
        return n < columns && k < end ? data + (long long)k * columns + n : nullptr;
    }
};

struct ToPositions {            // the result of conv2d and conv_transpose2d, finished, or a part of it in the workspace
    REAL* data;
    const REAL* bias;
    const int4* positions;
    int rows, columns, whole;
    REAL slope;
    __device__ void store(int m, int n, REAL value) const {
        if (m < rows && n < columns)
            data[positions[m].w + n] = whole ? activated(value, bias, n, slope) : value;
    }
};

struct ToTaps {                 // the result of conv2d_weight
    REAL* data;
    int rows, columns;
    __device__ void store(int m, int n, REAL value) const {
        if (m < rows && n < columns)
            data[(long long)m * columns + n] = value;
    }
};

// (n, h, w, c) * (kh, kw, c, o) -> (n, i, j, o)
extern "C" __global__ void __launch_bounds__(THREADS) conv2d(
        const REAL* x, const REAL* w, const REAL* bias, REAL* y, const int4* positions, const int4* taps, const int4* classes,
        int height, int width, int outputs, int size, int splits, REAL slope) {
    int4 part = classes[0];
    int begin, end, split = blockIdx.z;
    share(part.w, split, splits, &begin, &end);
    PositionsByTaps a = {{x, height, width}, positions, taps, part.y, end};
    WeightOutputs b = {w, taps, outputs, end};
    ToPositions c = {y + (long long)split * size, bias, positions, part.y, outputs, splits == 1, slope};
    tile_product(a, b, c, begin, end);
}

// (n, i, j, o) * (kh, kw, c, o) -> (n, h, w, c)
extern "C" __global__ void __launch_bounds__(THREADS) conv_transpose2d(
        const REAL* y, const REAL* w, const REAL* bias, REAL* x, const int4* positions, const int4* taps, const int4* classes,
        int height, int width, int inputs, int outputs, int size, int splits, REAL slope) {
    int4 part = classes[blockIdx.z / splits];
    if ((int)blockIdx.x * TILE >= part.y)
        return;                 // classes differ in size, and the grid fits the largest
    int begin, end, split = blockIdx.z % splits;
    share(part.w, split, splits, &begin, &end);
    PositionsByTaps a = {{y, height, width}, positions + part.x, taps + part.z, part.y, end};
    WeightInputs b = {w, taps + part.z, inputs, end, outputs};
    ToPositions c = {x + (long long)split * size, bias, positions + part.x, part.y, inputs, splits == 1, slope};
    tile_product(a, b, c, begin, end);
}

// (n, h, w, c) * (n, i, j, o) -> (kh, kw, c, o)
extern "C" __global__ void __launch_bounds__(THREADS) conv2d_weight(
        const REAL* x, const REAL* y, REAL* w, const int4* positions, const int4* taps, const int4* classes,
        int height, int width, int outputs, int size, int splits) {
    int4 part = classes[0];
    int begin, end, split = blockIdx.z;
    share(part.y, split, splits, &begin, &end);
    TapsByPositions a = {{x, height, width}, positions, taps, part.w, end};
    Outputs b = {y, outputs, end};
    ToTaps c = {w + (long long)split * size, part.w, outputs};
    tile_product(a, b, c, begin, end);
}
