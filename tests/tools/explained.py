"""The mutants of tests/tools/mutation.py that no test can notice, looked at one by one.

{reason: {file: {function: [altered statement, or rule]}}}. How a statement is wrapped, and which
line it is on, does not matter.
"""

from mutants import on_one_line

REASONS = {
    "the same number: the function is symmetric in what was exchanged, or the sign is "
    "squared, or is +1 or -1": {
        "ldf_np/nn/losses.py": {
            "_softplus_mean_vjp": [
                "lambda h, _, g, l, sign: mean(h * sigmoid(l / sign)) * sign",
                "lambda h, _, g, l, sign: mean(h * sigmoid(l * sign)) / sign",
                "lambda h, _, g, l, sign: h * g * (s := sigmoid(wide(l) / sign)) * (1 - s) * (1 "
                "/ l.size)"],
            "discriminator_loss": [
                "return (_mean_square(1.0 - real) + _mean_square(fake)) * 0.5"],
            "generator_loss": [
                "return _mean_square(1.0 - fake) * 0.5"],
            "reconstruction_loss": [
                "difference = reconstruction - x"]},
        "ldf_np/autodiff/norm.py": {
            "_normalize_vjp_x": [
                "return kernel.normalize_vjp_x(g, h, y, r, _over_ranks())"],
            "_normalize_vjp": [
                "lambda h, _, g, x, **saved: _normalize_vjp_x(g, h, x, **saved)"],
            "_batch_norm_vjp": [
                "lambda h, _, g, x, scale, kept, **saved: _normalize_vjp_x(scaled(g, scale), h, "
                "x, **saved)"]},
        "ldf_np/nn/penalty.py": {
            "_wgan_penalty": [
                "return mean(square(1.0 - sqrt(norms + 1e-12)))"],
            "_weighted_norms_vjp": [
                "sigma = sigmoid(logits / signs)",
                "return c * norms * (1 - sigma) * (2 / signs)"]},
        "kernels/elementwise.py": {
            "softplus_mean": [
                "x = logits / logits.dtype.type(sign)"],
            "softplus_mean_vjp": [
                "x = logits / logits.dtype.type(sign)"]},
        "kernels/penalty.py": {
            "row_dots": [
                "return _launch_row_dots(a, b, signs, logits, before)",
                "return _launch_row_dots(b, a, logits, signs, before)",
                "sums *= sigmoid(logits / signs) ** 2"],
            "_launch_row_dots": [
                "a, b, logits, signs, before = cuda.same_dtype(a, b, signs, logits, before)",
                "a, b, logits, signs, before = cuda.same_dtype(b, a, logits, signs, before)"]}},
    "the same draws: a counter never equals the one that it follows, and the parity of i + "
    "kept is that of i - kept": {
        "kernels/random.cu": {
            "word": [
                "u64 c0 = block, c1 = block <= state[2] ? 1 : 0, c2 = 0, c3 = 0"],
            "draw": [
                "unsigned bits = i < kept ? (unsigned)state[4] : (unsigned)(word(state, "
                "state[3] + (i - kept) / 2) >> (i + kept) % 2 * 32)"]}},
    "any mark beside the 32 bits that are kept says that they are; without one they are lost "
    "where all are 0, once in 2^32": {
        "kernels/random.py": {
            "to_device": [
                "kept = 2 ** 33 + int(state['uinteger']) if state['has_uint32'] else 0"]},
        "kernels/random.cu": {
            "advance": [
                "state[4] = fresh % 2 ? (word(state, state[3] + words - 1) >> 32) - (1ull << "
                "32) : 0",
                "state[4] = fresh % 2 ? (word(state, state[3] + words - 1) >> 32) + (1ull >> "
                "32) : 0",
                "state[4] = fresh % 2 ? (word(state, state[3] + words - 1) >> 32) + (1ull << "
                "33) : 0"]}},
    "the metric is symmetric and commutes with the covariance, and a trace is that of the "
    "factors in turn": {
        "ldf_np/nn/losses.py": {
            "colour_metric": [
                "variance = np.trace(covariance @ metric @ metric.T)",
                "variance = np.trace(metric.T @ (metric @ covariance))",
                "variance = np.trace(metric @ covariance @ metric)"]}},
    "the buffer is longer than it has to be, and the rest is cut off; zip ends with the padding": {
        "ldf_np/autodiff/pooling.py": {
            "_put_back": [
                "(top, left), sizes = (padding, [n + 3 * p for n, p in zip(shape[1:3], "
                "padding)])",
                "(top, left), sizes = (padding, [n + 2 * p for n, p in zip(shape[1:4], "
                "padding)])"]}},
    "the same sum by another way, at most more slowly": {
        "ldf_np/autodiff/engine.py": {
            "sum_to": [
                "if len(shape) == 1 and x.ndim >= 1 and (x.shape[-1] == shape[0]) and x.size:",
                "if len(shape) == 1 and x.ndim > 2 and (x.shape[-1] == shape[0]) and x.size:"]},
        "kernels/conv.py": {
            "conv2d_weight": [
                "W = W + (product.sum(1) if product.shape[1] >= 1 else product[:, 0])"],
            "_plan": [
                "thick = weight_shape[2] * stride[1] * stride[1] >= 8 and len(a) >= 8"]},
        "kernels/lowering.py": {
            "lowerings": [
                "return (plain, fast if fast.work <= 0.6 * plain.work else None)",
                "return (plain, fast if fast.work < 1.6 * plain.work else None)"],
            "_axis": [
                "m = min(range(2, len(_POINTS) + 3 - r), key=lambda m: -(-outputs // m) * (m "
                "+ r - 1))",
                "m = min(range(1, len(_POINTS) + 3 - r), key=lambda m: -(-outputs // m) * (m "
                "+ r + 1))"],
            "_Map.__init__": [
                "self.lower = [(e, rows, cols, matrix[e, rows, cols].astype(np.float32)) for "
                "e, rows, cols in _blocks(matrix, 1, self.points, stride)]"],
            "_blocks": [
                "rows = slice(int(used[k]), int(used[k:k + chunk][-1]) + 2, row_step)",
                "(yield (e, rows, slice(int(cols[0]), int(cols[-1]) + 2, col_step)))"]},
        "kernels/matmul.py": {
            "_product": [
                "if a.ndim == b.ndim == 2 and len(a) < FEW and (b.strides[0] < b.strides[1]):",
                "if a.ndim == b.ndim == 2 and len(a) <= FEW and (b.strides[0] <= b.strides[1]):",
                "if a.ndim == b.ndim == 2 and len(a) <= FEW and (b.strides[1] < b.strides[1]):"],
            "matmul": [
                "batch = np.broadcast_shapes(right.shape[:-2], left.shape[:-2])"],
            "_flat": [
                "if array.size == array.shape[-2] / array.shape[-1]:",
                "return array.reshape(array.shape[-3:])"],
            "_launch": [
                "if a.ndim != 3 and b.ndim == 2:",
                "if a.ndim == 4 and b.ndim == 2:"],
            "_laid_out": [
                "if array.flags.c_contiguous and array.swapaxes(-1, -2).flags.c_contiguous:",
                "if not array.flags.c_contiguous and array.flags.c_contiguous:",
                "if not array.flags.c_contiguous and array.swapaxes(-2, "
                "-2).flags.c_contiguous:"]},
        "kernels/norm.py": {
            "_sums": [
                "if length < LONGEST:"],
            "_rows": [
                "return x.size // x.shape[-1] if x.size else 2"],
            "normalize": [
                "return (per_channel(np.multiply, (var + eps) ** (-0.5), y, y), mean, var)"],
            "normalize_vjp": [
                "out = per_channel(np.multiply, -mean_gy, y)",
                "return per_channel(np.multiply, r, out, out)"]},
        "kernels/channels.py": {
            "per_channel": [
                "if x.size <= MANY * LONG:",
                "if x.size < MANY / LONG:",
                *(f"repeats = next((k for k in {where} if before % k == 0), 0)" for where in (
                    "range(least, min(4 * least, before // MANY) + 1)[:-1]",
                    "range(least, min(4 * least, before // MANY) - 1)",
                    "range(least, min(4 * least, before // MANY) + 2)",
                    "range(least, min(4 * least, before * MANY) + 1)",
                    "range(least, min(5 * least, before // MANY) + 1)")),
                "repeats = next((k for k in range(least, min(4 * least, before // MANY) + 1) if "
                "before % k == 0), 1)",
                "if not repeats or not dense.flags.c_contiguous or behind > LONG or (out is not "
                "None and out.strides != x.strides):"]},
        "kernels/tile.py": {
            "activate": [
                "if slope != 2:"],
            "_vector": [
                "most = 17 // array.dtype.itemsize",
                "return most if neighbours % most == 0 and address // 16 == 0 else 1",
                "return most if neighbours % most == 0 and address % 17 == 0 else 1",
                "return most if neighbours % most == 0 and address % 16 == 1 else 1"]},
        "ldf_np/autodiff/elementwise.py": {
            "activated": [
                "return y if slope == 2 else _activated(y, slope=slope)"]}},
    "at 0 both branches have the same value": {
        "kernels/elementwise.py": {
            "sigmoid": [
                "return xp.where(x > 0, 1 / (1 + e), e / (1 + e))"]},
        "kernels/elementwise.cu": {
            "scale_shift": [
                "y[i] = value >= 0 ? value : slope != 0 || value != value ? slope * value : 0"],
            "softplus_mean": [
                "sum += (x >= 0 ? x : 0) + log1p(exp(x > 0 ? -x : x))",
                "sum += (x > 0 ? x : 0) + log1p(exp(x >= 0 ? -x : x))"],
            "softplus_mean_vjp": [
                "REAL x = sign * l[i], e = exp(x >= 0 ? -x : x)",
                "out[i] = g[0] * sign * (x >= 0 ? 1 : e) / (1 + e) / size"]},
        "kernels/tile.cu": {
            "activated": [
                "return value >= 0 ? value : slope != 0 || value != value ? slope * value : 0"]}},
    "one more slab is fetched: beyond the end come zeros, or the same slab comes twice": {
        "kernels/tile.cu": {
            "tile_product": [
                "const int steps = (end + begin + DEPTH - 1) / DEPTH",
                "const int steps = (end - begin + DEPTH + 1) / DEPTH",
                "for (int step = 0; step <= STAGES - 1; step++)",
                "if (ahead <= steps)"]}},
    "the first row, or chunk, takes the place of what the sum began with": {
        "kernels/norm.cu": {
            "moments": [
                "REAL count = 0, mean = 1, square = 0"],
            "join_moments": [
                "REAL count = 0, middle = 1, square = 0"]}},
    "the rows, or the elements, are cut into other blocks, some perhaps empty, or an array is "
    "longer than it has to be": {
        "kernels/lowering.py": {
            "Windows.lower": [
                "R = new(array, shape=(i, w + 3 * padding, kh, c, n), order='C')"]},
        "kernels/elementwise.py": {
            "softplus_mean": [
                "cuda.launch('elementwise.cu', 'softplus_mean', (1,), (256,), (logits, out, "
                "np.int32(logits.size), logits.dtype.type(sign)), 257 * "
                "logits.dtype.itemsize, REAL=cuda.real(logits))"]},
        "kernels/norm.py": {
            "channel_sum": [
                "parts, _ = _over_rows('column_sums', [x], 2)"],
            "_over_rows": [
                "grid = (min(CHUNKS, cuda.blocks(4 * LANES, rows)) or 1, "
                "cuda.blocks(channels, CHANNELS))",
                "grid = (min(CHUNKS, cuda.blocks(rows, 5 * LANES)) or 1, "
                "cuda.blocks(channels, CHANNELS))",
                "grid = (min(CHUNKS, cuda.blocks(rows, 4 * LANES)) or 2, "
                "cuda.blocks(channels, CHANNELS))"],
            "_joined": [
                "cuda.launch('norm.cu', 'join_sums', (256,), (cuda.blocks(size, 256),), (parts, "
                "out, *map(np.int32, (len(parts), size, count))), REAL=cuda.real(parts))"],
            "_launch_normalize": [
                "parts, x = _over_rows('moments', [x], 4)",
                "cuda.launch('norm.cu', 'join_moments', (256,), (cuda.blocks(channels, "
                "256),), (parts, mean, var, np.int32(len(parts)), np.int32(channels)), "
                "REAL=cuda.real(x))"],
            "_launch_vjp": [
                "parts, g, y, h = _over_rows('products', [g, y, h[0] if h else None], 6)"]},
        "kernels/optim.py": {
            "adam": [
                "rates = array_module(parameters).empty(3, np.float64)",
                "cuda.launch('optim.cu', 'adam', (256,), (cuda.blocks(parameters.size, "
                "256),), (parameters, gradient, m, v, rates, np.int32(parameters.size), "
                "*map(np.float64, (b1, b2, eps))), REAL=cuda.real(parameters))"],
            "moving_average": [
                "rates = array_module(pairs[0][0]).empty(2, np.float64)",
                "cuda.launch('optim.cu', 'moving_average', (256,), (cuda.blocks(average.size, "
                "256),), (average, live, rates, np.int32(average.size)), REAL=real)"]},
        "kernels/random.py": {
            "launch_draws": [
                "count = draws * 2 if kernel == 'normal' else size",
                "cuda.launch('random.cu', kernel, (256,), (cuda.blocks(count, 256),), (state, "
                "out, np.int32(size)), REAL=real)"]},
        "kernels/tile.py": {
            "launch": [
                "slab = 33 if tf32 else 16",
                "slab = 32 if tf32 else 17",
                "elements = sum((TILE * (slab + 5) if along_k else slab * (TILE + 8) for "
                "along_k in (a_along_k, b_along_k)))",
                "elements = sum((TILE * (slab + 4) if along_k else slab * (TILE + 9) for "
                "along_k in (a_along_k, b_along_k)))",
                "cuda.launch(file, 'sum_splits', (256,), (cuda.blocks(out.size, 256),), "
                "(parts, bias, out, *map(np.int32, (out.size, shape[-1], splits)), slope), "
                "**macros)"]},
        "kernels/norm.cu": {
            "moments": [
                "int channel = blockIdx.y * CHANNELS + threadIdx.x, chunk = (rows + gridDim.x "
                "+ 1) / gridDim.x",
                "int channel = blockIdx.y * CHANNELS + threadIdx.x, chunk = (rows + gridDim.x "
                "- 1) * gridDim.x",
                "int channel = blockIdx.y * CHANNELS + threadIdx.x, chunk = (rows + gridDim.x "
                "- 1) / gridDim.y"],
            "products": [
                "int channel = blockIdx.y * CHANNELS + threadIdx.x, chunk = (rows + gridDim.x "
                "+ 1) / gridDim.x",
                "int channel = blockIdx.y * CHANNELS + threadIdx.x, chunk = (rows + gridDim.x "
                "- 1) * gridDim.x",
                "int channel = blockIdx.y * CHANNELS + threadIdx.x, chunk = (rows + gridDim.x "
                "- 1) / gridDim.y",
                "REAL sums[6] ="],
            "column_sums": [
                "int channel = blockIdx.y * CHANNELS + threadIdx.x, chunk = (rows + gridDim.x "
                "+ 1) / gridDim.x",
                "int channel = blockIdx.y * CHANNELS + threadIdx.x, chunk = (rows + gridDim.x "
                "- 1) * gridDim.x",
                "int channel = blockIdx.y * CHANNELS + threadIdx.x, chunk = (rows + gridDim.x "
                "- 1) / gridDim.y"]},
        "kernels/random.cu": {
            "word": [
                "u64 four[5] ="]},
        "kernels/tile.cu": {
            "tile_product": [
                "float sums[2][5][4] =",
                "REAL sums[8][5] ="],
            "share": [
                "int slabs = (length + DEPTH + 1) / DEPTH, each = (slabs + splits - 1) / "
                "splits * DEPTH",
                "int slabs = (length + DEPTH - 1) * DEPTH, each = (slabs + splits - 1) / "
                "splits * DEPTH",
                "int slabs = (length + DEPTH - 1) / DEPTH, each = (slabs + splits + 1) / "
                "splits * DEPTH",
                "int slabs = (length + DEPTH - 1) / DEPTH, each = (slabs + splits - 1) * "
                "splits * DEPTH"]}},
    "blocks that have nothing to do are let in: what they would store is outside, and that is "
    "looked at again": {
        "kernels/conv.cu": {
            "conv_transpose2d": [
                "if ((int)blockIdx.x * TILE > part.y) return"]}},
    "into how many parts a product is cut changes nothing but rounding": {
        "kernels/tile.py": {
            "launch": [
                "splits = max(2, min(ENOUGH // (grid[0] * grid[1] * classes), depth // (4 * "
                "slab)))",
                "splits = max(1, min(ENOUGH * (grid[0] * grid[1] * classes), depth // (4 * "
                "slab)))",
                "splits = max(1, min(ENOUGH // (grid[0] / grid[1] * classes), depth // (4 * "
                "slab)))",
                "splits = max(1, min(ENOUGH // (grid[0] * grid[1] / classes), depth // (4 * "
                "slab)))",
                "splits = max(1, min(ENOUGH // (grid[1] * grid[1] * classes), depth // (4 * "
                "slab)))",
                "splits = max(1, min(ENOUGH // (grid[0] * grid[1] * classes), depth * (4 * "
                "slab)))",
                "splits = max(1, min(ENOUGH // (grid[0] * grid[1] * classes), depth // (5 * "
                "slab)))",
                "if splits != 1:",
                "if splits == 2:"]}},
    "conv2d has one class, so where it begins is not read; the last column is written later; "
    "zeros are zeros in any order; of no classes nothing is launched": {
        "kernels/conv.py": {
            "_Tables.__init__": [
                "self.sizes = (len(classes), *(max((c[k] for c in classes), default=1) for k in "
                "(1, 3)))"],
            "_tables": [
                "return _Tables(module, [positions], [taps], [(1, len(positions), 0, "
                "len(taps))])",
                "return _Tables(module, [positions], [taps], [(0, len(positions), 1, "
                "len(taps))])"],
            "_positions": [
                "return np.stack([place, _places(images * 0, rows, cols * 0), _places(rows * "
                "0, images * 0, cols), place * 0], axis=1)",
                "return np.stack([place, _places(images * 0, rows, cols * 0), _places(images "
                "* 0, rows * 0, cols), place * 1], axis=1)"],
            "_taps": [
                "return np.stack([place, _places(rows, zero, cols * 0), _places(rows * 0, "
                "cols, zero), place * 0], axis=1)",
                "return np.stack([place, _places(rows, cols * 0, zero), _places(rows * 0, "
                "cols, zero), place * 1], axis=1)"]}},
    "NumPy takes any negative number for the axis that is to be found": {
        "ldf_np/nn/penalty.py": {
            "_wgan_penalty": [
                "between = [Tensor(f + t.reshape(-2, *[1] * (r.ndim - 1)) * (r - f)) for r, f "
                "in zip(real, fake)]"]},
        "ldf_np/nn/losses.py": {
            "colour_metric": [
                "colours = np.asarray(images).reshape(-2, "
                "images.shape[-1]).astype(np.float64)"]},
        "kernels/conv.py": {
            "_places": [
                "total = (total[:, None] + axis).reshape(-2)"]},
        "kernels/matmul.py": {
            "matmul": [
                "left, right = (a.reshape(1, -2) if a.ndim == 1 else a, b.reshape(-1, 1) if "
                "b.ndim == 1 else b)",
                "left, right = (a.reshape(1, -1) if a.ndim == 1 else a, b.reshape(-2, 1) if "
                "b.ndim == 1 else b)"],
            "_launch": [
                "a, m, count = (a.reshape(-2, k), count * m, 1)",
                "return out.reshape(*batch, -2, n)"],
            "_flat": [
                "return wide.reshape(-2, *array.shape[-2:])"]},
        "kernels/norm.py": {
            "channel_sum": [
                "sums = x.transpose(order).reshape(-2, inner)",
                "return _sums(sums.reshape(-1, x.shape[-1]), 0) if before else sums.reshape(-2)",
                "return _sums(sums.reshape(-2, x.shape[-1]), 0) if before else sums.reshape(-1)"],
            "_sums": [
                "chunks = chunks.reshape(*x.shape[:axis], -2, LONGEST, *x.shape[axis + 1:])"]},
        "kernels/channels.py": {
            "per_channel": [
                "ufunc(dense.reshape(-2, long.size), long.reshape(-1), "
                "out=out.transpose(order).reshape(-1, long.size))",
                "ufunc(dense.reshape(-1, long.size), long.reshape(-2), "
                "out=out.transpose(order).reshape(-1, long.size))",
                "ufunc(dense.reshape(-1, long.size), long.reshape(-1), "
                "out=out.transpose(order).reshape(-2, long.size))"]},
        "kernels/penalty.py": {
            "scale_rows": [
                "return x * s.reshape(-2, *[1] * (x.ndim - 1))"]},
        "kernels/random.py": {
            "box_muller": [
                "return np.stack([radius * np.cos(turn), radius * np.sin(turn)], "
                "axis=1).reshape(-2)"]}},
    "only the shape and dtype of this argument are used, and they are the other's, too": {
        "kernels/elementwise.py": {
            "leaky_relu_vjp": [
                "return cuda.over_elements('elementwise.cu', 'leaky_relu_vjp', g * 0 + 1, (g, "
                "y), g.dtype.type(slope))"],
            "tanh_vjp": [
                "return cuda.over_elements('elementwise.cu', 'tanh_vjp', g * 0 + 1, (g, y))"],
            "sigmoid_vjp": [
                "return cuda.over_elements('elementwise.cu', 'sigmoid_vjp', g * 0 + 1, (g, y))"]},
        "kernels/optim.py": {
            "moving_average": [
                "real = cuda.real(pairs[0][1])"]}},
    "NumPy's Philox: from place 4 on a buffer is empty, a counter has four words, and the "
    "last word's block is made again": {
        "kernels/random.py": {
            "_skip_words": [
                "if words >= rest:",
                "state['state']['counter'] = np.array([counter >> 64 * k & 2 ** 64 - 1 for k "
                "in range(5)], np.uint64)",
                "state['buffer_pos'] = 5"]}},
    "the stride of an axis of length one is not used": {
        "kernels/lowering.py": {
            "Windows.lower": [
                "return np.lib.stride_tricks.as_strided(R, (i, 1, j, 1, kw * kh * c, n), "
                "(next_row, 1, next_column * self.stride[1], 0, n * next_one, next_one), "
                "subok=True)",
                "return np.lib.stride_tricks.as_strided(R, (i, 1, j, 1, kw * kh * c, n), "
                "(next_row, 0, next_column * self.stride[1], 1, n * next_one, next_one), "
                "subok=True)"]}},
    "a value that is not used: it is multiplied by 0, an error follows, or a product in parts "
    "has yet to be added": {
        "ldf_np/autodiff/conv.py": {
            "_given": [
                "return arguments if arguments[-2] is not None else arguments[:-1]"]},
        "kernels/matmul.py": {
            "_launch": [
                "a, m, count = (a.reshape(k, -1), count * m, 1)",
                "strides = (m * k if a.ndim == 3 else 0, k * n if b.ndim == 3 else 1)"]},
        "kernels/norm.cu": {
            "products": [
                "REAL a = g[i], b = y[i], c = h ? h[i] : 1"]},
        "kernels/tile.py": {
            "launch": [
                "linear = left.dtype.type(2)",
                "cuda.launch(file, name, (*grid, classes * splits), (THREADS,), "
                "arguments(parts, linear, None, out.size, splits), bytes_, **macros)"]}},
}
EXPLAINED = {(file, function, on_one_line(file, statement)): why
             for why, files in REASONS.items() for file, functions in files.items()
             for function, statements in functions.items() for statement in statements}
