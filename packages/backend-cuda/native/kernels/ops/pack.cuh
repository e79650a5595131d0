/**
 * Rows of a matrix as the file has them (GGML blocks or plain numbers, row after row, no padding) into the layout of
 * weight-formats.cuh: bits change places and nothing else. `source` begins with row `first` and has `count` rows, at a
 * multiple of 16 bytes.
 *
 * Block formats: a thread owns a block of 32 numbers. Plain formats: a thread owns 16 bytes of a row; in columns, a
 * block transposes 32 rows (x) by 32 columns (y). What a row, or a column, is filled with is zero.
 */
#pragma once

#include "kernels/weight-formats.cuh"

namespace rwkv {

struct PackArguments {
  Matrix matrix;
  const void* source;
  uint32_t first, count;
};
DESCRIBE(PackArguments, matrix, source, first, count);

/** Where the fields of a block lie in the file: quants and highs in bytes from its beginning, blocks of `numbers`. */
struct FileFields {
  uint32_t numbers, bytes, quants, highs;
};

template <class Format>
struct FileFieldsOf;
template <>
struct FileFieldsOf<Q8_0> {
  static constexpr FileFields kAt{32, 34, 2, 0};
};
template <>
struct FileFieldsOf<Q4_0> {
  static constexpr FileFields kAt{32, 18, 2, 0};
};
template <>
struct FileFieldsOf<Q4_1> {
  static constexpr FileFields kAt{32, 20, 4, 0};
};
template <>
struct FileFieldsOf<Q5_0> {
  static constexpr FileFields kAt{32, 22, 6, 2};
};
template <>
struct FileFieldsOf<Q5_1> {
  static constexpr FileFields kAt{32, 24, 8, 4};
};
template <>
struct FileFieldsOf<Q4K> {
  static constexpr FileFields kAt{256, 144, 16, 0};
};
template <>
struct FileFieldsOf<Q5K> {
  static constexpr FileFields kAt{256, 176, 48, 16};
};
template <>
struct FileFieldsOf<Q6K> {
  static constexpr FileFields kAt{256, 210, 0, 128};
};

DEVICE uint32_t pairOfBytes(const unsigned char* at) { return at[0] | static_cast<uint32_t>(at[1]) << 8; }

/** Number j of sub-block `sub` (of a block of 256; 0 otherwise), all its bits. */
template <class Format>
DEVICE uint32_t fileQuant(const unsigned char* block, unsigned sub, unsigned j) {
  constexpr FileFields at = FileFieldsOf<Format>::kAt;
  const unsigned char* quants = block + at.quants;
  const unsigned char* highs = block + at.highs;
  if constexpr (Format::kBits == 8) {
    return quants[j];
  } else if constexpr (at.numbers == 32) {
    const uint32_t low = j < 16 ? quants[j] & 15u : quants[j - 16] >> 4;
    if constexpr (Format::kHighBits == 1) return low | (highs[j / 8] >> j % 8 & 1u) << 4;
    else return low;
  } else if constexpr (Format::kHighBits == 2) {
    const unsigned half = sub / 4, part = sub % 4;
    const uint32_t low = quants[64 * half + 32 * (part % 2) + j] >> 4 * (part / 2) & 15u;
    return low | (highs[32 * half + j] >> 2 * part & 3u) << 4;
  } else {
    const uint32_t low = quants[32 * (sub / 2) + j] >> 4 * (sub % 2) & 15u;
    if constexpr (Format::kHighBits == 1) return low | (highs[j] >> sub & 1u) << 4;
    else return low;
  }
}

/** Scale and minimum of a sub-block of q4_k and q5_k, from the twelve bytes that share them: low byte and high byte. */
DEVICE uint32_t sixBits(const unsigned char* at, unsigned sub) {
  if (sub < 4) return (at[sub] & 63u) | (at[sub + 4] & 63u) << 8;
  const uint32_t scale = (at[sub + 4] & 15u) | static_cast<uint32_t>(at[sub - 4] >> 6) << 4;
  const uint32_t minimum = (at[sub + 4] >> 4) | static_cast<uint32_t>(at[sub] >> 6) << 4;
  return scale | minimum << 8;
}

template <class Format>
DEVICE void packScales(const unsigned char* file, unsigned char* scales, uint32_t block, unsigned sub) {
  if constexpr (Format::kScales == Scales::half) {
    reinterpret_cast<uint16_t*>(scales)[block] = static_cast<uint16_t>(pairOfBytes(file));
  } else if constexpr (Format::kScales == Scales::pair) {
    reinterpret_cast<uint32_t*>(scales)[block] = pairOfBytes(file) | pairOfBytes(file + 2) << 16;
  } else {
    unsigned char* at = scales + block / 8 * 20;
    uint32_t head, own;
    if constexpr (Format::kHalves) {
      head = pairOfBytes(file + 208);
      own = pairOfBytes(file + 192 + 2 * sub);
    } else {
      head = pairOfBytes(file) | pairOfBytes(file + 2) << 16;
      own = sixBits(file + 4, sub);
    }
    if (sub == 0) *reinterpret_cast<uint32_t*>(at) = head;
    reinterpret_cast<uint16_t*>(at + 4)[sub] = static_cast<uint16_t>(own);
  }
}

template <class Format>
DEVICE void packBlocks(const PackArguments& arguments) {
  constexpr FileFields at = FileFieldsOf<Format>::kAt;
  const Matrix& matrix = arguments.matrix;
  const uint32_t blocks = matrix.columns / kBlock;
  const size_t item = size_t{blockX()} * threadCount() + threadIndex();
  if (item >= size_t{arguments.count} * blocks) return;
  const uint32_t row = static_cast<uint32_t>(item / blocks), block = static_cast<uint32_t>(item % blocks);
  const unsigned sub = block % (at.numbers / kBlock);
  const unsigned char* file =
      static_cast<const unsigned char*>(arguments.source) + item / (at.numbers / kBlock) * at.bytes;
  const BlockRow<Format> to(matrix, arguments.first + row);

  uint32_t quants[Format::kBits] = {}, highs[2] = {};
  UNROLL
  for (unsigned g = 0; g < 8; g++) {
    UNROLL
    for (unsigned b = 0; b < 4; b++) {
      const uint32_t q = fileQuant<Format>(file, sub, 4 * g + orderInGroup(b));
      if constexpr (Format::kBits == 8) quants[g % Format::kBits] |= q << 8 * b;
      else quants[g % 4] |= (q & 15u) << (8 * b + g / 4 * 4);
      if constexpr (Format::kHighBits == 1) highs[0] |= (q >> 4) << (8 * b + g);
      else if constexpr (Format::kHighBits == 2) highs[g / 4] |= (q >> 4) << (8 * b + g % 4 * 2);
    }
  }
  uint32_t* toQuants = reinterpret_cast<uint32_t*>(const_cast<unsigned char*>(to.quants)) + block * Format::kBits;
  uint32_t* toHighs = reinterpret_cast<uint32_t*>(const_cast<unsigned char*>(to.highs)) + block * Format::kHighBits;
  UNROLL
  for (unsigned i = 0; i < Format::kBits; i++) toQuants[i] = quants[i];
  if constexpr (Format::kHighBits > 0) {
    UNROLL
    for (unsigned i = 0; i < Format::kHighBits; i++) toHighs[i] = highs[i];
  }
  packScales<Format>(file, const_cast<unsigned char*>(to.scales), block, sub);
}

KERNEL_BOUNDED(pack_q8_0, PackArguments, 256, 1) { packBlocks<Q8_0>(arguments); }
KERNEL_BOUNDED(pack_q4_0, PackArguments, 256, 1) { packBlocks<Q4_0>(arguments); }
KERNEL_BOUNDED(pack_q4_1, PackArguments, 256, 1) { packBlocks<Q4_1>(arguments); }
KERNEL_BOUNDED(pack_q5_0, PackArguments, 256, 1) { packBlocks<Q5_0>(arguments); }
KERNEL_BOUNDED(pack_q5_1, PackArguments, 256, 1) { packBlocks<Q5_1>(arguments); }
KERNEL_BOUNDED(pack_q4_k, PackArguments, 256, 1) { packBlocks<Q4K>(arguments); }
KERNEL_BOUNDED(pack_q5_k, PackArguments, 256, 1) { packBlocks<Q5K>(arguments); }
KERNEL_BOUNDED(pack_q6_k, PackArguments, 256, 1) { packBlocks<Q6K>(arguments); }

template <class Number>
DEVICE void packRows(const PackArguments& arguments) {
  constexpr uint32_t kPiece = 16 / sizeof(Number);
  const Matrix& matrix = arguments.matrix;
  const uint32_t pieces = (matrix.columns + kPiece - 1) / kPiece;
  const size_t item = size_t{blockX()} * threadCount() + threadIndex();
  if (item >= size_t{arguments.count} * pieces) return;
  const size_t row = item / pieces;
  const uint32_t column = static_cast<uint32_t>(item % pieces) * kPiece;
  const Number* from = static_cast<const Number*>(arguments.source) + row * matrix.columns;
  Number* to = static_cast<Number*>(const_cast<void*>(matrix.quants)) + (arguments.first + row) * matrix.stride;
  for (uint32_t i = column; i < column + kPiece; i++) to[i] = i < matrix.columns ? from[i] : Number{0};
}

KERNEL_BOUNDED(pack_16, PackArguments, 256, 1) { packRows<uint16_t>(arguments); }
KERNEL_BOUNDED(pack_32, PackArguments, 256, 1) { packRows<uint32_t>(arguments); }

/** The last rows of the matrix bring the zeros that their columns are filled with. */
template <class Number>
DEVICE void packColumns(const PackArguments& arguments) {
  SHARED Number tile[32][33];
  const Matrix& matrix = arguments.matrix;
  const uint32_t column = blockY() * 32, row = blockX() * 32, lane = laneIndex();
  for (uint32_t i = warpIndex(); i < 32; i += threadCount() / kWarp) {
    const bool exists = row + i < arguments.count && column + lane < matrix.columns;
    const Number* from = static_cast<const Number*>(arguments.source) + size_t{row + i} * matrix.columns;
    tile[i][lane] = exists ? from[column + lane] : Number{0};
  }
  blockBarrier();
  const bool isLast = arguments.first + arguments.count == matrix.rows && row + 32 >= arguments.count;
  const uint32_t end = matrix.stride - arguments.first;
  for (uint32_t i = warpIndex(); i < 32; i += threadCount() / kWarp) {
    if (column + i >= matrix.columns) break;
    Number* to =
        static_cast<Number*>(const_cast<void*>(matrix.quants)) + size_t{column + i} * matrix.stride + arguments.first;
    if (row + lane < arguments.count) to[row + lane] = tile[lane][i];
    if (isLast && arguments.count + lane < end) to[arguments.count + lane] = Number{0};
  }
}

KERNEL_BOUNDED(pack_columns_16, PackArguments, 256, 1) { packColumns<uint16_t>(arguments); }
KERNEL_BOUNDED(pack_columns_32, PackArguments, 256, 1) { packColumns<uint32_t>(arguments); }

}  // namespace rwkv
