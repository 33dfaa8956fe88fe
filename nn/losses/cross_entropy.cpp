#include "nn/losses/cross_entropy.h"

#include "autograd/ops/distribution_loss.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/weighted_loss.h"

namespace heed::nn {
namespace {

void ignore_index_field(Options& o, int64_t& ignore_index) {
  o.field("ignore_index", ignore_index, "targets of this value do not count");
}

void smoothing_field(Options& o, double& smoothing) {
  o.field("smoothing", smoothing, "probability spread evenly over all classes",
          {.min = 0, .below = 1});
}

}  // namespace

void CrossEntropySettings::options(Options& o) {
  ignore_index_field(o, ignore_index);
  smoothing_field(o, smoothing);
  reduction_field(o, reduction, "counted targets");
}

Tensor CrossEntropySettings::operator()(const Tensor& logits, const Tensor& targets) const {
  return cross_entropy(logits, targets, {ignore_index, smoothing, reduction_named(reduction)});
}

void WeightedCrossEntropySettings::options(Options& o) {
  ignore_index_field(o, ignore_index);
  reduction_field(o, reduction, "counted targets");
}

Tensor WeightedCrossEntropySettings::operator()(const Tensor& logits, const Tensor& targets,
                                                const Tensor& class_weights) const {
  return weighted_cross_entropy(
      logits, targets, stop_gradient(class_weights),
      {.ignore_index = ignore_index, .reduction = reduction_named(reduction)});
}

void SoftCrossEntropySettings::options(Options& o) {
  smoothing_field(o, smoothing);
  reduction_field(o, reduction, "rows");
}

Tensor SoftCrossEntropySettings::operator()(const Tensor& logits, const Tensor& targets) const {
  return soft_cross_entropy(logits, stop_gradient(targets), smoothing, reduction_named(reduction));
}

void DistillationSettings::options(Options& o) {
  o.field("temperature", temperature, "divides both logits; its square multiplies the loss",
          {.above = 0});
  reduction_field(o, reduction, "rows");
}

Tensor DistillationSettings::operator()(const Tensor& logits, const Tensor& teacher) const {
  return distillation_loss(logits, stop_gradient(teacher), temperature, reduction_named(reduction));
}

void ZLossSettings::options(Options& o) { reduction_field(o, reduction, "rows"); }

Tensor ZLossSettings::operator()(const Tensor& logits) const {
  return z_loss(logits, reduction_named(reduction));
}

}  // namespace heed::nn
