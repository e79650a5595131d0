/**
 * Between panels of 16 rows and chunks of columns (pack.h), a piece of up to 256 columns at a time: files are packed by way
 * of a panel's piece, and a row is read by way of one.
 */
#include <cstring>

#include "pack.h"

namespace rwkv {
namespace {

constexpr uint32_t kBlock = 32;
constexpr uint32_t kSuperBlock = 256;
constexpr uint32_t kPieceColumns = kSuperBlock;
constexpr size_t kPanels = kChunkRows / kPanelRows;

constexpr bool is_super(Format format) { return format >= Format::q4_k; }

/**
 * A piece of panel `panel` of a chunk: columns [first, first + count) of 16 rows, in the layout of a panel with `count`
 * columns.
 */
struct Piece {
  Format format;
  size_t panel, first, count;
  PanelLayout layout;
  uint8_t data[kPieceColumns * kPanelRows * sizeof(float)];
};

enum class Direction { to_columns, to_panel };

/** `bytes` bytes of each of `count` things, which are `bytes` apart in the panel and eight times that in the chunk. */
template <Direction direction>
void move_runs(uint8_t* panel, uint8_t* chunk, size_t bytes, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    uint8_t* const in_chunk = chunk + i * kPanels * bytes;
    if (direction == Direction::to_columns) memcpy(in_chunk, panel + i * bytes, bytes);
    else memcpy(panel + i * bytes, in_chunk, bytes);
  }
}

/**
 * Some bits of 16 rows: in the panel one byte in four. Panels fill a byte of the columns in order, the first one from
 * bit 0 on, so that this one clears the rest; a piece that is read was cleared before.
 */
template <Direction direction>
void move_bits(uint8_t* panel, unsigned panel_shift, uint8_t* column, unsigned column_shift, unsigned mask) {
  for (size_t r = 0; r < kPanelRows; ++r) {
    if (direction == Direction::to_columns) {
      const unsigned bits = (panel[r * 4] >> panel_shift & mask) << column_shift;
      column[r] = static_cast<uint8_t>(column_shift == 0 ? bits : column[r] | bits);
    } else {
      panel[r * 4] = static_cast<uint8_t>(panel[r * 4] | (column[r] >> column_shift & mask) << panel_shift);
    }
  }
}

template <Direction direction>
void move_plain(Piece& piece, uint8_t* column, size_t stride) {
  if (piece.format != Format::bf16) {
    const size_t bytes = stride / kPanels;
    return move_runs<direction>(piece.data, column + piece.panel * bytes, bytes, piece.count);
  }
  for (size_t k = 0; k < piece.count; ++k) {
    uint8_t* number = piece.data + k / 2 * 64 + k % 2 * 2;
    uint8_t* to = column + k * stride + piece.panel * kPanelRows * 2;
    for (size_t r = 0; r < kPanelRows; ++r) {
      if (direction == Direction::to_columns) memcpy(to + r * 2, number + r * 4, 2);
      else memcpy(number + r * 4, to + r * 2, 2);
    }
  }
}

template <Direction direction>
void move_quants(Piece& piece, const ChunkLayout& layout, uint8_t* chunk) {
  const bool bytes = piece.format == Format::q8_0, sixths = piece.format == Format::q6_k;
  const unsigned per_byte = bytes ? 1 : 2, upper_per_byte = sixths ? 4 : 8;
  const unsigned shift = static_cast<unsigned>(piece.panel % per_byte) * 4;
  const unsigned upper_shift = static_cast<unsigned>(piece.panel % upper_per_byte) * (sixths ? 2 : 1);
  for (size_t k = 0; k < piece.count; ++k) {
    const size_t block = k / kBlock, group = k % kBlock / 4, lane = k % 4;
    uint8_t* quants = piece.data + piece.layout.quants + block * (bytes ? 512 : 256) + (bytes ? group : group & 3) * 64;
    uint8_t* column = chunk + layout.quants + (piece.first + k) * layout.quants_bytes;
    move_bits<direction>(quants + lane, bytes || group < 4 ? 0 : 4, column + piece.panel / per_byte * 16, shift,
                         bytes ? 255 : 15);
    if (layout.upper == 0) continue;
    uint8_t* upper = piece.data + piece.layout.upper + (sixths ? block * 128 + group / 4 * 64 : block * 64);
    uint8_t* upper_column = chunk + layout.upper + (piece.first + k) * layout.upper_bytes;
    move_bits<direction>(upper + lane, static_cast<unsigned>(sixths ? group % 4 * 2 : group),
                         upper_column + piece.panel / upper_per_byte * 16, upper_shift, sixths ? 3 : 1);
  }
}

template <Direction direction>
void move_piece(Piece& piece, const ChunkLayout& layout, uint8_t* chunk) {
  if (piece.format <= Format::bf16) {
    return move_plain<direction>(piece, chunk + layout.quants + piece.first * layout.quants_bytes, layout.quants_bytes);
  }
  const auto numbers = [&](size_t of_piece, size_t of_chunk, size_t per_columns, size_t bytes) {
    uint8_t* to = chunk + of_chunk + (piece.first / per_columns * kChunkRows + piece.panel * kPanelRows) * bytes;
    move_runs<direction>(piece.data + of_piece, to, kPanelRows * bytes, piece.count / per_columns);
  };
  const size_t scale_columns = is_super(piece.format) ? kSuperBlock : kBlock;
  const PanelLayout& from = piece.layout;
  numbers(from.scales, layout.scales, scale_columns, 2);
  if (layout.mins) numbers(from.mins, layout.mins, scale_columns, 2);
  if (layout.block_scales) {
    numbers(from.block_scales, layout.block_scales, piece.format == Format::q6_k ? kBlock / 2 : kBlock, 1);
  }
  if (layout.block_mins) numbers(from.block_mins, layout.block_mins, kBlock, 1);
  move_quants<direction>(piece, layout, chunk);
}

template <class Use>
void for_pieces(Format format, uint32_t columns, size_t panel, const Use& use) {
  alignas(64) Piece piece;
  piece.format = format;
  piece.panel = panel;
  for (size_t first = 0; first < columns; first += kPieceColumns) {
    piece.first = first;
    piece.count = columns - first < kPieceColumns ? columns - first : kPieceColumns;
    piece.layout = panel_layout(format, static_cast<uint32_t>(piece.count));
    use(piece);
  }
}

}  // namespace

ChunkLayout chunk_layout(Format format, uint32_t columns) {
  ChunkLayout layout{};
  const size_t blocks = columns / kBlock, supers = columns / kSuperBlock;
  size_t end = 0;
  const auto place = [&end](size_t bytes) {
    const size_t at = end;
    end += bytes;
    return at;
  };
  const bool five = format == Format::q5_0 || format == Format::q5_1 || format == Format::q5_k;
  if (format > Format::bf16) {
    layout.scales = place((is_super(format) ? supers : blocks) * kChunkRows * 2);
    if (format == Format::q4_1 || format == Format::q5_1) layout.mins = place(blocks * kChunkRows * 2);
    if (format == Format::q4_k || format == Format::q5_k) {
      layout.mins = place(supers * kChunkRows * 2);
      layout.block_scales = place(blocks * kChunkRows);
      layout.block_mins = place(blocks * kChunkRows);
    }
    if (format == Format::q6_k) layout.block_scales = place(blocks * 2 * kChunkRows);
  }
  layout.quants_bytes = format == Format::f32    ? kChunkRows * 4
                        : format <= Format::bf16 ? kChunkRows * 2
                        : format == Format::q8_0 ? kChunkRows
                                                 : kChunkRows / 2;
  layout.quants = place(columns * layout.quants_bytes);
  layout.upper_bytes = five ? kChunkRows / 8 : format == Format::q6_k ? kChunkRows / 4 : 0;
  if (layout.upper_bytes) layout.upper = place(columns * layout.upper_bytes);
  layout.chunk_bytes = end;
  return layout;
}

void pack_columns(Format format, uint32_t rows, uint32_t columns, const uint8_t* source, uint8_t* packed, Range chunks) {
  const ChunkLayout layout = chunk_layout(format, columns);
  const size_t row_bytes = file_row_bytes(format, columns);
  for (size_t panel = chunks.begin * kPanels; panel < chunks.end * kPanels; ++panel) {
    const size_t row = panel * kPanelRows, left = row < rows ? rows - row : 0;
    uint8_t* const chunk = packed + panel / kPanels * layout.chunk_bytes;
    for_pieces(format, columns, panel % kPanels, [&](Piece& piece) {
      const uint8_t* from = source + (left ? row * row_bytes : 0) + file_row_bytes(format, static_cast<uint32_t>(piece.first));
      pack_panel(format, left, static_cast<uint32_t>(piece.count), from, row_bytes, piece.data);
      move_piece<Direction::to_columns>(piece, layout, chunk);
    });
  }
}

void unpack_row_of_columns(const PackedMatrix& matrix, uint32_t row, float* out) {
  const ChunkLayout layout = chunk_layout(matrix.format, matrix.columns);
  // Reading: the other direction of the move writes to the piece alone.
  uint8_t* const chunk = const_cast<uint8_t*>(matrix.data) + row / kChunkRows * layout.chunk_bytes;
  for_pieces(matrix.format, matrix.columns, row % kChunkRows / kPanelRows, [&](Piece& piece) {
    memset(piece.data, 0, sizeof piece.data);
    move_piece<Direction::to_panel>(piece, layout, chunk);
    const PackedMatrix panel{matrix.format, kPanelRows, static_cast<uint32_t>(piece.count), piece.data};
    unpack_row(panel, row % kPanelRows, out + piece.first);
  });
}

}  // namespace rwkv
