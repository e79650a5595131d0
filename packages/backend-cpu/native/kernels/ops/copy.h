/** out = x; x, out [_, width], rows at different strides. A unit is a row. */
void copy(const CopyArgs& args, const Step&, Range units, uint8_t*) {
  for (size_t t = units.begin; t < units.end; t++) memcpy(args.out.row(t), args.x.row(t), args.width * sizeof(float));
}
