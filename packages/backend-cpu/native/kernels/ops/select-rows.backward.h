/**
 * Of out[r] = x[wanted[r]]: dx[wanted[r]] = dout[r], and zero elsewhere. dout [R, width], dx [T, width]. A unit is a
 * row of dx.
 */

/** The first wanted row at token t or later. */
RWKV_INLINE uint32_t first_wanted_from(const Step& step, size_t t) {
  uint32_t low = 0;
  uint32_t high = step.wanted;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (step.wanted_rows[middle] < t) low = middle + 1;
    else high = middle;
  }
  return low;
}

void select_rows_backward(const SelectRowsBackwardArgs& args, const Step& step, Range rows) {
  uint32_t wanted = first_wanted_from(step, rows.begin);
  for (size_t t = rows.begin; t < rows.end; t++) {
    float* dx = args.dx.rows.row(t);
    if (wanted == step.wanted || step.wanted_rows[wanted] != t) {
      if (!args.dx.add) memset(dx, 0, args.width * sizeof(float));
      continue;
    }
    const float* dout = args.dout.row(wanted++);
    for_columns(args.width, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      give(lanes, dx + c, lanes.read(dout + c), args.dx.add);
    });
  }
}
