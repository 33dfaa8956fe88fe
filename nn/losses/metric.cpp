#include "nn/losses/metric.h"

#include "autograd/ops/metric_loss.h"

namespace heed::nn {
namespace {

void triplet_fields(Options& o, double& margin, bool& soft) {
  o.field("margin", margin, "how much nearer the positive must be", {.min = 0});
  o.field("soft", soft, "log(1 + exp(difference)) in place of the hinge, without a margin");
}

}  // namespace

void CosineEmbeddingSettings::options(Options& o) {
  o.field("margin", margin, "similarity that pairs of sign -1 may have at no cost",
          {.min = -1, .max = 1});
  reduction_field(o, reduction, "pairs");
}

Tensor CosineEmbeddingSettings::operator()(const Tensor& x, const Tensor& y,
                                           const Tensor& sign) const {
  return cosine_embedding_loss(x, y, sign, margin, reduction_named(reduction));
}

void TripletSettings::options(Options& o) {
  triplet_fields(o, margin, soft);
  reduction_field(o, reduction, "triplets");
}

Tensor TripletSettings::operator()(const Tensor& anchor, const Tensor& positive,
                                   const Tensor& negative) const {
  return triplet_loss(anchor, positive, negative, margin, soft, reduction_named(reduction));
}

void BatchHardTripletSettings::options(Options& o) { triplet_fields(o, margin, soft); }

Tensor BatchHardTripletSettings::operator()(const Tensor& x, const Tensor& labels) const {
  return batch_hard_triplet_loss(x, labels, margin, soft);
}

void InfoNceSettings::options(Options& o) {
  o.field("temperature", temperature, "divides the cosines", {.above = 0});
  o.field("symmetric", symmetric, "average with the loss of y against x (CLIP)");
}

Tensor InfoNceSettings::operator()(const Tensor& x, const Tensor& y) const {
  return info_nce_loss(x, y, temperature, symmetric);
}

void PrototypeSettings::options(Options& o) {
  o.field("shots", shots, "of each class's examples, the first ones, whose mean is its prototype",
          {.min = 1});
  o.field("distance", distance,
          "logits: the negative squared Euclidean distance to a prototype, or the cosine",
          {.one_of = {"euclidean", "cosine"}});
  o.field("scale", scale, "multiplies the logits (cosines want about 10)", {.above = 0});
}

Tensor PrototypeSettings::operator()(const Tensor& x) const {
  return prototype_loss(x, shots, distance == "cosine", scale);
}

}  // namespace heed::nn
