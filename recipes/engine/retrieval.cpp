#include "recipes/engine/retrieval.h"

#include <algorithm>

#include "autograd/ops/channel_norm.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/metric_loss.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "recipes/engine/measures/retrieval.h"
#include "recipes/engine/task_data.h"

namespace heed::recipes {
namespace {

constexpr int64_t kLeast = 2;  // an example of a class alone has nothing to lie near to

}  // namespace

void RetrievalOptions::options(Options& o) {
  o.field("embedding", embedding, "features that the model gives an example", {.min = 1});
  o.field("normalise", normalise, "embeddings have unit length");
  o.field("identities", identities,
          "classes of a group in which triplets are mined (P); train.batch_size counts groups",
          {.min = 2});
  o.field("each", each, "examples of each (K); of a class with fewer, some come twice", {.min = 2});
  o.field("margin", margin, "how much nearer the class's own must be", {.min = 0});
  o.field("soft", soft, "ln(1 + exp(difference)) in place of the hinge, without a margin");
  o.field("ks", ks, "the k of recall@k", {.min = 1});
  part_option(o, part);
  o.field("gallery", gallery,
          "what queries are looked up in: all the others of their own part, or another part",
          {.one_of = {"queries", "train", "validation", "test"}});
}

Retrieval::Retrieval(const Recipe& recipe, TaskUse use, const std::string& assets)
    : GroupTask(recipe), options_(read_options<RetrievalOptions>(recipe.task, "task retrieval")) {
  open_groups(options_.part, options_.embedding, use, assets);
  if (use == TaskUse::train) start_groups(shape(), kLeast);
  if (!data_ || data_->size(evaluated_part()) == 0) return;
  sampler(evaluated_part(), kLeast, 2);
  if (data_->size(gallery_part()) == 0) {
    fail_request(recipe_.task.at("gallery").where(),
                 fmt::format("task retrieval: the data has no {} part ({})", options_.gallery,
                             data_->summary()));
  }
}

data::Part Retrieval::gallery_part() const {
  if (options_.gallery == "train") return data::Part::train;
  if (options_.gallery == "validation") return data::Part::validation;
  return options_.gallery == "test" ? data::Part::test : evaluated_part();
}

Tensor Retrieval::placed(const Batch& batch) {
  const Tensor x = embed(batch);
  return options_.normalise ? l2_normalize(x) : x;
}

Tensor Retrieval::triplets(const Tensor& x, const Tensor& labels) const {
  return batch_hard_triplet_loss(x, labels, options_.margin, options_.soft);
}

Tensor Retrieval::loss(const Batch& batch) {
  const Tensor x = placed(batch);
  const int64_t rows = shape().rows(), groups = x.size(0) / rows;
  Tensor sum;
  for (int64_t g = 0; g < groups; ++g) {
    const auto of_group = [&](const Tensor& all) {
      return slice(all, 0, g * rows, (g + 1) * rows);
    };
    const Tensor own = triplets(of_group(x), of_group(batch["labels"]));
    sum = g == 0 ? own : add(sum, own);
  }
  return mul(sum, 1.0 / static_cast<double>(groups));
}

Tensor Retrieval::placed(data::Part part, int64_t size, const EvaluationOptions& options,
                         Communicator& communicator, const Progress& progress) {
  const int64_t begin = size * communicator.rank() / communicator.size();
  const int64_t end = size * (communicator.rank() + 1) / communicator.size();
  Tensor all = Tensor::zeros({size, options_.embedding}, DType::f64);
  for (int64_t first = begin; first < end; first += evaluation_rows(options)) {
    std::vector<data::ExampleRow> rows;
    for (int64_t i = first; i < std::min(end, first + evaluation_rows(options)); ++i) {
      rows.push_back({i, {}, false});
    }
    const std::vector<double> x = placed(gathered_rows(*data_, part, rows)).to_vector<double>();
    std::copy(x.begin(), x.end(), all.data<double>() + first * options_.embedding);
    if (progress) progress(first + std::ssize(rows), end);
  }
  communicator.all_reduce(all);  // the others' rows are 0: exact
  return all;
}

double Retrieval::held_out_loss(const Tensor& x) {
  const data::ClassSampler classes(*data_, evaluated_part(), kLeast);
  const int64_t ways = std::min(options_.identities, classes.classes());
  const int64_t rows = ways * options_.each, groups = (x.size(0) + rows - 1) / rows;
  double sum = 0.0;
  for (int64_t g = 0; g < groups; ++g) {
    std::vector<int64_t> labels, drawn;
    const RandomKey key{0, hash_name("data/held-out-groups"), static_cast<uint64_t>(g)};
    for (const int64_t example : classes.draw(key, ways, options_.each)) {
      drawn.push_back(example);
      labels.push_back(data_->label(evaluated_part(), example));
    }
    sum += triplets(index_select(x, 0, Tensor::from(drawn, {rows})), Tensor::from(labels, {rows}))
               .item();
  }
  return sum / static_cast<double>(groups);
}

Metrics Retrieval::evaluate(const EvaluationOptions& options, Communicator& communicator,
                            const Progress& progress) {
  const data::Part part = evaluated_part(), gallery = gallery_part();
  if (data_->size(part) == 0) return {};
  const NoGrad no_grad;
  const Tensor x = placed(part, data_->size(part), options, communicator, progress);
  const bool same = part == gallery;
  const Tensor others =
      same ? x : placed(gallery, data_->size(gallery), options, communicator, progress);

  int64_t queries = x.size(0);
  if (options.max_batches > 0) {
    queries = std::min(queries, options.max_batches * evaluation_rows(options));
  }
  RetrievalMeasures measures(options_.ks);
  for (int64_t q = communicator.rank(); q < queries; q += communicator.size()) {
    const Tensor near = neg(sum(square(sub(slice(x, 0, q, q + 1), others)), {1}));
    std::vector<bool> relevant;
    for (int64_t i = 0; i < others.size(0); ++i) {
      relevant.push_back(data_->label(part, q) == data_->label(gallery, i));
    }
    measures.add(near.to_vector<float>(), relevant, same ? q : -1);
  }
  measures.reduce(communicator);
  if (measures.count() == 0.0) {
    fail_request("task retrieval: no query has an example of its class in the gallery");
  }
  Metrics metrics{{"loss", held_out_loss(x)}};
  for (auto& metric : measures.means()) metrics.push_back(std::move(metric));
  return metrics;
}

TaskEntry retrieval_entry() {
  return {"retrieval", "find examples of the same class by an embedding",
          [] { return describe_options<RetrievalOptions>(); },
          [](const Recipe& recipe, TaskUse use, const std::string& assets) {
            return std::make_unique<Retrieval>(recipe, use, assets);
          }};
}

}  // namespace heed::recipes
