/** out[r] = x[wanted[r]]; x [T, width], out [R, width]. A unit is a wanted row. */
void select_rows(const SelectRowsArgs& args, const Step& step, Range units, uint8_t*) {
  for (size_t r = units.begin; r < units.end; r++) {
    memcpy(args.out.row(r), args.x.row(step.wanted_rows[r]), args.width * sizeof(float));
  }
}
