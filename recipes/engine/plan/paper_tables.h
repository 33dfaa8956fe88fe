// The tables of "Sequence Parallelism: Long Sequence Training from System Perspective" (arXiv
// 2105.13120), from its own memory formulas (formulas.h) beside the numbers that it published.
#pragma once

#include <cstdint>
#include <string>

#include "core/config.h"

namespace heed::recipes {

/// BERT as the paper measures it.
struct PaperModel {
  const char* name;
  double layers, dim, heads, head_dim;
};
inline constexpr PaperModel kBertBase = {"BERT Base", 12, 768, 12, 64};
inline constexpr PaperModel kBertLarge = {"BERT Large", 24, 1024, 16, 64};

enum class PaperScheme { tensor, sequence, linformer };

/// Bytes of all blocks on one rank of N, in f32: layers x (MLP + attention). Linformer projects to
/// `kPaperProjection` rows.
double paper_bytes(const PaperModel& model, PaperScheme scheme, double rows, double tokens,
                   double ranks);
inline constexpr double kPaperProjection = 256;

/// The largest batch, and the longest sequence, that fit the memory of the machine "p100".
int64_t paper_largest_batch(const PaperModel& model, PaperScheme scheme, double tokens,
                            double ranks);
int64_t paper_longest(const PaperModel& model, PaperScheme scheme, double rows, double ranks);

/// All tables in Markdown, as docs/parallelism.md has them.
std::string paper_tables_text();
Config paper_tables_config();

}  // namespace heed::recipes
