"""The mutants of tests/mutation.py that no test can notice, looked at one by one: {(file, the altered line): why}."""

REASONS = {
    "the same number: the function is symmetric in what was exchanged, or the sign is squared, or is +1 or -1": {
        "ldf_np/norm.py": [
            "return kernel.normalize_vjp_x(g, h, y, r, _over_ranks())",
            "lambda h, _, g, x, **saved: _normalize_vjp_x(g, h, x, **saved))"],
        "ldf_np/ops.py": [
            "sigma = sigmoid(((logits) / (sign)))",
            "_softplus_mean_vjp.defvjp(lambda h, _, g, logits, sign: sum(h * sigmoid(((logits) / (sign)))) * "
            "(sign / logits.size),"],
        "ldf_np/penalty.py": [
            "return c * norms * (1 - sigma) * (((2) / (signs)))",
            "return mean(square(((1.0) - (sqrt(norms + 1e-12)))))      # the root stays away from 0"],
        "ldf_np/losses.py": [
            "return (mean(square(((1.0) - (real)))) + mean(square(fake))) * 0.5",
            "difference = ((reconstruction) - (x))"]},
    "the same draws: a counter never equals the one that it follows, and the parity of i + kept is that of i - kept": {
        "kernels/random.cu": [
            "u64 c0 = block, c1 = block <= state[2] ? 1 : 0, c2 = 0, c3 = 0;",
            "unsigned bits = i < kept ? (unsigned)state[4] : (unsigned)(word(state, state[3] + (i - kept) / 2) >> (i + kept) "
            "% 2 * 32);"]},
    "any mark beside the 32 bits that are kept says that they are; without one they are lost where all are 0, once in 2^32": {
        "kernels/random.cu": [
            "state[4] = fresh % 2 ? (word(state, state[3] + words - 1) >> 32) - (1ull << 32) : 0;",
            "state[4] = fresh % 2 ? (word(state, state[3] + words - 1) >> 32) + (1ull >> 32) : 0;",
            "state[4] = fresh % 2 ? (word(state, state[3] + words - 1) >> 32) + (1ull << 33) : 0;"]},
    "the metric is symmetric and commutes with the covariance": {
        "ldf_np/losses.py": [
            "return (metric * np.sqrt(values.sum() / np.trace(((covariance) @ (metric)) @ metric.T).clip(1e-12)))"
            ".astype(np.float32)",
            "return (metric * np.sqrt(values.sum() / np.trace(metric @ covariance @ metric).clip(1e-12)))"
            ".astype(np.float32)"]},
    "the same sum by another way, at most more slowly": {
        "ldf_np/engine.py": [
            "if len(shape) == 1 and (x.ndim >= 1) and x.shape[-1] == shape[0] and x.size:",
            "if len(shape) == 1 and x.ndim > 2 and x.shape[-1] == shape[0] and x.size:"],
        "ldf_np/ops.py": [
            "return (g * _slopes(of, slope) if on_device(g, of.data) else elementwise.leaky_relu_vjp(g, of.data, slope))"],
        "kernels/norm.py": [
            "order = sorted(range(x.ndim), key=lambda k: (x.strides[k]))",
            "means = np.stack([channel_sum(a) for a in arrays]) / (arrays[1].size // arrays[0].shape[-1])"]},
    "at 0 both branches have the same value": {
        "kernels/elementwise.cu": [
            "y[i] = value >= 0 ? value : slope * value;",
            "sum += (x >= 0 ? x : 0) + log1p(exp(x > 0 ? -x : x));",
            "sum += (x > 0 ? x : 0) + log1p(exp(x >= 0 ? -x : x));",
            "REAL x = sign * l[i], e = exp(x >= 0 ? -x : x);",
            "out[i] = g[0] * sign * (x >= 0 ? 1 : e) / (1 + e) / size;"],
        "kernels/tile.cu": ["return value >= 0 ? value : slope * value;"]},
    "one more slab is fetched: beyond the end come zeros, or the same slab comes twice": {
        "kernels/tile.cu": [
            "const int steps = (end + begin + DEPTH - 1) / DEPTH;",
            "const int steps = (end - begin + DEPTH + 1) / DEPTH;",
            "for (int step = 0; step <= STAGES - 1; step++) {",
            "if (ahead <= steps) {"]},
    "the first row, or chunk, takes the place of what the sum began with": {
        "kernels/norm.cu": ["REAL count = 0, mean = 1, square = 0;", "REAL count = 0, middle = 1, square = 0;"]},
    "the rows, or the elements, are cut into other blocks, some perhaps empty, or an array is longer than it has to be": {
        "kernels/random.cu": ["u64 four[5] = {c0, c1, c2, c3};"],
        "kernels/tile.cu": [
            "float sums[2][5][4] = {};",
            "REAL sums[8][5] = {};",
            "int slabs = (length + DEPTH + 1) / DEPTH, each = (slabs + splits - 1) / splits * DEPTH;",
            "int slabs = (length + DEPTH - 1) * DEPTH, each = (slabs + splits - 1) / splits * DEPTH;",
            "int slabs = (length + DEPTH - 1) / DEPTH, each = (slabs + splits + 1) / splits * DEPTH;",
            "int slabs = (length + DEPTH - 1) / DEPTH, each = (slabs + splits - 1) * splits * DEPTH;"],
        "kernels/norm.cu": [
            "int channel = blockIdx.y * CHANNELS + threadIdx.x, chunk = (rows + gridDim.x + 1) / gridDim.x;",
            "int channel = blockIdx.y * CHANNELS + threadIdx.x, chunk = (rows + gridDim.x - 1) * gridDim.x;",
            "int channel = blockIdx.y * CHANNELS + threadIdx.x, chunk = (rows + gridDim.x - 1) / gridDim.y;",
            "REAL sums[6] = {};"],
        "kernels/norm.py": [
            'parts, _ = _over_rows("column_sums", [x], 2)',
            "grid = min(CHUNKS, cuda.blocks(4 * LANES, rows)) or 1, cuda.blocks(channels, CHANNELS)",
            "grid = min(CHUNKS, cuda.blocks(rows, 5 * LANES)) or 1, cuda.blocks(channels, CHANNELS)",
            "grid = min(CHUNKS, cuda.blocks(rows, 4 * LANES)) or 2, cuda.blocks(channels, CHANNELS)",
            'parts, x = _over_rows("moments", [x], 4)',
            'cuda.launch("norm.cu", "join_moments", (256,), (cuda.blocks(channels, 256),), (parts, mean, var, '
            "np.int32(len(parts)), np.int32(channels)), REAL=cuda.real(x))",
            'parts, g, y, h = _over_rows("products", [g, y, h[0] if h else None], 6)']},
    "blocks that have nothing to do are let in: what they would store is outside, and that is looked at again": {
        "kernels/conv.cu": ["if ((int)blockIdx.x * TILE > part.y)"]},
    "NumPy takes any negative number for the axis that is to be found": {
        "kernels/norm.py": [
            "sums = x.transpose(order).reshape(-2, inner)                        # (a * c, b)",
            "return np.ones(sums.size // x.shape[-1], x.dtype) @ sums.reshape(-2, x.shape[-1]) if before else "
            "sums.reshape(-1)",
            "return np.ones(sums.size // x.shape[-1], x.dtype) @ sums.reshape(-1, x.shape[-1]) if before else "
            "sums.reshape(-2)"]},
    "a value that is not used: it is multiplied by 0, or an error follows": {
        "kernels/norm.cu": ["REAL a = g[i], b = y[i], c = h ? h[i] : 1;"],
        "ldf_np/ops.py": [
            "return 2 if isinstance(b, (int, float)) and b == 0 else b - 1",
            'channels = (_shape("maxout", x) or (2,))[-1]'],
        "ldf_np/conv.py": ["return arguments if arguments[-2] is not None else arguments[:-1]"]},
}
EXPLAINED = {(file, line): why for why, files in REASONS.items() for file, lines in files.items() for line in lines}
