#include "nn/layers/relative_position.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/view.h"
#include "nn/init.h"

namespace heed::nn {
namespace {

// table [rows, heads] at index [N, M] -> [heads, N, M]
Tensor look_up(const Tensor& table, const Tensor& index) {
  return permute(embedding(table, index, table.dtype()), {2, 0, 1});
}

Tensor add_bias(const Tensor& scores, const Tensor& bias, const char* what) {
  HEED_CHECK(scores.rank() == 4 && scores.size(1) == bias.size(0) &&
                 scores.size(2) == bias.size(1) && scores.size(3) == bias.size(2),
             "{}: scores {} for biases {}", what, scores, bias);
  return add(scores, cast(bias, scores.dtype()));
}

}  // namespace

Tensor window_offsets(int64_t height, int64_t width) {
  const int64_t tokens = height * width;
  Tensor index = Tensor::empty({tokens, tokens}, DType::i64);
  auto* out = index.data<int64_t>();
  for (int64_t q = 0; q < tokens; ++q) {
    for (int64_t k = 0; k < tokens; ++k) {
      const int64_t rows = q / width - k / width + height - 1;
      *out++ = rows * (2 * width - 1) + q % width - k % width + width - 1;
    }
  }
  return index;
}

void WindowPositionOptions::options(Options& o) {
  o.field("heads", heads, "attention heads", {.min = 1, .required = true});
  o.field("height", height, "rows of the window", {.min = 1});
  o.field("width", width, "columns of the window", {.min = 1});
}

WindowPosition::WindowPosition(const WindowPositionOptions& o)
    : table(Tensor::empty({(2 * o.height - 1) * (2 * o.width - 1), o.heads})),
      height_(o.height),
      width_(o.width),
      offsets_(window_offsets(o.height, o.width)) {
  parameters({{"table", table, init::truncated_normal(0.02)}});
}

Tensor WindowPosition::resized_table(const std::string& name, const Tensor& given) const {
  if (name != "table") return {};
  return resized_rows(given, 0, 2 * height_ - 1, 2 * width_ - 1);
}

Tensor WindowPosition::bias() { return look_up(table, offsets_); }

Tensor WindowPosition::forward(const Tensor& scores) {
  return add_bias(scores, bias(), "window_position");
}

int64_t t5_bucket(int64_t offset, int64_t buckets, int64_t max_distance, bool bidirectional) {
  int64_t first = 0;
  if (bidirectional) {
    buckets /= 2;
    if (offset > 0) first = buckets;
    offset = std::abs(offset);
  } else {
    offset = std::max<int64_t>(-offset, 0);
  }
  const int64_t exact = buckets / 2;
  if (offset < exact) return first + offset;
  const double ratio = std::log(static_cast<double>(offset) / static_cast<double>(exact)) /
                       std::log(static_cast<double>(max_distance) / static_cast<double>(exact));
  const auto log_bucket = static_cast<int64_t>(ratio * static_cast<double>(buckets - exact));
  return first + std::min(exact + log_bucket, buckets - 1);
}

void T5PositionOptions::options(Options& o) {
  o.field("heads", heads, "attention heads", {.min = 1, .required = true});
  o.field("buckets", buckets, "rows of the table", {.min = 4});
  o.field("max_distance", max_distance, "distances from here on share a bucket", {.min = 2});
  o.field("bidirectional", bidirectional, "tell keys before the query from keys after it");
  const int64_t exact = buckets / (bidirectional ? 4 : 2);
  o.check(max_distance > exact, "max_distance",
          fmt::format("max_distance ({}) must exceed the {} distances with their own buckets",
                      max_distance, exact));
}

T5Position::T5Position(const T5PositionOptions& o)
    : table(Tensor::empty({o.buckets, o.heads})), options_(o) {
  parameters({{"table", table, init::normal(0.02)}});
}

Tensor T5Position::bias(int64_t queries, int64_t keys) {
  Tensor index = Tensor::empty({queries, keys}, DType::i64);
  auto* out = index.data<int64_t>();
  for (int64_t q = 0; q < queries; ++q) {
    for (int64_t k = 0; k < keys; ++k) {
      *out++ = t5_bucket(k - (q + keys - queries), options_.buckets, options_.max_distance,
                         options_.bidirectional);
    }
  }
  return look_up(table, index);
}

Tensor T5Position::forward(const Tensor& scores) {
  HEED_CHECK(scores.rank() == 4, "t5_position: wants scores [B, H, N, M], got {}", scores);
  return add_bias(scores, bias(scores.size(2), scores.size(3)), "t5_position");
}

}  // namespace heed::nn
