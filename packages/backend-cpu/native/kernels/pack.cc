/**
 * Between the layout of files (rows of GGML blocks) and panels of 16 rows (pack.h); pack-columns.cc has the columns.
 *
 * Every part of a panel is a transpose of 16 rows, mostly of 32-bit words: four bytes of quants belong to four columns that
 * stay together. What else there is to do (nibbles of k formats, fifth and sixth bits) is done to 16 words at once after the
 * transpose, in loops over the rows that the compiler turns into vectors.
 *
 * Over 400 lines because both directions of all formats are read together.
 */
#include "pack.h"

#include <cstring>
#include <initializer_list>

namespace rwkv {
namespace {

constexpr uint32_t kBlock = 32;
constexpr uint32_t kSuperBlock = 256;
constexpr uint32_t kBlocksOfSuper = kSuperBlock / kBlock;

/** One 32-bit word of each of the 16 rows. */
using Words = uint32_t[kPanelRows];

struct FileBlock {
  uint32_t columns;
  uint32_t bytes;
};

constexpr FileBlock kFileBlocks[kFormats] = {
    {1, 4},   {1, 2},   {1, 2},          // f32, f16, bf16
    {32, 34}, {32, 18}, {32, 20},        // q8_0, q4_0, q4_1
    {32, 22}, {32, 24},                  // q5_0, q5_1
    {256, 144}, {256, 176}, {256, 210},  // q4_k, q5_k, q6_k
};

constexpr FileBlock file_block(Format format) { return kFileBlocks[static_cast<int>(format)]; }

constexpr size_t padded(size_t bytes) { return (bytes + 63) / 64 * 64; }

template <class Number>
Number read(const uint8_t* p) {
  Number number;
  memcpy(&number, p, sizeof number);
  return number;
}

/** The same file block of 16 rows; rows beyond the matrix read zeros, whose scales of zero make every product zero. */
struct Source {
  const uint8_t* at[kPanelRows];
  size_t step[kPanelRows];

  Source(const uint8_t* first_row, size_t row_bytes, size_t rows, size_t block_bytes) {
    alignas(64) static const uint8_t zeros[kSuperBlock] = {};
    for (size_t r = 0; r < kPanelRows; ++r) {
      at[r] = r < rows ? first_row + r * row_bytes : zeros;
      step[r] = r < rows ? block_bytes : 0;
    }
  }

  void advance() {
    for (size_t r = 0; r < kPanelRows; ++r) at[r] += step[r];
  }
};

/** out[n][r] = number n of row r, from `offset` bytes into the block. */
template <class Number>
void transpose(const Source& source, size_t offset, size_t count, uint8_t* out) {
  for (size_t r = 0; r < kPanelRows; ++r) {
    const uint8_t* from = source.at[r] + offset;
    uint8_t* to = out + r * sizeof(Number);
    for (size_t n = 0; n < count; ++n) {
      memcpy(to + n * kPanelRows * sizeof(Number), from + n * sizeof(Number), sizeof(Number));
    }
  }
}

void store_words(uint8_t* out, const Words& words) { memcpy(out, words, sizeof words); }

template <class Number>
void pack_plain(Source source, size_t count, uint8_t* out) {
  constexpr size_t kChunk = 64 / sizeof(Number);
  size_t n = 0;
  for (; n + kChunk <= count; n += kChunk) {
    transpose<Number>(source, 0, kChunk, out + n * kPanelRows * sizeof(Number));
    source.advance();
  }
  transpose<Number>(source, 0, count - n, out + n * kPanelRows * sizeof(Number));
}

/** The last column of an odd number of columns, whose neighbour is zero. */
void pack_last_bf16(const Source& source, size_t offset, uint8_t* out) {
  Words words;
  for (size_t r = 0; r < kPanelRows; ++r) {
    words[r] = source.step[r] == 0 ? 0 : read<uint16_t>(source.at[r] + offset);
  }
  store_words(out, words);
}

/** Byte c, bit g of the result is bit 4 g + c of `bits`. */
uint32_t spread_fifths(uint32_t bits) {
  uint32_t result = 0;
  for (uint32_t c = 0; c < 4; ++c) {
    uint32_t every_fourth = (bits >> c) & 0x11111111u;
    every_fourth = (every_fourth | every_fourth >> 3) & 0x03030303u;
    every_fourth = (every_fourth | every_fourth >> 6) & 0x000f000fu;
    result |= ((every_fourth | every_fourth >> 12) & 0xffu) << 8 * c;
  }
  return result;
}

void pack_q8_0(Source source, size_t blocks, const PanelLayout& layout, uint8_t* out) {
  for (size_t block = 0; block < blocks; ++block) {
    Words words[8];
    transpose<uint16_t>(source, 0, 1, out + layout.scales + block * 32);
    transpose<uint32_t>(source, 2, 8, reinterpret_cast<uint8_t*>(words));
    for (Words& group : words) {
      for (uint32_t& word : group) word ^= 0x80808080u;
    }
    memcpy(out + layout.quants + block * sizeof words, words, sizeof words);
    source.advance();
  }
}

/** q4_0, q4_1, q5_0, q5_1: files pair column j with j + 16 in a byte as panels do. */
template <bool kMins, bool kFifths>
void pack_small(Source source, size_t blocks, const PanelLayout& layout, uint8_t* out) {
  constexpr size_t kScaleBytes = kMins ? 4 : 2;
  for (size_t block = 0; block < blocks; ++block) {
    transpose<uint16_t>(source, 0, 1, out + layout.scales + block * 32);
    if (kMins) transpose<uint16_t>(source, 2, 1, out + layout.mins + block * 32);
    if (kFifths) {
      Words fifths;
      transpose<uint32_t>(source, kScaleBytes, 1, reinterpret_cast<uint8_t*>(fifths));
      for (uint32_t& word : fifths) word = spread_fifths(word);
      store_words(out + layout.upper + block * 64, fifths);
    }
    transpose<uint32_t>(source, kScaleBytes + (kFifths ? 4 : 0), 4, out + layout.quants + block * 256);
    source.advance();
  }
}

struct SixBits {
  uint8_t scale, min;
};

/** The scale and minimum of block `index` out of the twelve bytes of 6-bit numbers of q4_k and q5_k. */
SixBits six_bits(const uint8_t* bytes, uint32_t index) {
  if (index < 4) return {static_cast<uint8_t>(bytes[index] & 63), static_cast<uint8_t>(bytes[index + 4] & 63)};
  const uint8_t low = bytes[index + 4];
  return {static_cast<uint8_t>((low & 15) | (bytes[index - 4] >> 6) << 4),
          static_cast<uint8_t>(low >> 4 | (bytes[index] >> 6) << 4)};
}

/** Nibbles of one block out of the file's words of 32 bytes, in their low (shift 0) or high half (4). */
void store_nibbles(const Words* words, uint32_t shift, uint8_t* out) {
  Words nibbles[4];
  for (uint32_t j = 0; j < 4; ++j) {
    for (uint32_t r = 0; r < kPanelRows; ++r) {
      nibbles[j][r] = (words[j][r] >> shift & 0x0f0f0f0fu) | (words[j + 4][r] >> shift & 0x0f0f0f0fu) << 4;
    }
  }
  memcpy(out, nibbles, sizeof nibbles);
}

template <bool kFifths>
void pack_k(Source source, size_t supers, const PanelLayout& layout, uint8_t* out) {
  for (size_t super = 0; super < supers; ++super) {
    const size_t first = super * kBlocksOfSuper;
    transpose<uint16_t>(source, 0, 1, out + layout.scales + super * 32);
    transpose<uint16_t>(source, 2, 1, out + layout.mins + super * 32);
    for (uint32_t r = 0; r < kPanelRows; ++r) {
      for (uint32_t b = 0; b < kBlocksOfSuper; ++b) {
        const SixBits both = six_bits(source.at[r] + 4, b);
        out[layout.block_scales + (first + b) * kPanelRows + r] = both.scale;
        out[layout.block_mins + (first + b) * kPanelRows + r] = both.min;
      }
    }
    Words words[8];
    if (kFifths) {
      transpose<uint32_t>(source, 16, 8, reinterpret_cast<uint8_t*>(words));
      for (uint32_t b = 0; b < kBlocksOfSuper; ++b) {
        Words fifths = {};
        for (uint32_t g = 0; g < 8; ++g) {
          for (uint32_t r = 0; r < kPanelRows; ++r) fifths[r] |= (words[g][r] >> b & 0x01010101u) << g;
        }
        store_words(out + layout.upper + (first + b) * 64, fifths);
      }
    }
    for (uint32_t pair = 0; pair < 4; ++pair) {
      transpose<uint32_t>(source, (kFifths ? 48 : 16) + pair * 32, 8, reinterpret_cast<uint8_t*>(words));
      uint8_t* nibbles = out + layout.quants + (first + pair * 2) * 256;
      store_nibbles(words, 0, nibbles);
      store_nibbles(words, 4, nibbles + 256);
    }
    source.advance();
  }
}

void pack_q6_k(Source source, size_t supers, const PanelLayout& layout, uint8_t* out) {
  for (size_t super = 0; super < supers; ++super) {
    const size_t first = super * kBlocksOfSuper;
    transpose<uint16_t>(source, 208, 1, out + layout.scales + super * 32);
    transpose<uint8_t>(source, 192, 16, out + layout.block_scales + first * 32);
    for (uint32_t half = 0; half < 2; ++half) {
      Words low[16], upper[8];
      transpose<uint32_t>(source, half * 64, 16, reinterpret_cast<uint8_t*>(low));
      transpose<uint32_t>(source, 128 + half * 32, 8, reinterpret_cast<uint8_t*>(upper));
      for (uint32_t part = 0; part < 4; ++part) {
        const size_t block = first + half * 4 + part;
        store_nibbles(low + (part & 1) * 8, part < 2 ? 0 : 4, out + layout.quants + block * 256);
        Words sixths[2] = {};
        for (uint32_t g = 0; g < 8; ++g) {
          for (uint32_t r = 0; r < kPanelRows; ++r) {
            sixths[g / 4][r] |= (upper[g][r] >> 2 * part & 0x03030303u) << 2 * (g & 3);
          }
        }
        memcpy(out + layout.upper + block * 128, sixths, sizeof sixths);
      }
    }
    source.advance();
  }
}

float float_of_bits(uint32_t bits) {
  float number;
  memcpy(&number, &bits, sizeof number);
  return number;
}

/** Exact; subnormal halves are normal as f32, and a NaN becomes quiet as processors make it. */
float half_at(const uint8_t* p) {
  const uint32_t half = read<uint16_t>(p);
  const uint32_t sign = (half & 0x8000u) << 16;
  const uint32_t exponent = half >> 10 & 31u, mantissa = half & 0x3ffu;
  if (exponent == 31) return float_of_bits(sign | 0x7f800000u | (mantissa ? 0x400000u : 0u) | mantissa << 13);
  if (exponent != 0) return float_of_bits(sign | (exponent + 112u) << 23 | mantissa << 13);
  const float magnitude = static_cast<float>(mantissa) * float_of_bits(0x33800000u);
  return sign ? -magnitude : magnitude;
}

/** Row `r` of the panel at `panel`: unsigned quant of column `c` in block `block`. */
int quant_at(Format format, const PanelLayout& layout, const uint8_t* panel, size_t block, uint32_t c, uint32_t r) {
  const uint32_t g = c / 4, lane = r * 4 + c % 4;
  if (format == Format::q8_0) return panel[layout.quants + block * 512 + g * 64 + lane];
  const uint8_t nibbles = panel[layout.quants + block * 256 + (g & 3) * 64 + lane];
  const int low = g < 4 ? nibbles & 15 : nibbles >> 4;
  if (format == Format::q6_k) {
    return low | (panel[layout.upper + block * 128 + g / 4 * 64 + lane] >> 2 * (g & 3) & 3) << 4;
  }
  return layout.upper ? low | (panel[layout.upper + block * 64 + lane] >> g & 1) << 4 : low;
}

constexpr int offset_of(Format format) {
  return format == Format::q8_0   ? 128
         : format == Format::q4_0 ? 8
         : format == Format::q5_0 ? 16
         : format == Format::q6_k ? 32
                                  : 0;
}

/** Scale and what is added; products of a scale and a whole number are exact, so that a number is rounded once. */
struct Line {
  float scale, add;
};

Line line_of(Format format, const PanelLayout& layout, const uint8_t* panel, size_t block, uint32_t half, uint32_t r) {
  const size_t super = block / kBlocksOfSuper;
  const bool k = format >= Format::q4_k;
  const size_t at = (k ? super : block) * 32 + r * 2;
  const float d = half_at(panel + layout.scales + at);
  if (format == Format::q6_k) {
    return {d * static_cast<float>(static_cast<int8_t>(panel[layout.block_scales + block * 32 + half * 16 + r])), 0};
  }
  const float m = layout.mins ? half_at(panel + layout.mins + at) : 0;
  if (!k) return {d, m};
  return {d * static_cast<float>(panel[layout.block_scales + block * kPanelRows + r]),
          -(m * static_cast<float>(panel[layout.block_mins + block * kPanelRows + r]))};
}

void unpack_block_row(const PackedMatrix& matrix, const PanelLayout& layout, const uint8_t* panel, uint32_t r, float* out) {
  const int offset = offset_of(matrix.format);
  for (uint32_t start = 0; start < matrix.columns; start += 16) {
    const size_t block = start / kBlock;
    const uint32_t within = start % kBlock;
    const Line line = line_of(matrix.format, layout, panel, block, within / 16, r);
    for (uint32_t c = 0; c < 16; ++c) {
      const int q = quant_at(matrix.format, layout, panel, block, within + c, r) - offset;
      const float product = static_cast<float>(q) * line.scale;
      // Adding 0 would lose the sign of a zero.
      out[start + c] = layout.mins ? product + line.add : product;
    }
  }
}

/** A part that does not fill its last 64 bytes leaves zeros, so that the same file always packs to the same bytes. */
void clear_padding(const PanelLayout& layout, uint8_t* out) {
  for (const size_t next : {layout.mins, layout.block_scales, layout.block_mins, layout.quants, layout.panel_bytes}) {
    if (next != 0) memset(out + next - 64, 0, 64);
  }
}

}  // namespace

PanelLayout panel_layout(Format format, uint32_t columns) {
  const size_t blocks = columns / kBlock, supers = columns / kSuperBlock;
  PanelLayout layout{};
  size_t end = 0;
  const auto place = [&end](size_t bytes) {
    const size_t at = end;
    end += padded(bytes);
    return at;
  };
  const bool k = format >= Format::q4_k;
  switch (format) {
    case Format::f32:
      place(size_t{columns} * 64);
      break;
    case Format::f16:
      place(size_t{columns} * 32);
      break;
    case Format::bf16:
      place((size_t{columns} + 1) / 2 * 64);
      break;
    default:
      layout.scales = place((k ? supers : blocks) * 32);
      if (format == Format::q4_1 || format == Format::q5_1) layout.mins = place(blocks * 32);
      if (format == Format::q4_k || format == Format::q5_k) {
        layout.mins = place(supers * 32);
        layout.block_scales = place(blocks * kPanelRows);
        layout.block_mins = place(blocks * kPanelRows);
      }
      if (format == Format::q6_k) layout.block_scales = place(blocks * 2 * kPanelRows);
      layout.quants = place(blocks * (format == Format::q8_0 ? 512 : 256));
      if (format == Format::q5_0 || format == Format::q5_1 || format == Format::q5_k) layout.upper = place(blocks * 64);
      if (format == Format::q6_k) layout.upper = place(blocks * 128);
  }
  layout.panel_bytes = end;
  return layout;
}

size_t packed_bytes(Format format, uint32_t rows, uint32_t columns, Layout layout) {
  if (layout == Layout::columns) return pack_parts(rows, layout) * chunk_layout(format, columns).chunk_bytes;
  return (size_t{rows} + kPanelRows - 1) / kPanelRows * panel_layout(format, columns).panel_bytes;
}

size_t file_row_bytes(Format format, uint32_t columns) {
  const FileBlock block = file_block(format);
  return size_t{columns} / block.columns * block.bytes;
}

void pack_panel(Format format, size_t rows, uint32_t columns, const uint8_t* source, size_t row_bytes, uint8_t* out) {
  const PanelLayout layout = panel_layout(format, columns);
  const size_t blocks = columns / kBlock, supers = columns / kSuperBlock;
  clear_padding(layout, out);
  const Source from(source, row_bytes, rows, format <= Format::bf16 ? 64 : file_block(format).bytes);
  switch (format) {
    case Format::f32:
      pack_plain<uint32_t>(from, columns, out);
      break;
    case Format::f16:
      pack_plain<uint16_t>(from, columns, out);
      break;
    case Format::bf16:
      pack_plain<uint32_t>(from, columns / 2, out);
      if (columns & 1) pack_last_bf16(from, size_t{columns - 1} * 2, out + size_t{columns / 2} * 64);
      break;
    case Format::q8_0:
      pack_q8_0(from, blocks, layout, out);
      break;
    case Format::q4_0:
      pack_small<false, false>(from, blocks, layout, out);
      break;
    case Format::q4_1:
      pack_small<true, false>(from, blocks, layout, out);
      break;
    case Format::q5_0:
      pack_small<false, true>(from, blocks, layout, out);
      break;
    case Format::q5_1:
      pack_small<true, true>(from, blocks, layout, out);
      break;
    case Format::q4_k:
      pack_k<false>(from, supers, layout, out);
      break;
    case Format::q5_k:
      pack_k<true>(from, supers, layout, out);
      break;
    case Format::q6_k:
      pack_q6_k(from, supers, layout, out);
      break;
  }
}

void pack_panels(Format format, uint32_t rows, uint32_t columns, const uint8_t* source, uint8_t* packed, Range panels) {
  const size_t panel_bytes = panel_layout(format, columns).panel_bytes, row_bytes = file_row_bytes(format, columns);
  for (size_t panel = panels.begin; panel < panels.end; ++panel) {
    const size_t first = panel * kPanelRows;
    pack_panel(format, rows - first, columns, source + first * row_bytes, row_bytes, packed + panel * panel_bytes);
  }
}

size_t pack_parts(uint32_t rows, Layout layout) {
  const size_t each = layout == Layout::columns ? kChunkRows : kPanelRows;
  return (rows + each - 1) / each;
}

void pack(const PackedMatrix& matrix, const uint8_t* source, uint8_t* packed, Range parts) {
  const auto function = matrix.layout == Layout::columns ? pack_columns : pack_panels;
  function(matrix.format, matrix.rows, matrix.columns, source, packed, parts);
}

void unpack_row(const PackedMatrix& matrix, uint32_t row, float* out) {
  if (matrix.layout == Layout::columns) return unpack_row_of_columns(matrix, row, out);
  const PanelLayout layout = panel_layout(matrix.format, matrix.columns);
  const uint8_t* panel = matrix.data + row / kPanelRows * layout.panel_bytes;
  const uint32_t r = row % kPanelRows;
  switch (matrix.format) {
    case Format::f32:
      for (size_t c = 0; c < matrix.columns; ++c) out[c] = read<float>(panel + c * 64 + r * 4);
      break;
    case Format::f16:
      for (size_t c = 0; c < matrix.columns; ++c) out[c] = half_at(panel + c * 32 + r * 2);
      break;
    case Format::bf16:
      for (size_t c = 0; c < matrix.columns; ++c) {
        out[c] = float_of_bits(uint32_t{read<uint16_t>(panel + c / 2 * 64 + r * 4 + c % 2 * 2)} << 16);
      }
      break;
    default:
      unpack_block_row(matrix, layout, panel, r, out);
  }
}

}  // namespace rwkv
