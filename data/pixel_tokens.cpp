#include "data/pixel_tokens.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/byte_tokenizer.h"
#include "data/labelled_dataset.h"

namespace heed::data {
namespace {

TokenId token_of(float value, int64_t levels, const SourceLocation& where) {
  constexpr float kRounding = 1e-5f;
  if (!(value >= -kRounding && value <= 1 + kRounding)) {
    fail_request(where, fmt::format("pixel-tokens: a pixel of {}, outside [0, 1]: the images want "
                                    "no `normalise`",
                                    value));
  }
  return static_cast<TokenId>(
      std::lround(std::clamp(value, 0.0f, 1.0f) * static_cast<float>(levels - 1)));
}

Split make_split(const LabelledDataset& images, Part part, int64_t levels,
                 const Tokenizer& tokenizer, const SourceLocation& where) {
  Split split{Tokens(tokenizer.vocab_size())};
  const int64_t count = images.size(part), values = images.example_shape().numel();
  if (count == 0) return split;
  split.tokens.reserve(count * (1 + values) + 1);
  const std::vector<TokenId> mark{*tokenizer.end_of_text()};
  constexpr int64_t kRows = 64;  // decoded at once
  for (int64_t begin = 0; begin < count; begin += kRows) {
    std::vector<ExampleRow> rows;
    for (int64_t i = begin; i < std::min(count, begin + kRows); ++i) rows.push_back({i, {}, false});
    const auto batch = std::get<ImageBatch>(images.gather(part, rows));
    const float* pixel = batch.images.data<float>();
    for (size_t row = 0; row < rows.size(); ++row) {
      std::vector<TokenId> ids;
      for (int64_t i = 0; i < values; ++i) ids.push_back(token_of(*pixel++, levels, where));
      split.tokens.begin_document();
      split.tokens.append(mark);
      split.tokens.append(ids);
    }
  }
  // A window has a target behind its last input: behind the last image that of the next would be.
  split.tokens.begin_document();
  split.tokens.append(mark);
  split.bytes = count * values;
  split.documents = count;
  return split;
}

}  // namespace

void PixelTokenOptions::options(Options& o) {
  o.field("images", images, "the dataset of images: `type` and its own keys",
          {.required = true, .registry = "datasets"});
  o.field("levels", levels, "values of a channel of a pixel", {.min = 2, .max = 256});
}

std::unique_ptr<TextDataset> open_pixel_tokens(const PixelTokenOptions& options,
                                               const SourceLocation& where) {
  const std::unique_ptr<LabelledDataset> images = open_labelled_dataset(options.images);
  if (std::string(images->kind()) != "images") {
    fail_request(options.images.where(),
                 fmt::format("pixel-tokens: needs images, not {}", images->kind()));
  }
  auto dataset = std::make_unique<TextDataset>();
  dataset->tokenizer = std::make_unique<ByteTokenizer>();
  const auto split = [&](Part part) {
    return make_split(*images, part, options.levels, *dataset->tokenizer, where);
  };
  dataset->train = split(Part::train);
  dataset->validation = split(Part::validation);
  const Shape shape = images->example_shape();
  dataset->summary = fmt::format(
      "{} images of {} x {} x {} for training and {} held out, each a document of {} tokens, {} "
      "levels",
      images->size(Part::train), shape[0], shape[1], shape[2], images->size(Part::validation),
      1 + shape.numel(), options.levels);
  return dataset;
}

}  // namespace heed::data
