// The task of sequential recommendation: predict the item that a user takes next. Leave-one-out: a
// user's last item is the test target, the last but one the validation target, what comes before is
// for training. Evaluation ranks every item that the user has not had.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/user_items.h"
#include "nn/models/recommender.h"
#include "recipes/engine/indexed_task.h"
#include "recipes/engine/measures/recommendation.h"

namespace heed::recipes {

/// What the embeddings are taught beside (MQSA-TED, arXiv 2311.01056): which item follows which, by
/// counts over all users. loss + weight * distillation.
struct TransitionOptions {
  double weight = 0.0;
  double temperature = 0.1;
  int64_t span = 1;
  bool shuffled = false;
  void options(Options& o);
};

struct SequentialRecommendationOptions {
  std::string loss = "cross_entropy";
  int64_t negatives = 1;
  std::vector<int64_t> k = {5, 10, 20};
  std::string part = "validation";
  TransitionOptions transitions;
  void options(Options& o);
};

class SequentialRecommendation : public IndexedTask {
 public:
  SequentialRecommendation(const Recipe& recipe, TaskUse use);

  const char* name() const override { return "sequential_recommendation"; }
  nn::Module& module() override { return *model_; }
  std::string data_summary() override { return data_->summary; }
  const char* item_name() const override { return "users"; }
  void resolve(Recipe& recipe) override { recipe.model = model_->config(); }

  /// Batches hold "items" and "targets", i64 [B, N], 0 behind a row's last item, N the longest row;
  /// with sampled negatives "negatives" [B, N, K] too.
  Tensor loss(const Batch& batch) override;

  /// loss (nats, over all items), then recall@k and ndcg@k of every k, each over all users.
  Metrics evaluate(const EvaluationOptions& options, Communicator& communicator,
                   const Progress& progress) override;
  /// "popularity" ranks by how often an item was taken in training; of the users that an evaluation
  /// visits.
  Metrics baselines(const EvaluationOptions& options) override;
  std::vector<std::string> known_baselines() const override { return {"popularity"}; }
  /// NDCG at the largest k.
  std::string best_metric() const override;
  bool lower_is_better() const override { return false; }

  Config export_config() override { return model_->config(); }

 private:
  double flops_per_row() override;
  /// Adds the batch's ranks; returns the sum of its losses.
  double evaluate_batch(const data::SequenceBatch& batch, RecommendationMeasures& measures);
  data::Part part() const;

  SequentialRecommendationOptions options_;
  std::shared_ptr<const data::UserItems> data_;
  std::unique_ptr<nn::Recommender> model_;
  std::optional<nn::TransitionTeacher> transitions_;  // where they are taught
};

/// The task's line in the registry.
TaskEntry sequential_recommendation_entry();

}  // namespace heed::recipes
