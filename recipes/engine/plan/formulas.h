// The formulas of a plan: what a transformer keeps and sends when its work is shared, as functions
// of plain numbers. B: rows, L: tokens of a row, H: width, Z: heads, A: their width, N: ranks.
#pragma once

#include <cstdint>
#include <utility>

#include "distributed/sequence_parallel.h"

namespace heed::recipes {

/// "Sequence Parallelism: Long Sequence Training from System Perspective" (arXiv 2105.13120),
/// tables 1 to 3: elements of a block on one rank, where every matrix counts four times (weights,
/// gradients, Adam's two moments).
namespace paper {

/// 32 H^2 / N + 4 B L H / N + B L H: the hidden features are shared, input and output are not.
double mlp_tensor(double B, double L, double H, double N);
/// 32 H^2 + 5 B L H / N: matrices whole, tokens shared.
double mlp_sequence(double B, double L, double H, double N);
/// 16 A Z H / N + 4 B L Z A / N + B Z L^2 / N + B L H.
double attention_tensor(double B, double L, double H, double Z, double A, double N);
/// 16 A Z H + 4 B L Z A / N + B Z L^2 / N + B L H / N: a rank's rows of scores, [L / N, L].
double attention_sequence(double B, double L, double H, double Z, double A, double N);
/// 2 A Z H + 2 B Z L A / N + B Z L K / N + B L H / N + 2 B Z K A: keys and values projected to K
/// rows (Linformer, arXiv 2006.04768), so that no term has L without N.
double linformer_sequence(double B, double L, double H, double Z, double A, double K, double N);

}  // namespace paper

/// The geometry of one attention layer on one rank: B rows of c = L / N tokens, with the heads that
/// the rank holds.
struct AttentionShare {
  double rows = 0, tokens = 0, heads = 0, kv_heads = 0, head_dim = 0;
  double ranks = 1;      ///< N; a sequence has ranks * tokens tokens
  double projected = 0;  ///< Linformer: rows K that keys and values are projected to; 0: none
};

/// What a rank sends in one layer and step. With U = (N - 1) B Z c A, as for one key head a query
/// head, in elements of the activations' dtype unless said:
///   rsa         forward 2 U (keys, values), backward 2 U (values, keys) and 2 U (the
///               reduce-scatter of dV and dK; the paper's all-reduces send twice that)
///   ring        forward 2 U, backward 2 U and, in f32, 2 U: dK and dV travel N - 1 hops, since
///               their owner adds its own part when they are home (the sheet's N hops send 2 U more
///               by 1 / (N - 1))
///   heads       forward 4 U / N (q, k, v and the output), backward the same
/// Linformer, whatever the method: an all-reduce of the projected keys and values [B, Z, K, A] each
/// way.
struct SentInLayer {
  double forward_bytes = 0, backward_bytes = 0;
  double messages = 0;  ///< of both passes, one after the other
};
SentInLayer sent_by_sequence(SequenceMethod method, const AttentionShare& share,
                             double element_bytes);
/// U of that table; the paper's own RSA sends 8 U, ours 6 U.
double sequence_unit(const AttentionShare& share);

/// What attention keeps for the backward pass in addition to its packed q, k, v and its output: f32
/// log-sum-exps [B, Z, c] and, for rsa, the probabilities [B, Z, c, L]; for Linformer, the
/// projected keys and values.
double kept_by_attention(SequenceMethod method, const AttentionShare& share, double element_bytes);
/// What it needs beside that while it runs: the keys and values under way (two buffers of each),
/// the f32 gradients that travel with them, or the tokens of all ranks for the own heads.
double needed_by_attention(SequenceMethod method, const AttentionShare& share,
                           double element_bytes);

/// Bytes a rank sends in the best algorithm of a collective over n ranks: (n - 1) / n of the whole
/// for a reduce-scatter, all-gather or all-to-all, twice that for an all-reduce (Chan et al.,
/// "Collective communication", 2007; what Communicator::bytes_sent counts).
double sent_by_reduce_scatter(double whole_bytes, double n);
double sent_by_all_reduce(double bytes, double n);

/// Megatron's tensor parallelism (arXiv 1909.08053; with norms shared along tokens: 2205.05198): a
/// block's two sub-blocks each gather their input and reduce-scatter their output, [B, c, H], and
/// the backward pass does the converse: as many bytes as 4 all-reduces.
double sent_by_tensor(double rows, double tokens, double dim, double n, double element_bytes);

/// Micro-batches whose activations stage `stage` of `stages` holds at once under 1F1B (arXiv
/// 2104.04473): those that the later stages have not given back.
int64_t in_flight(int64_t stages, int64_t stage, int64_t micro_batches);
/// Share of a step's time that a stage waits: (stages - 1) / (micro_batches + stages - 1).
double bubble(int64_t stages, int64_t micro_batches);

/// The largest n in 1 ... that fits, where n = 1, 2, ... need ever more; 0 if none does.
template <class Fits>
int64_t largest(const Fits& fits) {
  constexpr int64_t kMost = int64_t{1} << 40;
  int64_t low = 0, high = 1;
  while (high < kMost && fits(high)) low = std::exchange(high, 2 * high);
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

}  // namespace heed::recipes
