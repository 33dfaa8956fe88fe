// Poolings without parameters: the mean, and the states at an end.
#pragma once

#include "nn/pooling/pooling.h"

namespace heed::nn {

struct NoPoolingOptions {
  void options(Options&) {}
};

/// The mean of the tokens.
class MeanPooling : public Pooling {
 public:
  explicit MeanPooling(const PoolingHost& host, const NoPoolingOptions& = {}) : dim_(host.dim) {}

  Tensor forward(const Tensor& x, const Tensor& lengths) override;
  int64_t width() const override { return dim_; }
  double flops(int64_t tokens) const override { return static_cast<double>(tokens * dim_); }

 private:
  int64_t dim_;
};

/// A row's last token; of a bidirectional host each direction's last state: the second half of the
/// features is the first token's.
class LastPooling : public Pooling {
 public:
  explicit LastPooling(const PoolingHost& host, const NoPoolingOptions& = {}) : host_(host) {}

  Tensor forward(const Tensor& x, const Tensor& lengths) override;
  int64_t width() const override { return host_.dim; }
  double flops(int64_t) const override { return 0.0; }

 private:
  PoolingHost host_;
};

}  // namespace heed::nn
