/**
 * Packed matrices: layouts that do not depend on the instruction set. Panels serve any x; columns serve an x that is mostly
 * zero, for then a product reads only what it multiplies.
 *
 * Panels. The rows of a matrix [rows, columns] are cut into panels of 16, the last one filled with zero rows; a panel is
 * contiguous, and panels follow one another at `panel_bytes`, a multiple of 64. Within a panel the 16 rows are the lanes of
 * a vector, so that a product needs no sum across lanes, a matrix is one sequential stream, and the same bytes serve one
 * token and many. Columns of block formats are a multiple of 32 (of 256 for the k formats), as the files have them.
 *
 *   f32   [columns][16 rows]
 *   f16   [columns][16 rows]
 *   bf16  [ceil(columns / 2)][16 rows][2 columns]: what vdpbf16ps takes; an odd last column is filled with zero
 *
 * Block formats: the parts below one after another, each [blocks of the panel][…], each part padded to 64 bytes. A block
 * is 32 columns, a super-block 256. `quants` are groups of 4 columns: a vector of 64 bytes is [16 rows][4 columns], what
 * vpdpbusd and sdot take. All quants are unsigned; the offset that makes them signed goes with the activations' sums.
 *
 *   q8_0  scales f16 [16];                quants [8 groups][16][4] bytes, q + 128
 *   q4_0  scales f16 [16];                nibbles [4][16][4]: vector j has group j in the low half, j + 4 in the high; q of 0..15, offset 8
 *   q4_1  scales f16 [16]; mins f16 [16]; nibbles as q4_0, offset 0; w = d q + m
 *   q5_0  scales f16 [16];                nibbles as q4_0; fifths [16][4]: bit g is the fifth bit of group g; offset 16
 *   q5_1  scales f16 [16]; mins f16 [16]; nibbles, fifths as q5_0, offset 0
 *   q4_k  per super-block: d f16 [16], dmin f16 [16]; per block: sc u8 [16], m u8 [16]; nibbles; w = d sc q - dmin m
 *   q5_k  as q4_k, and fifths
 *   q6_k  per super-block: d f16 [16]; per block: sc i8 [2 halves of 16 columns][16]; nibbles;
 *         sixths [2][16][4]: vector j, bits 2 i and 2 i + 1 are the upper two bits of group 4 j + i; offset 32; w = d sc (q - 32)
 *
 * Columns. The rows are cut into chunks of 128, the last one filled with zero rows; a chunk is contiguous, chunks follow one
 * another, and so do the parts below within a chunk, each a multiple of 64 bytes. A chunk's numbers of one column lie side
 * by side, whole lines of the cache in most parts. Numbers of b bits share bytes across rows: 16 bytes hold 128 / b rows,
 * byte i has in the bits from b j on row 16 j + i of these. Offsets are those of the panels.
 *
 *   f32, f16, bf16   [columns][128 rows]
 *   scales, mins     f16 [blocks][128]; of k formats d and dmin f16 [super-blocks][128]
 *   sub-scales       q4_k, q5_k: sc u8 [blocks][128], m u8 [blocks][128]; q6_k: sc i8 [blocks][2][128]
 *   quants           [columns][128]: q8_0 8 bits, q + 128; others the lower 4 bits
 *   upper            [columns][128]: fifth bits, 1 bit; sixths, 2 bits
 */
#pragma once

#include "types.h"

namespace rwkv {

/** Of all these layouts, in files of packed weights: every change of what is written here raises it. */
constexpr uint32_t kPackedVersion = 2;

constexpr uint32_t kPanelRows = 16;
constexpr uint32_t kChunkRows = 128;

/** Where the parts of a panel begin, in bytes; parts a format lacks are 0. */
struct PanelLayout {
  /** f16 [blocks][16], or for k formats [super-blocks][16]. Plain formats: the numbers themselves, at 0. */
  size_t scales;
  /** q4_1, q5_1: f16 [blocks][16]; q4_k, q5_k: dmin f16 [super-blocks][16]. */
  size_t mins;
  /** q4_k, q5_k: u8 [blocks][16]; q6_k: i8 [blocks][2][16]. */
  size_t block_scales;
  /** q4_k, q5_k: u8 [blocks][16]. */
  size_t block_mins;
  /** q8_0: [blocks][8][16][4]; 4-, 5- and 6-bit formats: nibbles [blocks][4][16][4]. */
  size_t quants;
  /** Fifth bits [blocks][16][4], or sixths [blocks][2][16][4]. */
  size_t upper;
  size_t panel_bytes;
};

PanelLayout panel_layout(Format format, uint32_t columns);

/** Where the parts of a chunk begin, and how long one column is in each, in bytes; 0 as above. */
struct ChunkLayout {
  size_t scales, mins, block_scales, block_mins, quants, upper;
  size_t quants_bytes, upper_bytes;
  size_t chunk_bytes;
};

ChunkLayout chunk_layout(Format format, uint32_t columns);

/** Bytes of a packed matrix; fits size_t because rows and columns were checked against memory before. */
size_t packed_bytes(Format format, uint32_t rows, uint32_t columns, Layout layout = Layout::panels);

/** Bytes of one row in the file's layout. */
size_t file_row_bytes(Format format, uint32_t columns);

/** Packs panels [panels.begin, panels.end) from `source`, rows in the file's own layout (GGML blocks), at any alignment. */
void pack_panels(Format format, uint32_t rows, uint32_t columns, const uint8_t* source, uint8_t* packed, Range panels);

/** Packs one panel of `rows` rows that begin `row_bytes` apart; rows beyond 16 are left out. */
void pack_panel(Format format, size_t rows, uint32_t columns, const uint8_t* source, size_t row_bytes, uint8_t* packed);

/** Packs rows [chunks.begin · 128, chunks.end · 128) into columns; the rest is as with panels. */
void pack_columns(Format format, uint32_t rows, uint32_t columns, const uint8_t* source, uint8_t* packed, Range chunks);

/** How many parts a matrix is packed in, and packing some of them, whatever the layout. */
size_t pack_parts(uint32_t rows, Layout layout);
void pack(const PackedMatrix& matrix, const uint8_t* source, uint8_t* packed, Range parts);

/** Row `row` as f32 [columns], exactly the file's numbers. */
void unpack_row(const PackedMatrix& matrix, uint32_t row, float* out);
void unpack_row_of_columns(const PackedMatrix& matrix, uint32_t row, float* out);

}  // namespace rwkv
