// Adam and the moving average of weights, over all parameters of a network at once, in one pass over memory.
//
// What changes from step to step lies on the device, where a captured CUDA graph finds it: `steps`, how many steps have
// been taken, and `lr_scale`, a factor of the learning rate. The host's part is the same arithmetic in kernels/optim.py.

// Before a step: count it, and work out what all parameters share, rates = {lr / (1 - b1^t), (1 - b2^t)^(-1/2)}; one thread.
extern "C" __global__ void begin_adam(int* steps, const double* lr_scale, double* rates, double lr, double b1, double b2) {
    double t = *steps += 1;
    rates[0] = lr * *lr_scale / (1 - pow(b1, t));
    rates[1] = 1 / sqrt(1 - pow(b2, t));
}

// m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= rates[0] m / (sqrt(v) rates[1] + eps)
extern "C" __global__ void __launch_bounds__(256) adam(REAL* p, const REAL* g, REAL* m, REAL* v, const double* rates, int size,
                                                       double b1, double b2, double eps) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size)
        return;
    REAL first = (REAL)b1 * m[i] + (REAL)(1 - b1) * g[i], second = (REAL)b2 * v[i] + (REAL)(1 - b2) * g[i] * g[i];
    m[i] = first;
    v[i] = second;
    p[i] -= (REAL)rates[0] * first / (sqrt(second) * (REAL)rates[1] + (REAL)eps);
}

// Before an update of the average: count it, and its rate 1 - d with d at most (1 + t) / (10 + t) at first; one thread.
extern "C" __global__ void begin_average(int* steps, double* rates, double decay) {
    double t = *steps;
    rates[0] = 1 - min(decay, (1 + t) / (10 + t));
    *steps += 1;
}

// a += (1 - d) (p - a)
extern "C" __global__ void __launch_bounds__(256) moving_average(REAL* a, const REAL* p, const double* rates, int size) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < size)
        a[i] += (REAL)rates[0] * (p[i] - a[i]);
}
