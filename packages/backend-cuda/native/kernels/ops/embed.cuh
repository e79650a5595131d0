/**
 * out[t] = table[token[t]], or the step's embedding vector of the token where `takes_vectors` and it has one; out [T,
 * width] f32. table [V, width] lies as the file has it, in memory of the host that the device can address: so a row
 * comes over the bus, once, sixteen bytes a thread.
 *
 * A block owns kEmbedColumns columns of one token: blockX is the token, blockY the part. It brings the part's bytes
 * into shared memory, at the same distance from a multiple of 16, and each of its threads makes every threadCount()-th
 * number.
 * Limits: rows of 2^32 bytes, blocks of 256 numbers at most, of which kEmbedColumns is a multiple.
 */
#pragma once

#include "kernels/file-formats.cuh"
#include "kernels/step.h"

namespace rwkv {

constexpr uint32_t kEmbedColumns = 1024;

struct EmbedArguments {
  const unsigned char* table;
  Rows out;
  uint32_t width, format, row_bytes, takes_vectors;
};
DESCRIBE(EmbedArguments, table, out, width, format, row_bytes, takes_vectors);

/** Copies with whole words between the ends; the copy, which begins in `room`, is complete after the next barrier. */
DEVICE const unsigned char* stageBytes(const unsigned char* from, uint32_t bytes, unsigned char* room) {
  const uint32_t lead = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(from) & 15u);
  unsigned char* to = room + lead;
  const uint32_t gap = (16 - lead) & 15u;
  const uint32_t head = gap < bytes ? gap : bytes;
  const uint32_t words = (bytes - head) / 16, tail = head + 16 * words;
  for (uint32_t i = threadIndex(); i < words; i += threadCount()) {
    *reinterpret_cast<Words4*>(to + head + 16 * i) = load(reinterpret_cast<const Words4*>(from + head + 16 * i));
  }
  // The last threads, which have no word where the row is short.
  const uint32_t edge = threadCount() - 1 - threadIndex();
  if (edge < head) to[edge] = from[edge];
  if (tail + edge < bytes) to[tail + edge] = from[tail + edge];
  return to;
}

KERNEL_BOUNDED(embed, EmbedArguments, 256, 1) {
  SHARED Words4 room[kEmbedColumns / 4 + 2];
  const uint32_t t = blockX();
  if (t >= step->counts[kTokens]) return;
  const uint32_t begin = blockY() * kEmbedColumns;
  const uint32_t end = begin + kEmbedColumns < arguments.width ? begin + kEmbedColumns : arguments.width;
  float* out = arguments.out.row(t);
  if (arguments.takes_vectors && step->embeddings) {
    const uint32_t embedding = step->embedding(t);
    if (embedding) {
      const float* vector = step->vector(embedding - 1, arguments.width);
      for (uint32_t c = begin + threadIndex(); c < end; c += threadCount()) out[c] = vector[c];
      return;
    }
  }
  const FileBlock block = fileBlock(arguments.format);
  const unsigned char* row = arguments.table + static_cast<size_t>(step->token(t)) * arguments.row_bytes;
  const unsigned char* part = row + static_cast<size_t>(begin / block.numbers) * block.bytes;
  const uint32_t blocks = (end - begin + block.numbers - 1) / block.numbers;
  const unsigned char* staged = stageBytes(part, blocks * block.bytes, reinterpret_cast<unsigned char*>(room));
  blockBarrier();
  for (uint32_t c = threadIndex(); c < end - begin; c += threadCount()) {
    out[begin + c] = blockNumber(arguments.format, staged + c / block.numbers * block.bytes, c % block.numbers);
  }
}

}  // namespace rwkv
