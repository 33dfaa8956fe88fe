#include "recipes/engine/sequential_recommendation.h"

#include <algorithm>
#include <utility>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/view.h"
#include "core/parallel.h"
#include "data/permutation.h"
#include "data/registry.h"
#include "data/transitions.h"

namespace heed::recipes {
namespace {

/// Rows of `width` numbers a place, padded in front, moved to the left and cut to the longest:
/// [rows, longest] or [rows, longest, width]. `items` (0 pads) tells where a row begins; what is
/// below 0 becomes 0.
Tensor packed(const Tensor& values, const Tensor& items, int64_t width) {
  const int64_t rows = items.size(0), places = items.size(1);
  const int64_t* ids = items.data<int64_t>();
  std::vector<int64_t> begins;
  int64_t longest = 1;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t* begin = ids + row * places;
    begins.push_back(std::find_if(begin, begin + places, [](int64_t id) { return id != 0; }) -
                     begin);
    longest = std::max(longest, places - begins.back());
  }
  const Shape shape = values.rank() == 3 ? Shape{rows, longest, width} : Shape{rows, longest};
  Tensor out = Tensor::zeros(shape, DType::i64);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t begin = begins[static_cast<size_t>(row)];
    const int64_t* from = values.data<int64_t>() + (row * places + begin) * width;
    std::transform(from, from + (places - begin) * width,
                   out.data<int64_t>() + row * longest * width,
                   [](int64_t value) { return std::max<int64_t>(value, 0); });
  }
  return out;
}

data::UserItems open_data(const Recipe& recipe) {
  const Config& type = recipe.data.at("type");
  const data::DatasetEntry& entry = data::find_dataset(type.as_string(), type.where());
  if (!entry.open_sequences) {
    fail_request(type.where(), "task sequential_recommendation: the dataset '" + entry.name +
                                   "' holds no users' items");
  }
  return entry.open_sequences(recipe.data);
}

/// The counts of the data's transitions; `shuffled`: of each item another one's, drawn by `seed`.
nn::TransitionCounts read_transitions(const data::UserItems& data, const TransitionOptions& o,
                                      int64_t length, uint64_t seed) {
  data::ItemTransitions found = data::item_transitions(data, o.span, length);
  if (!o.shuffled) return {std::move(found.begin), std::move(found.next), std::move(found.count)};
  nn::TransitionCounts counts{{0}, {}, {}};
  const data::Permutation order(RandomKey{seed, hash_name("data/transitions"), 0},
                                static_cast<uint64_t>(data.items));
  for (int64_t item = 0; item < data.items; ++item) {
    const auto other = static_cast<size_t>(order(static_cast<uint64_t>(item)));
    for (int64_t k = found.begin[other]; k < found.begin[other + 1]; ++k) {
      counts.next.push_back(found.next[static_cast<size_t>(k)]);
      counts.count.push_back(found.count[static_cast<size_t>(k)]);
    }
    counts.begin.push_back(std::ssize(counts.next));
  }
  return counts;
}

}  // namespace

void TransitionOptions::options(Options& o) {
  o.field("weight", weight, "of this loss in the whole; 0: not taught", {.min = 0});
  o.field("temperature", temperature, "of both softmaxes, the counts' and the embeddings'",
          {.above = 0});
  o.field("span", span, "places between an item and one that counts as following it, at most",
          {.min = 1});
  o.field("shuffled", shuffled, "teach each item another one's successors: a control");
}

void SequentialRecommendationOptions::options(Options& o) {
  o.field("loss", loss,
          "cross_entropy over all items, or bce: each target against sampled negatives (SASRec's)",
          {.one_of = {"cross_entropy", "bce"}});
  o.field("negatives", negatives, "bce: sampled items a target", {.min = 1});
  o.field("k", k, "lengths of the lists that recall and ndcg are measured of", {.min = 1});
  o.field("part", part, "what evaluation predicts: each user's last item but one, or the last",
          {.one_of = {"validation", "test"}});
  o.field("transitions", transitions,
          "teach the embeddings which item follows which, by counts over all users");
  o.check(!k.empty(), "k", "'k' needs a number at least");
}

SequentialRecommendation::SequentialRecommendation(const Recipe& recipe, TaskUse use)
    : IndexedTask(recipe),
      options_(read_options<SequentialRecommendationOptions>(recipe.task,
                                                             "task sequential_recommendation")),
      data_(std::make_shared<const data::UserItems>(open_data(recipe))),
      model_(nn::make_recommender(recipe.model, data_->items)) {
  if (use != TaskUse::train) return;
  if (options_.transitions.weight > 0.0) {
    if (model_->items() != data_->items) {
      fail_request(recipe.model.where(),
                   "task sequential_recommendation: transitions want a model of the data's items");
    }
    transitions_.emplace(read_transitions(*data_, options_.transitions, model_->context(), seed()),
                         options_.transitions.temperature);
  }
  data::SequenceOptions options;
  options.batch = rows_per_step();
  options.length = model_->context();
  options.negatives = options_.loss == "bce" ? options_.negatives : 0;
  options.seed = seed();
  start_batches([data = data_, options](int64_t step, const data::RowSlice& slice) {
    data::SequenceOptions own = options;
    own.slice = slice;
    const data::SequenceBatch rows = data::train_sequences(*data, step, own);
    Batch batch;
    batch.tensors = {{"items", packed(rows.items, rows.items, 1)},
                     {"targets", packed(rows.targets, rows.items, 1)}};
    if (options.negatives > 0) {
      batch.tensors.emplace_back("negatives",
                                 packed(rows.negatives, rows.items, options.negatives));
    }
    batch.count = rows.count;
    return batch;
  });
}

Tensor SequentialRecommendation::loss(const Batch& batch) {
  const Tensor &items = batch["items"], &targets = batch["targets"];
  const Tensor next = options_.loss == "bce"
                          ? model_->sampled_loss(items, targets, batch["negatives"])
                          : model_->loss(items, targets);
  if (!transitions_) return next;
  return add(next, mul(model_->transition_loss(items, *transitions_), options_.transitions.weight));
}

data::Part SequentialRecommendation::part() const {
  return options_.part == "test" ? data::Part::test : data::Part::validation;
}

Metrics SequentialRecommendation::evaluate(const EvaluationOptions& options,
                                           Communicator& communicator, const Progress& progress) {
  const NoGrad no_grad;
  data::SequenceOptions sequences;
  sequences.batch = evaluation_rows(options);
  sequences.length = model_->context();
  sequences.slice = {communicator.rank(), communicator.size()};
  int64_t batches = data::evaluation_sequence_batches(*data_, sequences.batch);
  if (options.max_batches > 0) batches = std::min(batches, options.max_batches);
  RecommendationMeasures measures(options_.k);
  double nats = 0.0;
  for (int64_t index = 0; index < batches; ++index) {
    const data::SequenceBatch batch = data::evaluation_sequences(*data_, part(), index, sequences);
    if (batch.count > 0) nats += evaluate_batch(batch, measures);
    if (progress) progress(index + 1, batches);
  }
  measures.reduce(communicator);
  Metrics metrics = {{"loss", communicator.all_reduce_number(nats) / measures.count()}};
  for (auto& metric : measures.means()) metrics.push_back(std::move(metric));
  return metrics;
}

double SequentialRecommendation::evaluate_batch(const data::SequenceBatch& batch,
                                                RecommendationMeasures& measures) {
  // Rows of padding come last.
  const Tensor items = slice(packed(batch.items, batch.items, 1), 0, 0, batch.count);
  const Tensor targets = slice(batch.targets, 0, 0, batch.count);
  double nats = 0.0;
  for (const float row : model_->loss_rows(items, targets).to_vector<float>()) nats += row;

  const std::vector<float> scores = cast(model_->forward(items), DType::f32).to_vector<float>();
  const auto width = static_cast<size_t>(model_->items());
  std::vector<int64_t> ranks(static_cast<size_t>(batch.count));
  parallel_for(batch.count, 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const auto& user = data_->users[static_cast<size_t>(batch.users.data<int64_t>()[row])];
      std::vector<int64_t> history(user.begin(), user.end() - (options_.part == "test" ? 1 : 2));
      for (int64_t& item : history) --item;
      const std::span<const float> own(scores.data() + static_cast<size_t>(row) * width, width);
      ranks[static_cast<size_t>(row)] =
          rank_among_candidates(own, targets.data<int64_t>()[row] - 1, std::move(history));
    }
  });
  for (const int64_t rank : ranks) measures.add(rank);
  return nats;
}

Metrics SequentialRecommendation::baselines(const EvaluationOptions& options) {
  Metrics metrics;
  if (options.baselines.empty()) return metrics;
  const int64_t users = options.max_batches * evaluation_rows(options);
  for (const int64_t k : options_.k) {
    const data::RankingScore score = data::score_popularity(*data_, part(), k, users);
    metrics.emplace_back(fmt::format("popularity.recall@{}", k), score.recall);
    metrics.emplace_back(fmt::format("popularity.ndcg@{}", k), score.ndcg);
  }
  return metrics;
}

std::string SequentialRecommendation::best_metric() const {
  return fmt::format("ndcg@{}", *std::max_element(options_.k.begin(), options_.k.end()));
}

double SequentialRecommendation::flops_per_row() {
  // Scores are of the places that have a target, against all items or some.
  double places = 0.0;
  for (const auto& user : data_->users) {
    places += static_cast<double>(std::clamp<int64_t>(std::ssize(user) - 3, 0, model_->context()));
  }
  places /= static_cast<double>(data_->users.size());
  const double candidates = options_.loss == "bce" ? 1.0 + static_cast<double>(options_.negatives)
                                                   : static_cast<double>(model_->items());
  return model_->flops() +
         2.0 * places * candidates * static_cast<double>(model_->embed.weight.size(1));
}

TaskEntry sequential_recommendation_entry() {
  return {"sequential_recommendation", "predict the item that a user takes next",
          [] { return describe_options<SequentialRecommendationOptions>(); },
          [](const Recipe& recipe, TaskUse use, const std::string&) {
            return std::make_unique<SequentialRecommendation>(recipe, use);
          }};
}

}  // namespace heed::recipes
