// Sliding-window attention (Longformer, arXiv 2004.05150, section 3; sinks: arXiv 2309.17453):
//   token i sees the `window` tokens up to itself, or `window` / 2 on either side where the host is
//   bidirectional, and the first `sinks` tokens.
#pragma once

#include "nn/attention/pattern_attention.h"

namespace heed::nn {

struct WindowAttentionOptions {
  int64_t window = 256;
  int64_t sinks = 0;

  void options(Options& o);
};

class WindowAttention : public PatternAttention {
 public:
  WindowAttention(const AttentionHost& host, const WindowAttentionOptions& options)
      : PatternAttention(host), options_(options) {}

  /// Not with sinks: they are the first tokens of the row, which may be another document's.
  bool packs_documents() const override { return options_.sinks == 0; }

 protected:
  AttentionPattern pattern(const PatternRequest& request) const override;
  KeySpan key_span() const override;

 private:
  WindowAttentionOptions options_;
};

}  // namespace heed::nn
