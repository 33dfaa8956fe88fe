// The task of few-shot classification by prototypical networks (Snell et al., arXiv 1703.05175):
// learn an embedding in which a class's few examples tell where its others lie.
//   loss = -mean over queries of ln softmax(-|f(query) - prototype_n|^2)[own class],
//   prototype_n = mean over the class's shots of f(shot)
// in episodes of N classes ("ways"), K shots and Q queries of each. Measured on classes that
// training never saw.
#pragma once

#include <string>
#include <vector>

#include "recipes/engine/group_task.h"

namespace heed::recipes {

struct FewShotOptions {
  int64_t embedding = 64;
  int64_t ways = 5, shots = 1, queries = 15;
  int64_t evaluation_ways = 0, evaluation_shots = 0, evaluation_queries = 0;
  int64_t episodes = 600;
  std::string distance = "euclidean";
  double scale = 1.0;
  std::string part = "auto";
  void options(Options& o);
};

class FewShot : public GroupTask {
 public:
  FewShot(const Recipe& recipe, TaskUse use, const std::string& assets);

  const char* name() const override { return "few_shot"; }
  Tensor loss(const Batch& batch) override;

  /// loss, accuracy and accuracy_interval: means over the evaluated part's episodes, and half the
  /// width of the accuracy's 95% interval over them (Student's t). The episodes are the same for
  /// every run, whatever its seed.
  Metrics evaluate(const EvaluationOptions& options, Communicator& communicator,
                   const Progress& progress) override;
  std::string best_metric() const override { return "accuracy"; }
  bool lower_is_better() const override { return false; }
  /// pixels.accuracy and pixels.accuracy_interval: the nearest mean of pixels, of the same
  /// episodes.
  Metrics baselines(const EvaluationOptions& options) override;
  std::vector<std::string> known_baselines() const override { return {"pixels"}; }

 private:
  /// Of training or of evaluation.
  struct Episode {
    int64_t ways, shots, queries;
    GroupShape shape() const { return {ways, shots + queries}; }
  };
  Episode trained() const { return {options_.ways, options_.shots, options_.queries}; }
  Episode measured() const;
  int64_t episodes(const EvaluationOptions& options) const;
  /// Calls `visit` with this rank's share of the evaluated episodes.
  void walk_episodes(const EvaluationOptions& options, Communicator& communicator,
                     const Progress& progress,
                     const std::function<void(const Batch&)>& visit) const;
  /// Part of the queries whose largest logit is their own class's: [1, N Q, N].
  static double accuracy_of(const Tensor& logits, int64_t queries);

  FewShotOptions options_;
};

/// The task's line in the registry.
TaskEntry few_shot_entry();

}  // namespace heed::recipes
