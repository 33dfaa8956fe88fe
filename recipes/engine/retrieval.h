// The task of retrieval: an embedding in which examples of one class lie near each other, learnt
// from triplets (Hermans et al., "In defense of the triplet loss", arXiv 1703.07737): a batch is
// groups of P classes ("identities") with K examples of each, and every example's farthest of its
// class and nearest of another, within its group, make a triplet.
//   loss = mean of max(0, |a - p| - |a - n| + margin), or of ln(1 + exp(|a - p| - |a - n|))
// Measured by what each query finds in a gallery, as a rule of classes that training never saw.
#pragma once

#include <string>
#include <vector>

#include "recipes/engine/group_task.h"

namespace heed::recipes {

struct RetrievalOptions {
  int64_t embedding = 128;
  bool normalise = true;
  int64_t identities = 8, each = 4;
  double margin = 0.3;
  bool soft = false;
  std::vector<int64_t> ks = {1, 5, 10};
  std::string part = "auto";
  std::string gallery = "queries";
  void options(Options& o);
};

class Retrieval : public GroupTask {
 public:
  Retrieval(const Recipe& recipe, TaskUse use, const std::string& assets);

  const char* name() const override { return "retrieval"; }
  Tensor loss(const Batch& batch) override;

  /// loss (of fixed groups of the queries' part), map, and recall@k for every k: over the queries
  /// that have a relevant item in the gallery (measures/retrieval.h). Similarity is minus the
  /// Euclidean distance, which orders unit vectors as the cosine does.
  Metrics evaluate(const EvaluationOptions& options, Communicator& communicator,
                   const Progress& progress) override;
  std::string best_metric() const override { return "map"; }
  bool lower_is_better() const override { return false; }

 private:
  GroupShape shape() const { return {options_.identities, options_.each}; }
  data::Part gallery_part() const;
  /// Embeddings, of unit length where the task normalises.
  Tensor placed(const Batch& batch);
  /// The same [size, D] of the first `size` examples of a part, which the ranks share out; on all
  /// ranks.
  Tensor placed(data::Part part, int64_t size, const EvaluationOptions& options,
                Communicator& communicator, const Progress& progress);
  Tensor triplets(const Tensor& x, const Tensor& labels) const;
  /// The loss of so many groups as cover the part once, drawn the same in every run.
  double held_out_loss(const Tensor& x);

  RetrievalOptions options_;
};

/// The task's line in the registry.
TaskEntry retrieval_entry();

}  // namespace heed::recipes
