// A linear probe of features that another model made and that stay as they are: of one vector an
// example, or of a sequence of them, which the `pool:` slot makes one of first.
//   logits = W norm(pool(x)) + b
// The norm, without weights of its own, is that of He et al. (arXiv 2111.06377, appendix A.1):
// features of any scale are then learnt at one rate.
#pragma once

#include <memory>
#include <string>

#include "core/options.h"
#include "nn/layers/batch_norm.h"
#include "nn/layers/linear.h"
#include "nn/models/classifier.h"
#include "nn/pooling/pooling.h"

namespace heed::nn {

struct LinearProbeOptions {
  int64_t features = 0;
  int64_t tokens = 0;
  int64_t classes = 0;
  Config pool = Config(Config::Map{{"type", "mean"}});
  std::string norm = "batch";
  double init_std = 0.01;

  void options(Options& o);
};

class LinearProbe : public Classifier {
 public:
  explicit LinearProbe(const LinearProbeOptions& options);

  ClassifierInput input() const override;
  int64_t classes() const override { return options_.classes; }
  Config config() const override;
  using Classifier::forward;
  /// x [B, D], or [B, N, D] where the options have tokens; no lengths.
  Tensor forward(const Tensor& x, const Tensor& lengths) override;
  double flops() const override;

  std::unique_ptr<Pooling> pool;    // or null: of vectors
  std::unique_ptr<BatchNorm> norm;  // or null
  Linear head;

 private:
  LinearProbeOptions options_;
};

}  // namespace heed::nn
