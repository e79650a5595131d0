/**
 * The `count` largest numbers of a row, their columns, and Σ exp(x - largest); x [_, width], out [_, 2 count + 1]. A unit
 * is a row.
 *
 * The row is read three times, and stays in the cache: for the largest of each block, for the sum, and for the numbers
 * themselves, of which only blocks are looked at whose largest is among the `count` largest of all blocks.
 */
constexpr size_t kTopBlock = 64;
constexpr size_t kTopBlocks = kThreadScratch / sizeof(uint32_t);

/** Whole numbers in the order of the floats they stand for; both zeros are one. */
RWKV_INLINE uint32_t order_of(float x) {
  x = x + 0.0f;
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/** The order of the `count`th largest; 0, which is below all, where there are not so many. */
static uint32_t order_of_rank(const uint32_t* orders, size_t blocks, size_t count) {
  if (blocks < count) return 0;
  uint32_t found = 0;
  for (int bit = 31; bit >= 0; bit--) {
    const uint32_t tried = found | (1u << bit);
    uint32_t above = 0;
    for (size_t block = 0; block < blocks; block++) above += orders[block] >= tried;
    if (above >= count) found = tried;
  }
  return found;
}

/** In the order of size, of equal ones in the order of columns; `columns` are as floats, exact below 2^24. */
struct Largest {
  float* numbers;
  float* columns;
  size_t count;
  size_t found = 0;

  RWKV_INLINE void take(float x, size_t column) {
    if (found == count && !(x > numbers[count - 1])) return;
    size_t at = found < count ? found++ : count - 1;
    for (; at > 0 && numbers[at - 1] < x; at--) {
      numbers[at] = numbers[at - 1];
      columns[at] = columns[at - 1];
    }
    numbers[at] = x;
    columns[at] = static_cast<float>(column);
  }
};

static float largest_of(const float* x, size_t size) {
  F most = broadcast(-INFINITY);
  size_t c = 0;
  for (; c + kLanes <= size; c += kLanes) most = max(load(x + c), most);
  float number = largest(most);
  for (; c < size; c++) number = x[c] > number ? x[c] : number;
  return number;
}

/** 0 where a number is NaN: block by block, so that small numbers are not lost beside a large sum. */
static double mass_of(const float* x, size_t width, float most) {
  const F top = broadcast(most);
  double total = 0;
  for (size_t start = 0; start < width; start += kTopBlock) {
    const size_t size = width - start < kTopBlock ? width - start : kTopBlock;
    total += sum_columns(size, [&](size_t c, auto lanes) RWKV_LAMBDA_INLINE {
      return lanes.inside(exp_vector(lanes.read(x + start + c) - top));
    });
  }
  return total >= 1 ? total : 0;
}

void top_k(const TopKArgs& args, const Step&, Range units, uint8_t* scratch) {
  const size_t width = args.width, count = args.count;
  auto* const orders = reinterpret_cast<uint32_t*>(scratch);
  size_t block = kTopBlock;
  while ((width + block - 1) / block > kTopBlocks) block *= 2;
  const size_t blocks = (width + block - 1) / block;
  const auto size_of = [&](size_t b) { return width - b * block < block ? width - b * block : block; };
  for (size_t r = units.begin; r < units.end; r++) {
    const float* x = args.x.row(r);
    float* out = args.out.row(r);
    float most = -INFINITY;
    for (size_t b = 0; b < blocks; b++) {
      const float own = largest_of(x + b * block, size_of(b));
      orders[b] = order_of(own);
      most = own > most ? own : most;
    }
    out[2 * count] = ::fabsf(most) < INFINITY ? static_cast<float>(mass_of(x, width, most)) : 0.0f;
    const uint32_t least = order_of_rank(orders, blocks, count);
    Largest best{out, out + count, count};
    for (size_t b = 0; b < blocks; b++) {
      if (orders[b] < least) continue;
      const float* part = x + b * block;
      const size_t size = size_of(b);
      for (size_t c = 0; c < size; c++) {
        if (order_of(part[c]) >= least) best.take(part[c], b * block + c);
      }
    }
    for (; best.found < count; best.found++) out[best.found] = out[count + best.found] = 0;
  }
}
