/**
 * Of out[t, b] = Σ_a x[t, a] m[t, a·B + b]:
 *
 *   dx[t, a] = Σ_b dout[t, b] m[t, a·B + b];   dm[t, a·B + b] = x[t, a] dout[t, b]
 *
 * x, dx [T, A]; m, dm [T, A·B]; dout [T, B].
 */
void row_matmul_backward(const RowMatmulBackwardArgs& args, const Step&, Range rows) {
  const size_t width = args.width;
  for (size_t t = rows.begin; t < rows.end; t++) {
    const float* dout = args.dout.row(t);
    float* dx = row_of(args.dx, t);
    float* dm = row_of(args.dm, t);
    for (size_t a = 0; a < args.inputs; a++) {
      const float* m = args.m.row(t) + a * width;
      const F x = broadcast(args.x.row(t)[a]);
      if (dx) {
        const float gradient = sum_columns(width, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
          return lanes.read(dout + c) * lanes.read(m + c);
        });
        dx[a] = args.dx.add ? dx[a] + gradient : gradient;
      }
      if (!dm) continue;
      for_columns(width, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
        give(lanes, dm + a * width + c, x * lanes.read(dout + c), args.dm.add);
      });
    }
  }
}
