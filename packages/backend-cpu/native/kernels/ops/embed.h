/**
 * out[t] = table[token[t]], or, where `by_input`, the embedding vector that the batch gives for t.
 * table [V, C] packed, out [T, C]. A unit is a token.
 */

/** Index of the first given embedding at token t or later. */
RWKV_INLINE uint32_t first_embedding_from(const Step& step, size_t t) {
  uint32_t low = 0;
  uint32_t high = step.embeddings;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (step.embedding_at[middle] < t) low = middle + 1;
    else high = middle;
  }
  return low;
}

void embed(const EmbedArgs& args, const Step& step, Range units, uint8_t*) {
  const size_t width = args.table.columns;
  uint32_t given = args.by_input ? first_embedding_from(step, units.begin) : step.embeddings;
  for (size_t t = units.begin; t < units.end; t++) {
    float* out = args.out.row(t);
    if (given < step.embeddings && step.embedding_at[given] == t) {
      memcpy(out, step.embedding_vectors + given * width, width * sizeof(float));
      given++;
    } else {
      unpack_row(args.table, step.token_ids[t], out);
    }
  }
}
