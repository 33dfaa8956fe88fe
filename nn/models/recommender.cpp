#include "nn/models/recommender.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/pointwise_loss.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "autograd/trace.h"
#include "nn/init.h"
#include "nn/registry.h"

namespace heed::nn {
namespace {

/// Items in front of each row's padding.
std::vector<int64_t> lengths_of(const Tensor& items) {
  const int64_t rows = items.size(0), places = items.size(1);
  const std::vector<int64_t> ids = items.to_vector<int64_t>();
  std::vector<int64_t> lengths;
  for (int64_t row = 0; row < rows; ++row) {
    const auto begin = ids.begin() + row * places, end = begin + places;
    const auto behind = std::find(begin, end, 0);
    HEED_CHECK(std::all_of(behind, end, [](int64_t id) { return id == 0; }),
               "recommender: row {} has items behind padding (0 may only end a row)", row);
    lengths.push_back(behind - begin);
  }
  return lengths;
}

Tensor numbers(const std::vector<int64_t>& values, const Shape& shape) {
  return Tensor::from(values, shape);
}

/// Row numbers of the embedding: item - 1, and 0 (an item like any other) where nobody looks.
Tensor rows_of_items(const Tensor& items) {
  std::vector<int64_t> ids = items.to_vector<int64_t>();
  for (int64_t& id : ids) id = std::max<int64_t>(id - 1, 0);
  const Tensor rows = numbers(ids, items.shape());
  if (trace::on()) trace::report("rows_of_items", {items}, {rows});
  return rows;
}

/// The places that have a target, as numbers of rows of [B N, C].
std::vector<int64_t> places_with_target(const Tensor& targets) {
  const std::vector<int64_t> ids = targets.to_vector<int64_t>();
  std::vector<int64_t> places;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] > 0) places.push_back(static_cast<int64_t>(i));
  }
  return places;
}

/// Rows of a contiguous [..., C] tensor, flattened to [n, C].
Tensor pick(const Tensor& x, const std::vector<int64_t>& rows) {
  return index_select(reshape(x, {-1, x.size(-1)}), 0,
                      numbers(rows, {static_cast<int64_t>(rows.size())}));
}

Tensor pick_numbers(const Tensor& x, const std::vector<int64_t>& rows, int64_t width) {
  const std::vector<int64_t> all = x.to_vector<int64_t>();
  std::vector<int64_t> picked;
  for (const int64_t row : rows) {
    picked.insert(picked.end(), all.begin() + row * width, all.begin() + (row + 1) * width);
  }
  for (int64_t& id : picked) id = std::max<int64_t>(id - 1, 0);
  const auto count = static_cast<int64_t>(rows.size());
  return numbers(picked, width == 1 ? Shape{count} : Shape{count, width});
}

int64_t checked(const char* name, int64_t items) {
  if (items <= 0) {
    fail_request("model {}: `items` is not given (a recipe takes it from its data)", name);
  }
  return items;
}

}  // namespace

Recommender::Recommender(const char* name, const Sizes& sizes)
    : embed(checked(name, sizes.items), sizes.dim, init::normal(sizes.init_std)),
      transition_dropout_(sizes.dropout),
      context_(sizes.context) {
  children({{"embed", embed}, {"transition_dropout", transition_dropout_}});
}

Tensor Recommender::embedded(const Tensor& items) {
  HEED_CHECK(items.rank() == 2 && items.numel() > 0, "recommender: items must be [B, N], got {}",
             items);
  HEED_CHECK(items.size(1) <= context_, "recommender: {} items, but a context of {}", items.size(1),
             context_);
  return embed(rows_of_items(items));
}

Tensor Recommender::slots(const Tensor& items) const {
  std::vector<int64_t> slots;
  for (const int64_t length : lengths_of(items)) {
    for (int64_t place = 0; place < items.size(1); ++place)
      slots.push_back(std::min(context_ - length + place, context_ - 1));
  }
  const Tensor all = numbers(slots, items.shape());
  if (trace::on()) trace::report("slots_of_items", {items}, {all}, {{"context", context_}});
  return all;
}

Tensor Recommender::last(const Tensor& features, const Tensor& items) const {
  trace::AsOne one;
  std::vector<int64_t> rows;
  for (const int64_t length : lengths_of(items)) {
    const auto row = static_cast<int64_t>(rows.size());
    HEED_CHECK(length > 0, "recommender: row {} has no items", row);
    rows.push_back(row * items.size(1) + length - 1);
  }
  const Tensor y = pick(features, rows);
  one.report("last_item", {features, items}, {y});
  return y;
}

Tensor Recommender::forward(const Tensor& items) {
  return linear(last(features(items), items), embed.weight);
}

Tensor Recommender::nothing(const Tensor& items) {
  return mul(sum(cast(features(items), DType::f32)), 0.0);
}

Tensor Recommender::loss(const Tensor& items, const Tensor& targets) {
  const std::vector<int64_t> places = places_with_target(targets);
  if (places.empty()) return nothing(items);
  return linear_cross_entropy(pick(features(items), places), embed.weight, {},
                              pick_numbers(targets, places, 1));
}

Tensor Recommender::sampled_loss(const Tensor& items, const Tensor& targets,
                                 const Tensor& negatives) {
  const std::vector<int64_t> places = places_with_target(targets);
  if (places.empty()) return nothing(items);
  const auto count = static_cast<int64_t>(places.size());
  const Tensor x = reshape(pick(features(items), places), {count, 1, embed.weight.size(1)});
  const auto logits = [&](const Tensor& ids, int64_t width) {
    const Tensor rows = embed(pick_numbers(ids, places, width));
    return sum(mul(x, reshape(rows, {count, width, embed.weight.size(1)})), {-1});
  };
  const int64_t width = negatives.size(-1);
  const Tensor wanted = logits(targets, 1), others = logits(negatives, width);
  const auto like = [](const Tensor& scores, double value) {
    return Tensor::full(scores.shape(), value, scores.dtype(), scores.device());
  };
  return add(bce_with_logits(wanted, like(wanted, 1.0)),
             bce_with_logits(others, like(others, 0.0)));
}

Tensor Recommender::loss_rows(const Tensor& items, const Tensor& targets) {
  const NoGrad no_grad;
  return linear_cross_entropy_rows(last(features(items), items), embed.weight, {},
                                   rows_of_items(targets));
}

Tensor Recommender::transition_loss(const Tensor& items, const TransitionTeacher& teacher) {
  std::vector<int64_t> heads;
  for (const int64_t item : items.to_vector<int64_t>()) {
    if (item > 0) heads.push_back(item - 1);
  }
  if (heads.empty()) return nothing(items);
  const Tensor own = index_select(embed.weight, 0, numbers(heads, {std::ssize(heads)}));
  const double scale = std::sqrt(static_cast<double>(embed.weight.size(1)));
  return transition_distillation(transition_dropout_(mul(own, scale)), heads, embed.weight,
                                 teacher);
}

std::unique_ptr<Recommender> make_recommender(const Config& config, int64_t items) {
  const Config& type = config.at("type");
  const ModuleEntry& entry = find_module(type.as_string(), "model", type.where());
  if (entry.inputs.front() != "items") {
    fail_request(type.where(), "model '" + entry.name + "' is not a recommender");
  }
  Config own = config;
  const Config* given = config.find("items");
  const int64_t wanted = given == nullptr || given->is_null() ? 0 : given->as_integer();
  if (wanted == 0) own.set("items", items);
  if (wanted != 0 && wanted < items) {
    fail_request(given->where(),
                 fmt::format("model: {} items, but the data have {}", wanted, items));
  }
  return std::unique_ptr<Recommender>(static_cast<Recommender*>(entry.make(own).release()));
}

}  // namespace heed::nn
