/** What follows a product: bias, activation, gate and residual, on kLanes rows of W for one token. */

/** Rows of W from `row` on: `count` of them, at most kLanes, are inside the matrix. */
RWKV_INLINE void linear_epilogue(const LinearArgs& args, size_t token, size_t row, size_t count, F sum) {
  const bool whole = count >= static_cast<size_t>(kLanes);
  const auto read = [&](const float* p) RWKV_LAMBDA_INLINE { return whole ? load(p) : load_partial(p, count); };
  F value = sum;
  if (args.bias) value = value + read(args.bias + row);
  if (args.activation != Activation::none) value = activate_vector(value, args.activation);
  if (args.gate) value = value * read(args.gate.row(token) + row);
  if (args.residual) value = value + read(args.residual.row(token) + row);
  float* out = args.out.row(token) + row;
  if (whole) store(out, value);
  else store_partial(out, value, count);
}
