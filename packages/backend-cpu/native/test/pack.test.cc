/** pack.cc against the definitions of the formats: numbers, tails, guards, any alignment, panels in any order. */
#include <cstdio>

#include "file-formats.h"

namespace {

using namespace rwkv_test;
using rwkv::kPanelRows;

int failures = 0;

void fail(Format format, size_t rows, size_t columns, const char* what) {
  if (++failures <= 20) printf("pack %s [%zu, %zu]: %s\n", kFormatNames[static_cast<int>(format)], rows, columns, what);
}

bool same(float a, double b) {
  const float expected = static_cast<float>(b);
  return std::isnan(b) ? std::isnan(a) : memcmp(&a, &expected, sizeof a) == 0;
}

void check_numbers(Format format, uint32_t rows, uint32_t columns, const uint8_t* file, const rwkv::PackedMatrix& matrix) {
  std::vector<float> row(columns + 1);
  for (uint32_t r = 0; r < rows; ++r) {
    row[columns] = 12345;
    rwkv::unpack_row(matrix, r, row.data());
    if (row[columns] != 12345) fail(format, rows, columns, "unpack_row writes beyond the row");
    const std::vector<double> expected = file_row(format, file, columns, r);
    for (size_t c = 0; c < columns; ++c) {
      if (!same(row[c], expected[c])) {
        fail(format, rows, columns, "a number differs");
        return;
      }
    }
  }
}

/** Rows that fill the last panel: every number is zero. */
void check_padding(Format format, uint32_t rows, uint32_t columns, const uint8_t* packed) {
  const uint32_t all = (rows + kPanelRows - 1) / kPanelRows * kPanelRows;
  const rwkv::PackedMatrix padded{format, all, columns, packed};
  std::vector<float> row(columns);
  for (uint32_t r = rows; r < all; ++r) {
    rwkv::unpack_row(padded, r, row.data());
    for (const float number : row) {
      if (number != 0) {
        fail(format, rows, columns, "padding rows are not zero");
        return;
      }
    }
  }
}

void check(Format format, uint32_t rows, uint32_t columns, bool any_bits) {
  Random random{columns * 77777u + rows};
  std::vector<uint8_t> file = random_rows(format, rows, columns, random);
  if (any_bits) {
    for (uint8_t& byte : file) byte = static_cast<uint8_t>(random.bits() >> 5);
  }
  if (file.size() != rows * rwkv::file_row_bytes(format, columns)) fail(format, rows, columns, "file_row_bytes");
  std::vector<uint8_t> shifted(file.size() + 1);
  memcpy(shifted.data() + 1, file.data(), file.size());

  const size_t bytes = rwkv::packed_bytes(format, rows, columns);
  const size_t panels = (rows + kPanelRows - 1) / kPanelRows;
  if (bytes % 64 != 0 || bytes != panels * rwkv::panel_layout(format, columns).panel_bytes) {
    fail(format, rows, columns, "packed_bytes");
  }
  Guarded packed(bytes), again(bytes);
  memset(again.data(), 0xff, bytes);
  rwkv::pack_panels(format, rows, columns, file.data(), packed.data(), {0, panels});
  for (size_t panel = panels; panel-- > 0;) {
    rwkv::pack_panels(format, rows, columns, shifted.data() + 1, again.data(), {panel, panel + 1});
  }
  if (memcmp(packed.data(), again.data(), bytes) != 0) fail(format, rows, columns, "bytes depend on how they were packed");
  if (!packed.intact() || !again.intact()) fail(format, rows, columns, "pack_panels writes beyond the matrix");
  check_numbers(format, rows, columns, file.data(), {format, rows, columns, packed.data()});
  check_padding(format, rows, columns, packed.data());
}

/** The other layout holds the same numbers, also those of padding rows. */
void check_columns(Format format, uint32_t rows, uint32_t columns, bool any_bits) {
  Random random{columns * 77777u + rows};
  std::vector<uint8_t> file = random_rows(format, rows, columns, random);
  if (any_bits) {
    for (uint8_t& byte : file) byte = static_cast<uint8_t>(random.bits() >> 5);
  }
  std::vector<uint8_t> shifted(file.size() + 1);
  memcpy(shifted.data() + 1, file.data(), file.size());
  const size_t bytes = rwkv::packed_bytes(format, rows, columns, rwkv::Layout::columns);
  if (bytes % 64 != 0) fail(format, rows, columns, "packed_bytes of columns");
  Guarded packed(bytes), again(bytes);
  memset(again.data(), 0xff, bytes);
  const rwkv::PackedMatrix matrix{format, rows, columns, packed.data(), rwkv::Layout::columns};
  const size_t parts = rwkv::pack_parts(rows, matrix.layout);
  rwkv::pack(matrix, file.data(), packed.data(), {0, parts});
  for (size_t part = parts; part-- > 0;) rwkv::pack(matrix, shifted.data() + 1, again.data(), {part, part + 1});
  if (memcmp(packed.data(), again.data(), bytes) != 0) fail(format, rows, columns, "columns depend on how they were packed");
  if (!packed.intact() || !again.intact()) fail(format, rows, columns, "pack_columns writes beyond the matrix");
  check_numbers(format, rows, columns, file.data(), matrix);
  const uint32_t all = (rows + rwkv::kChunkRows - 1) / rwkv::kChunkRows * rwkv::kChunkRows;
  std::vector<float> row(columns);
  for (uint32_t r = rows; r < all; ++r) {
    rwkv::unpack_row({format, all, columns, packed.data(), rwkv::Layout::columns}, r, row.data());
    for (const float number : row) {
      if (number != 0) return fail(format, rows, columns, "padding rows of columns are not zero");
    }
  }
}

}  // namespace

int main() {
  for (int f = 0; f < rwkv::kFormats; ++f) {
    const Format format = static_cast<Format>(f);
    const bool k = format >= Format::q4_k, plain = format <= Format::bf16;
    for (const uint32_t rows : {1u, 15u, 16u, 37u, 64u}) {
      for (const uint32_t blocks : {1u, 2u, 3u, 7u, 12u}) {
        for (const bool any_bits : {false, true}) {
          check(format, rows, plain ? blocks * 11 : blocks * (k ? 256 : 32), any_bits);
        }
      }
    }
    for (const uint32_t rows : {1u, 37u, 128u, 300u}) {
      for (const uint32_t blocks : {1u, 3u, 11u}) {
        for (const bool any_bits : {false, true}) {
          check_columns(format, rows, plain ? blocks * 37 : blocks * (k ? 256 : 32), any_bits);
        }
      }
    }
  }
  if (failures == 0) printf("pack: all formats agree\n");
  return failures != 0;
}
