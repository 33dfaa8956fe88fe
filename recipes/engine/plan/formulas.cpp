#include "recipes/engine/plan/formulas.h"

#include <algorithm>

namespace heed::recipes {

namespace paper {

double mlp_tensor(double B, double L, double H, double N) {
  return 32 * H * H / N + 4 * B * L * H / N + B * L * H;
}

double mlp_sequence(double B, double L, double H, double N) {
  return 32 * H * H + 5 * B * L * H / N;
}

double attention_tensor(double B, double L, double H, double Z, double A, double N) {
  return 16 * A * Z * H / N + 4 * B * L * Z * A / N + B * Z * L * L / N + B * L * H;
}

double attention_sequence(double B, double L, double H, double Z, double A, double N) {
  return 16 * A * Z * H + 4 * B * L * Z * A / N + B * Z * L * L / N + B * L * H / N;
}

double linformer_sequence(double B, double L, double H, double Z, double A, double K, double N) {
  return 2 * A * Z * H + 2 * B * Z * L * A / N + B * Z * L * K / N + B * L * H / N +
         2 * B * Z * K * A;
}

}  // namespace paper

namespace {

constexpr double kF32 = 4.0;  // bytes of sums, whatever the activations' dtype

/// Elements of the keys of a rank's own tokens.
double keys(const AttentionShare& s) { return s.rows * s.kv_heads * s.tokens * s.head_dim; }
/// Of Linformer's keys and values together.
double projected(const AttentionShare& s) {
  return 2 * s.rows * s.kv_heads * s.projected * s.head_dim;
}
double queries(const AttentionShare& s) { return s.rows * s.heads * s.tokens * s.head_dim; }

}  // namespace

double sequence_unit(const AttentionShare& s) { return (s.ranks - 1) * keys(s); }

SentInLayer sent_by_sequence(SequenceMethod method, const AttentionShare& s, double bytes) {
  const double unit = sequence_unit(s), hops = s.ranks - 1;
  if (s.ranks == 1) return {};
  if (s.projected > 0) {
    const double each = sent_by_all_reduce(projected(s) * bytes, s.ranks);
    return {each, each, 4 * hops};
  }
  switch (method) {
    case SequenceMethod::rsa:
      return {2 * unit * bytes, 4 * unit * bytes, 6 * hops};
    case SequenceMethod::ring:
      return {2 * unit * bytes, 2 * unit * (bytes + kF32), 3 * hops};
    case SequenceMethod::heads: {
      const double each = 2 * (queries(s) + keys(s)) * hops / s.ranks * bytes;
      return {each, each, 8};
    }
  }
  return {};
}

double kept_by_attention(SequenceMethod method, const AttentionShare& s, double bytes) {
  const double scores = s.rows * s.heads * s.tokens;
  if (s.projected > 0) return scores * kF32 + projected(s) * bytes;
  const bool stores = method == SequenceMethod::rsa && s.ranks > 1;
  return stores ? scores * s.ranks * s.tokens * bytes : scores * kF32;
}

double needed_by_attention(SequenceMethod method, const AttentionShare& s, double bytes) {
  if (s.ranks == 1) return 0.0;
  if (s.projected > 0) return projected(s) * bytes;
  switch (method) {
    case SequenceMethod::rsa:  // a chunk under way; the gradients of the scores and of all keys
      return 2 * keys(s) * bytes + s.rows * s.heads * s.tokens * s.ranks * s.tokens * bytes +
             keys(s) * s.ranks * bytes;
    case SequenceMethod::ring:
      return 4 * keys(s) * bytes + 4 * keys(s) * kF32 + queries(s) * kF32;
    case SequenceMethod::heads:
      return (2 * queries(s) + 2 * keys(s)) * bytes;
  }
  return 0.0;
}

double sent_by_reduce_scatter(double whole_bytes, double n) { return whole_bytes * (n - 1) / n; }
double sent_by_all_reduce(double bytes, double n) { return 2 * sent_by_reduce_scatter(bytes, n); }

double sent_by_tensor(double rows, double tokens, double dim, double n, double bytes) {
  return 4 * sent_by_all_reduce(rows * tokens * dim * bytes, n);
}

int64_t in_flight(int64_t stages, int64_t stage, int64_t micro_batches) {
  return std::min(stages - stage, micro_batches);
}

double bubble(int64_t stages, int64_t micro_batches) {
  return static_cast<double>(stages - 1) / static_cast<double>(micro_batches + stages - 1);
}

}  // namespace heed::recipes
