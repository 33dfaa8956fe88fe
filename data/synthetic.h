// Synthetic sequence tasks with exact generators. Example `index` is a function of (seed, index)
// alone, so there is no end of data and no file.
//
//   copy           a b c | a b c              vocab symbols, a separator, the same symbols again
//   reverse        a b c | c b a
//   recall         multi-query associative recall (MQAR; Zoology, arXiv 2312.04927): `pairs` of a
//                  key and its value, then `queries` of the keys, each predicting its value; a key
//                  has one value and is asked at most once
//   two_channel    recall in which keys and values stand side by side: place i holds key i in the
//                  channel of inputs and value i in a second channel; queries have the value's
//                  place empty
//   passkey        `digits` symbols hidden between noise of other symbols, announced by a marker;
//                  after a second marker they are to be repeated
//   carry          one of `values` keys at one place among noise of other symbols: every
//                  later place asks for it, so that near places can learn it first and pass it on
//                  (the miniature of PowerAttention, arXiv 2503.03588)
//   needle         pairs of a key and its value; a quarter as many keys as places, each in two of
//                  the pairs with the same value: the first value with probability 0.6, else any.
//                  The last place is a key whose value is not the first, and asks for it; the
//                  longer the text, the more of it looks alike (selective attention, arXiv
//                  2411.12892). `paired`: a key and its value stand side by side, as in
//                  two_channel, half as many keys as places before the `queries`, of which the last
//                  asks for the rare value
//   induction      noise in which one marker symbol occurs twice: what followed it the first time
//                  is to be predicted after the second (arXiv 2209.11895)
//   markov         a chain of first order whose transition table is drawn anew for each example:
//                  the table has to be learnt in context (arXiv 2402.11004)
//   listops        nested MAX, MIN, MED and SM (sum modulo 10) of digits (Nangia & Bowman, arXiv
//                  1804.06028); the last place's target is the value
//
// Token numbers: 0 pads, 1 is the separator (or the first marker), 2 asks (or is the second); the
// symbols follow from 3 on: symbol s is token 3 + s.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/options.h"
#include "core/tensor.h"
#include "data/batches.h"

namespace heed::data {

struct SyntheticOptions {
  std::string task = "copy";
  int64_t length = 64;   ///< places of inputs; shorter examples are padded on the right
  int64_t symbols = 32;  ///< different symbols (listops has its own)
  int64_t pairs = 8;
  int64_t queries = 4;
  int64_t digits = 5;
  int64_t depth = 4;
  int64_t values = 8;                ///< of carry and needle, beside the other symbols
  std::string asked = "every";       ///< carry, needle: "every" place or the "last" alone
  bool paired = false;               ///< needle: keys and values in two channels
  std::vector<int64_t> places = {};  ///< carry: where the key may stand; empty: any but the last 8

  /// Whether examples have a second channel.
  bool two_channels() const { return task == "two_channel" || paired; }
  void options(Options& o);
};

/// An option that only some tasks read: one that another task would ignore keeps its default.
void check_read(Options& o, bool read, const std::string& task, const char* name, int64_t value,
                int64_t usual);

/// One example: `length` places.
struct SyntheticExample {
  std::vector<int64_t> inputs;
  std::vector<int64_t> second;   ///< values side by side, 0 where there is none; else empty
  std::vector<int64_t> targets;  ///< kIgnoreTarget where nothing is asked
};

/// Throws RequestError where the task does not fit into the length.
SyntheticExample synthetic_example(const SyntheticOptions& options, uint64_t seed, int64_t index);

/// Tokens of the task: 3 + symbols (listops: 3 + 10 digits + 4 operators and the closing bracket).
int64_t synthetic_vocab(const SyntheticOptions& options);

/// The `data:` of a recipe: sequences made without end, and so many held out.
struct SyntheticDataOptions {
  SyntheticOptions sequences;
  int64_t validation = 512;

  void options(Options& o);
};

struct SyntheticBatch {
  Batch tokens;   ///< inputs and targets [B, length]
  Tensor second;  ///< of two channels: i64 [B, length]; else undefined
};

/// The rank's rows of batch `index`: examples index * batch + row. Other seeds give other examples:
/// evaluate on a seed that training does not use.
SyntheticBatch synthetic_batch(const SyntheticOptions& options, int64_t batch, uint64_t seed,
                               int64_t index, const RowSlice& slice = {});

}  // namespace heed::data
