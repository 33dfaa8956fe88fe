#include "nn/losses/registry.h"

#include "nn/entry.h"
#include "nn/losses/cross_entropy.h"
#include "nn/losses/dice.h"
#include "nn/losses/metric.h"
#include "nn/losses/pointwise.h"

namespace heed::nn {
namespace {

template <class Settings>
ModuleEntry loss(const Description& d) {
  return entry<Loss<Settings>, Settings>("loss", d);
}

}  // namespace

std::vector<ModuleEntry> loss_entries() {
  const std::vector<std::string> pair{"x", "target"};
  return {
      loss<CrossEntropySettings>(
          {"cross_entropy", "-log softmax(logits)[target]", "", {"logits", "targets"}}),
      loss<WeightedCrossEntropySettings>({"weighted_cross_entropy",
                                          "cross-entropy with a weight for each class",
                                          "",
                                          {"logits", "targets", "class_weights"}}),
      loss<SoftCrossEntropySettings>({"soft_cross_entropy",
                                      "cross-entropy against probabilities (mixup, a teacher's)",
                                      "arXiv 1710.09412",
                                      {"logits", "targets"}}),
      loss<DistillationSettings>({"distillation",
                                  "divergence from a teacher's softened softmax",
                                  "arXiv 1503.02531, section 2",
                                  {"logits", "teacher"}}),
      loss<ZLossSettings>({"z_loss",
                           "square of the log-partition, against drifting logits",
                           "arXiv 2204.02311, section 5",
                           {"logits"}}),
      loss<MseSettings>({"mse", "square of the difference", "", pair}),
      loss<L1Settings>({"l1", "size of the difference", "", pair}),
      loss<HuberSettings>({"huber", "square near zero, linear beyond delta", "Huber 1964", pair}),
      loss<SmoothL1Settings>({"smooth_l1", "huber / beta", "arXiv 1504.08083, eq. 3", pair}),
      loss<BceSettings>(
          {"bce", "binary cross-entropy of probabilities", "", {"x", "target", "weight?"}}),
      loss<BceWithLogitsSettings>({"bce_with_logits",
                                   "binary cross-entropy of logits",
                                   "",
                                   {"x", "target", "weight?", "pos_weight?"}}),
      loss<KlDivSettings>(
          {"kl_div", "divergence of log-probabilities from probabilities", "", pair}),
      loss<CosineEmbeddingSettings>(
          {"cosine_embedding", "cosines of pairs, alike or not", "", {"x", "y", "sign"}}),
      loss<TripletSettings>({"triplet",
                             "an anchor's distance from like and unlike",
                             "arXiv 1503.03832, eq. 2",
                             {"anchor", "positive", "negative"}}),
      loss<BatchHardTripletSettings>({"batch_hard_triplet",
                                      "triplets mined in the batch: farthest like, nearest unlike",
                                      "arXiv 1703.07737, eq. 5",
                                      {"x", "labels"}}),
      loss<InfoNceSettings>({"info_nce",
                             "each row's own partner among all the batch's",
                             "arXiv 1807.03748, eq. 4; arXiv 2103.00020",
                             {"x", "y"}}),
      loss<PrototypeSettings>({"prototype",
                               "the nearest of the classes' means, in episodes",
                               "arXiv 1703.05175, eq. 1 and 2",
                               {"x"}}),
      loss<DiceSettings>({"dice", "1 - overlap of regions", "arXiv 1606.04797", {"p", "target"}}),
  };
}

}  // namespace heed::nn
