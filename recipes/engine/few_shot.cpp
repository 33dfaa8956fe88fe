#include "recipes/engine/few_shot.h"

#include <algorithm>

#include "autograd/ops/metric_loss.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "recipes/engine/measures/interval.h"
#include "recipes/engine/task_data.h"

namespace heed::recipes {

void FewShotOptions::options(Options& o) {
  o.field("embedding", embedding, "features that the model gives an example", {.min = 1});
  o.field("ways", ways, "classes of a training episode; train.batch_size counts episodes",
          {.min = 2});
  o.field("shots", shots, "examples of each class whose mean is its prototype", {.min = 1});
  o.field("queries", queries, "further examples of each class, which are to be told apart",
          {.min = 1});
  o.field("evaluation_ways", evaluation_ways, "classes of an evaluated episode; 0: as in training",
          {.min = 0});
  o.field("evaluation_shots", evaluation_shots, "its shots; 0: as in training", {.min = 0});
  o.field("evaluation_queries", evaluation_queries, "its queries; 0: as in training", {.min = 0});
  o.field("episodes", episodes, "episodes of an evaluation", {.min = 2});
  o.field("distance", distance,
          "logits: the negative squared Euclidean distance to a prototype, or the cosine",
          {.one_of = {"euclidean", "cosine"}});
  o.field("scale", scale, "multiplies the logits (cosines want about 10)", {.above = 0});
  o.check(evaluation_ways != 1, "evaluation_ways", "an episode needs two classes at least");
  part_option(o, part);
}

FewShot::FewShot(const Recipe& recipe, TaskUse use, const std::string& assets)
    : GroupTask(recipe), options_(read_options<FewShotOptions>(recipe.task, "task few_shot")) {
  open_groups(options_.part, options_.embedding, use, assets);
  if (use == TaskUse::train) start_groups(trained().shape(), trained().shape().each);
  if (data_ && data_->size(evaluated_part()) > 0) {
    sampler(evaluated_part(), measured().shape().each, measured().ways);
  }
}

FewShot::Episode FewShot::measured() const {
  const auto own = [](int64_t given, int64_t trained) { return given > 0 ? given : trained; };
  return {own(options_.evaluation_ways, options_.ways),
          own(options_.evaluation_shots, options_.shots),
          own(options_.evaluation_queries, options_.queries)};
}

Tensor FewShot::loss(const Batch& batch) {
  const Tensor x = embed(batch);
  const GroupShape shape = trained().shape();
  const Tensor episodes =
      reshape(x, {x.size(0) / shape.rows(), shape.classes, shape.each, x.size(1)});
  return prototype_loss(episodes, options_.shots, options_.distance == "cosine", options_.scale);
}

int64_t FewShot::episodes(const EvaluationOptions& options) const {
  if (data_->size(evaluated_part()) == 0) return 0;
  return options.max_batches > 0
             ? std::min(options_.episodes, options.max_batches * evaluation_rows(options))
             : options_.episodes;
}

void FewShot::walk_episodes(const EvaluationOptions& options, Communicator& communicator,
                            const Progress& progress,
                            const std::function<void(const Batch&)>& visit) const {
  const NoGrad no_grad;
  const GroupShape shape = measured().shape();
  const data::ClassSampler classes = sampler(evaluated_part(), shape.each, shape.classes);
  const int64_t all = episodes(options);
  for (int64_t e = communicator.rank(); e < all; e += communicator.size()) {
    const RandomKey key{0, hash_name("data/episodes"), static_cast<uint64_t>(e)};
    visit(gathered_rows(*data_, evaluated_part(),
                        classes.rows(key, shape.classes, shape.each, false)));
    if (progress) progress(e + 1, all);
  }
}

double FewShot::accuracy_of(const Tensor& logits, int64_t queries) {
  const std::vector<int64_t> nearest = argmax(logits, 2).to_vector<int64_t>();
  int64_t right = 0;
  for (size_t i = 0; i < nearest.size(); ++i) {
    right += nearest[i] == static_cast<int64_t>(i) / queries;
  }
  return static_cast<double>(right) / static_cast<double>(nearest.size());
}

Metrics FewShot::evaluate(const EvaluationOptions& options, Communicator& communicator,
                          const Progress& progress) {
  if (episodes(options) == 0) return {};
  const Episode e = measured();
  const bool cosine = options_.distance == "cosine";
  IntervalMean losses, accuracy;
  walk_episodes(options, communicator, progress, [&](const Batch& batch) {
    const Tensor x = embed(batch);
    const Tensor episode = reshape(x, {1, e.ways, e.shots + e.queries, x.size(1)});
    losses.add(prototype_loss(episode, e.shots, cosine, options_.scale).item());
    accuracy.add(accuracy_of(prototype_logits(episode, e.shots, cosine), e.queries));
  });
  losses.reduce(communicator);
  accuracy.reduce(communicator);
  Metrics metrics{{"loss", losses.mean()}};
  for (auto& metric : accuracy.metrics("accuracy")) metrics.push_back(std::move(metric));
  return metrics;
}

Metrics FewShot::baselines(const EvaluationOptions& options) {
  if (options.baselines.empty() || episodes(options) == 0) return {};
  if (data_->tokenizer() != nullptr) {
    fail_request("evaluation.baselines: texts have no pixels to compare");
  }
  const Episode e = measured();
  const std::unique_ptr<Communicator> alone = self_communicator();
  IntervalMean accuracy;
  walk_episodes(options, *alone, {}, [&](const Batch& batch) {
    const Tensor& x = batch["x"];
    const int64_t pixels = x.numel() / x.size(0);
    const Tensor episode = reshape(x, {1, e.ways, e.shots + e.queries, pixels});
    accuracy.add(accuracy_of(prototype_logits(episode, e.shots), e.queries));
  });
  return accuracy.metrics("pixels.accuracy");
}

TaskEntry few_shot_entry() {
  return {"few_shot", "tell new classes apart by a few examples of each",
          [] { return describe_options<FewShotOptions>(); },
          [](const Recipe& recipe, TaskUse use, const std::string& assets) {
            return std::make_unique<FewShot>(recipe, use, assets);
          }};
}

}  // namespace heed::recipes
