/**
 * The batch of a step as kernels read it: `writeStepHeader` of @rwkv-ts/program writes it, one copy brings it to the
 * device. Rows that a launch has threads for but the step does not have are left alone, so that one captured graph
 * serves all steps of a bucket.
 */
#pragma once

#include "device.h"

namespace rwkv {

/** Set in the `first` word of a sequence's first token, beside its slot. */
constexpr uint32_t kFirstToken = 0x80000000u;

/** Which number of a step counts the rows of a launch. */
enum RowKind : uint32_t { kTokens = 0, kWanted = 1, kSequences = 2 };

struct Step {
  /** Of tokens, of wanted rows, of sequences. */
  uint32_t counts[3];
  /** Rows that are an embedding vector. */
  uint32_t embeddings;
  /** Where each list begins, in words from the start of this struct. */
  uint32_t tokensAt, firstAt, lastAt, startsAt, slotsAt, wantedAt, embeddingAt, vectorsAt;
  uint32_t reserved[4];

  DEVICE const uint32_t* words() const { return reinterpret_cast<const uint32_t*>(this); }
  /** Token id. */
  DEVICE uint32_t token(uint32_t t) const { return words()[tokensAt + t]; }
  /** Of the first token of a sequence: kFirstToken and its slot. Of others: 0. */
  DEVICE uint32_t first(uint32_t t) const { return words()[firstAt + t]; }
  /** The last token of this token's sequence. */
  DEVICE uint32_t last(uint32_t t) const { return words()[lastAt + t]; }
  /** The first token of sequence s; one more than there are sequences. */
  DEVICE uint32_t start(uint32_t s) const { return words()[startsAt + s]; }
  DEVICE uint32_t slot(uint32_t s) const { return words()[slotsAt + s]; }
  /** The token whose row is the r-th wanted one. */
  DEVICE uint32_t wanted(uint32_t r) const { return words()[wantedAt + r]; }
  /** 0, or one more than the index of the token's embedding vector; only where there are `embeddings`. */
  DEVICE uint32_t embedding(uint32_t t) const { return words()[embeddingAt + t]; }
  DEVICE const float* vector(uint32_t index, uint32_t width) const {
    return reinterpret_cast<const float*>(words() + vectorsAt) + static_cast<size_t>(index) * width;
  }
};
static_assert(sizeof(Step) == 64, "writeStepHeader writes 16 words before the lists");

/**
 * Rows of numbers: row r begins at `at + r · stride`. A stride of 0 is a parameter that every row shares; `at` null is
 * none. Neither is aligned to more than its numbers.
 */
template <class Number>
struct RowsOf {
  Number* at;
  uint32_t stride;
  uint32_t unused;

  DEVICE Number* row(uint32_t r) const { return at + static_cast<size_t>(r) * stride; }
  DEVICE explicit operator bool() const { return at != nullptr; }
};
using Rows = RowsOf<float>;
using ConstRows = RowsOf<const float>;

}  // namespace rwkv

#if !defined(__CUDACC__)
#include "emulation/describe.h"
#endif
