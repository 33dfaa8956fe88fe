// Attention within blocks of a map (or a sequence): the same options along every axis.
//   window_partition  windows side by side, shifted by half in every second layer when asked
//                     (Swin, arXiv 2103.14030; DaViT, arXiv 2204.03645)
//   halo              blocks that see a halo around themselves (HaloNet, arXiv 2103.12731)
// A learned table may add a bias for every relative offset within the window; a halo's tables are
// of vectors, one table an axis, whose products with the query are added.
#pragma once

#include "nn/attention/pattern_attention.h"

namespace heed::nn {

struct WindowPartitionOptions {
  int64_t window = 7;
  bool shift = false;
  bool relative = false;
  int64_t axes = 2;

  void options(Options& o);
};

class WindowPartitionAttention : public PatternAttention {
 public:
  WindowPartitionAttention(const AttentionHost& host, const WindowPartitionOptions& options);

  void split_heads(const TensorSplitPointer& split) override;

  Tensor table;  ///< [heads, (2 window - 1)^axes] with `relative`

 protected:
  AttentionPattern pattern(const PatternRequest& request) const override;
  void add_terms(AttentionScore& score, const PatternRequest& request) const override;

 private:
  std::vector<int64_t> windows() const {
    return std::vector<int64_t>(static_cast<size_t>(options_.axes), options_.window);
  }

  WindowPartitionOptions options_;
};

struct HaloOptions {
  int64_t block = 8;
  int64_t halo = 3;
  std::string border = "virtual";
  bool relative = false;
  int64_t axes = 2;

  void options(Options& o);
};

class HaloAttention : public PatternAttention {
 public:
  HaloAttention(const AttentionHost& host, const HaloOptions& options);

  /// Not where virtual keys have logits: these count a whole map's queries.
  bool shares_tokens() const override { return !options_.relative || options_.border != "virtual"; }

  /// With `relative`, for each axis [2 (block + 2 halo) - 1, head_dim], shared by heads: the logit
  /// of a pair gains q_i.r(offset), unscaled.
  std::vector<Tensor> tables;

 protected:
  AttentionPattern pattern(const PatternRequest& request) const override;
  bool has_query_terms() const override { return options_.relative; }
  void add_query_terms(AttentionScore& score, const Tensor& q,
                       const PatternRequest& request) const override;

 private:
  std::vector<HaloAxis> halo_axes(const PatternRequest& request) const;

  HaloOptions options_;
};

}  // namespace heed::nn
