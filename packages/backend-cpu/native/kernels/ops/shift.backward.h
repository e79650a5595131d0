/**
 * Of shift, with dstate the gradient of the state after the step:
 *
 *   dx[t] = dout[t + 1] within a sequence;   at its last token dx = dstate
 *
 * dout, dx [T, C]; dstate [slots, C]. Rows read the next row's dout, which must be complete. The state before the step
 * has the gradient dout of the sequence's first token; who knows that all rows are done writes it there.
 */
void shift_backward(const ShiftBackwardArgs& args, const Step& step, Range rows) {
  if (rows.begin >= rows.end) return;
  uint32_t s = sequence_of(step, rows.begin);
  for (size_t t = rows.begin; t < rows.end; t++) {
    while (t >= step.starts[s + 1]) s++;
    const bool is_last = t + 1 == step.starts[s + 1];
    float* dx = args.dx.rows.row(t);
    if (!is_last && !args.dout) {
      if (!args.dx.add) memset(dx, 0, args.width * sizeof(float));
      continue;
    }
    const float* from = is_last ? args.dstate.slot(step.slots[s]) : args.dout.row(t + 1);
    for_columns(args.width, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      give(lanes, dx + c, lanes.read(from + c), args.dx.add);
    });
  }
}
