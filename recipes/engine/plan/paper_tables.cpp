#include "recipes/engine/plan/paper_tables.h"

#include <cmath>
#include <vector>

#include "recipes/engine/plan/formulas.h"
#include "recipes/engine/plan/machine.h"

namespace heed::recipes {
namespace {

constexpr double kF32 = 4.0;

/// The largest n with bytes(n) within a P100's memory; bytes grows with n.
template <class Bytes>
int64_t largest_on_p100(const Bytes& bytes) {
  const double room = find_machine("p100").usable_bytes();
  return largest([&](int64_t n) { return bytes(static_cast<double>(n)) <= room; });
}

/// A published number and what the formulas give.
struct Row {
  std::string what, tensor, sequence, ours, published;
};

std::string times(double ratio) { return fmt::format("{:.1f}x", ratio); }

std::string table(const std::vector<std::string>& header, const std::vector<Row>& rows) {
  std::string text = fmt::format("| {} |\n", fmt::join(header, " | "));
  text += "|---|---|---|---|---|\n";
  for (const Row& row : rows) {
    text += fmt::format("| {} | {} | {} | {} | {} |\n", row.what, row.tensor, row.sequence,
                        row.ours, row.published);
  }
  return text;
}

Row batch_row(const PaperModel& model, double tensor_ranks, const char* published) {
  constexpr double kTokens = 512, kSequenceRanks = 64;
  const int64_t t = paper_largest_batch(model, PaperScheme::tensor, kTokens, tensor_ranks);
  const int64_t s = paper_largest_batch(model, PaperScheme::sequence, kTokens, kSequenceRanks);
  return {fmt::format("largest batch, {}, L = 512, tensor {:.0f}, sequence 64", model.name,
                      tensor_ranks),
          fmt::format("{}", t), fmt::format("{}", s),
          times(static_cast<double>(s) / static_cast<double>(t)), published};
}

Row length_row(double sequence_ranks, double tensor_ranks, const char* published) {
  constexpr double kRows = 64;
  const int64_t t = paper_longest(kBertBase, PaperScheme::tensor, kRows, tensor_ranks);
  const int64_t s = paper_longest(kBertBase, PaperScheme::sequence, kRows, sequence_ranks);
  return {fmt::format("longest sequence, BERT Base, B = 64, tensor {:.0f}, sequence {:.0f}",
                      tensor_ranks, sequence_ranks),
          fmt::format("{}", t), fmt::format("{}", s),
          times(static_cast<double>(s) / static_cast<double>(t)), published};
}

std::vector<Row> limit_rows() {
  return {batch_row(kBertBase, 12, "13.7x"), batch_row(kBertLarge, 16, "10.2x"),
          length_row(64, 12, "3.0x"), length_row(16, 12, "1.4x")};
}

/// Weak scaling: what a rank holds as ranks and batch grow together, against one rank's.
struct Scaling {
  double ranks, rows;
  double tensor_mb, sequence_mb;  // published; 0: out of memory
};
constexpr Scaling kScaling[] = {
    {1, 64, 8477, 8478}, {2, 128, 9520, 8479}, {4, 256, 12233, 8481}, {8, 512, 0, 8491}};

double relative(const Scaling& s, PaperScheme scheme) {
  return paper_bytes(kBertBase, scheme, s.rows, 512, s.ranks) /
         paper_bytes(kBertBase, scheme, kScaling[0].rows, 512, 1);
}

std::string published(double mb, double first) {
  return mb == 0 ? "out of memory" : fmt::format("{:.0f} MB, {:.2f}", mb, mb / first);
}

std::vector<Row> scaling_rows() {
  std::vector<Row> rows;
  for (const Scaling& s : kScaling) {
    rows.push_back(
        {fmt::format("{:.0f} {}, B = {:.0f}", s.ranks, s.ranks == 1 ? "rank" : "ranks", s.rows),
         fmt::format("{:.2f}", relative(s, PaperScheme::tensor)),
         published(s.tensor_mb, kScaling[0].tensor_mb),
         fmt::format("{:.2f}", relative(s, PaperScheme::sequence)),
         published(s.sequence_mb, kScaling[0].sequence_mb)});
  }
  return rows;
}

struct LinformerLimit {
  int64_t tokens, dense_tokens;  ///< on 32 ranks; of dense attention on one
};

LinformerLimit linformer_limit() {
  return {paper_longest(kBertBase, PaperScheme::linformer, 4, 32),
          paper_longest(kBertBase, PaperScheme::sequence, 4, 1)};
}

}  // namespace

double paper_bytes(const PaperModel& m, PaperScheme scheme, double rows, double tokens,
                   double ranks) {
  double block = 0.0;
  switch (scheme) {
    case PaperScheme::tensor:
      block = paper::mlp_tensor(rows, tokens, m.dim, ranks) +
              paper::attention_tensor(rows, tokens, m.dim, m.heads, m.head_dim, ranks);
      break;
    case PaperScheme::sequence:
      block = paper::mlp_sequence(rows, tokens, m.dim, ranks) +
              paper::attention_sequence(rows, tokens, m.dim, m.heads, m.head_dim, ranks);
      break;
    case PaperScheme::linformer:
      block = paper::mlp_sequence(rows, tokens, m.dim, ranks) +
              paper::linformer_sequence(rows, tokens, m.dim, m.heads, m.head_dim, kPaperProjection,
                                        ranks);
      break;
  }
  return m.layers * block * kF32;
}

int64_t paper_largest_batch(const PaperModel& model, PaperScheme scheme, double tokens,
                            double ranks) {
  return largest_on_p100(
      [&](double rows) { return paper_bytes(model, scheme, rows, tokens, ranks); });
}

int64_t paper_longest(const PaperModel& model, PaperScheme scheme, double rows, double ranks) {
  return largest_on_p100(
      [&](double tokens) { return paper_bytes(model, scheme, rows, tokens, ranks); });
}

std::string paper_tables_text() {
  const LinformerLimit limit = linformer_limit();
  const auto first = paper_bytes(kBertBase, PaperScheme::sequence, kScaling[0].rows, 512, 1);
  std::string text =
      table({"limit on 16 GB", "tensor", "sequence", "ratio by the formulas", "published ratio"},
            limit_rows());
  text += fmt::format(
      "| longest sequence, B = 4: dense attention on one rank, Linformer on 32 | {} | {} | {} | "
      "more "
      "than 114K tokens, 27x |\n\n",
      limit.dense_tokens, limit.tokens,
      times(static_cast<double>(limit.tokens) / static_cast<double>(limit.dense_tokens)));
  text += table({"weak scaling, L = 512", "tensor, of one rank's", "published tensor",
                 "sequence, of one rank's", "published sequence"},
                scaling_rows());
  text += fmt::format(
      "\nOne rank's {:.1f} GB at B = 64 by the formulas are {:.1f} times the 8478 MB published.\n",
      first * 1e-9, first * 1e-6 / kScaling[0].sequence_mb);
  return text;
}

Config paper_tables_config() {
  Config limits = Config::list();
  for (const Row& row : limit_rows()) {
    Config one = Config::map();
    one.set("what", row.what);
    one.set("tensor", static_cast<int64_t>(std::stoll(row.tensor)));
    one.set("sequence", static_cast<int64_t>(std::stoll(row.sequence)));
    one.set("ratio", row.ours);
    one.set("published", row.published);
    limits.append(std::move(one));
  }
  const LinformerLimit limit = linformer_limit();
  Config linformer = Config::map();
  linformer.set("tokens", limit.tokens);
  linformer.set("dense_tokens_on_one_rank", limit.dense_tokens);
  Config scaling = Config::list();
  for (const Scaling& s : kScaling) {
    Config one = Config::map();
    one.set("ranks", s.ranks);
    one.set("rows", s.rows);
    one.set("tensor", relative(s, PaperScheme::tensor));
    one.set("sequence", relative(s, PaperScheme::sequence));
    one.set("published_tensor_mb", s.tensor_mb == 0 ? Config() : Config(s.tensor_mb));
    one.set("published_sequence_mb", s.sequence_mb);
    scaling.append(std::move(one));
  }
  Config document = Config::map();
  document.set("limits", std::move(limits));
  document.set("linformer", std::move(linformer));
  document.set("weak_scaling", std::move(scaling));
  return document;
}

}  // namespace heed::recipes
