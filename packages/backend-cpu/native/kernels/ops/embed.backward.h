/**
 * Of out[t] = table[token[t]]: dtable[token[t]] += dout[t]. dout [T, width], dtable [V, width]. A unit is a block of
 * columns, which sees all rows in their order, so that rows of one token are added in that order whoever does it.
 */
void embed_backward(const EmbedBackwardArgs& args, const Step& step, Range units) {
  const size_t begin = units.begin * kEmbedColumns;
  const size_t end = units.end * kEmbedColumns < args.width ? units.end * kEmbedColumns : args.width;
  if (begin >= end) return;
  for (size_t t = 0; t < step.tokens; t++) {
    const float* dout = args.dout.row(t) + begin;
    float* dtable = args.dtable + step.token_ids[t] * static_cast<size_t>(args.width) + begin;
    for_columns(end - begin, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      give(lanes, dtable + c, lanes.read(dout + c), true);
    });
  }
}
