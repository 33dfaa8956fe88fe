#include "recipes/engine/embed.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "autograd/ops/channel_norm.h"
#include "core/text.h"
#include "data/unicode.h"
#include "recipes/engine/adapt.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/hf/sentences.h"
#include "recipes/engine/task_data.h"

namespace heed::recipes {
namespace {

std::string prompt_of(const EmbedOptions& options, const hf::SentenceTexts& texts) {
  if (options.prompt) return *options.prompt;
  const std::string& name =
      options.prompt_name.empty() ? texts.default_prompt : options.prompt_name;
  if (name.empty()) return "";
  std::vector<std::string> known;
  for (const auto& [key, text] : texts.prompts) {
    if (key == name) return text;
    known.push_back(key);
  }
  fail_request("embed: the model has no prompt '{}'{}; known: {}", name, did_you_mean(name, known),
               known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", ")));
}

}  // namespace

TextEmbedder::TextEmbedder(const std::string& run_or_checkpoint, const EmbedOptions& options,
                           const Warning& warn)
    : options_(options), checkpoint_(find_checkpoint(run_or_checkpoint, warn).path) {
  const Recipe recipe = load_recipe(std::filesystem::path(checkpoint_) / "recipe.yaml");
  const Config& type = recipe.model.at("type");
  if (type != Config("encoder")) {
    fail_request(type.where(),
                 fmt::format("embed: a model of type '{}' makes no vectors of texts; encoder does",
                             type.as_string()));
  }
  if (!has_tokenizer(checkpoint_)) fail_request("embed: {} has no tokenizer", checkpoint_);
  tokenizer_ = data::load_tokenizer(tokenizer_file(checkpoint_));
  encoder_ = std::make_unique<nn::Encoder>(nn::read_encoder_options(recipe.model));
  adapt(*encoder_, recipe.lora);
  if (recipe.train.precision == "bf16") encoder_->compute_in(DType::bf16);
  if (recipe.train.precision == "f64") encoder_->convert(DType::f64);
  load_weights(*encoder_, recipe, checkpoint_);

  const hf::SentenceTexts texts = hf::read_sentence_texts(checkpoint_);
  prompt_ = prompt_of(options, texts);
  lower_case_ = texts.lower_case;
  const int64_t context = encoder_->options().context;
  max_tokens_ = texts.max_tokens > 0 ? std::min(texts.max_tokens, context) : context;
  if (options.max_tokens > 0) max_tokens_ = options.max_tokens;
  if (max_tokens_ > context && encoder_->options().position == "learned") {
    fail_request("embed: {} tokens of a text, and the model's positions end at {}", max_tokens_,
                 context);
  }
}

std::vector<data::TokenId> TextEmbedder::tokens_of(const std::string& text, bool& truncated) const {
  std::string whole = prompt_ + text;
  if (lower_case_) whole = data::lower_case(whole);
  std::vector<data::TokenId> ids = tokenizer_->encode_framed(whole).ids;
  truncated = std::ssize(ids) > max_tokens_;
  return truncated ? tokenizer_->encode_framed(whole, max_tokens_).ids : ids;
}

// Rows of about the same length -> f32 [rows, dim].
Tensor TextEmbedder::vectors_of(std::span<const std::vector<data::TokenId>* const> rows) {
  const auto count = static_cast<int64_t>(rows.size());
  int64_t longest = 1;
  for (const auto* row : rows) longest = std::max(longest, std::ssize(*row));
  const Tensor ids = Tensor::zeros({count, longest}, DType::i64);
  const Tensor lengths = Tensor::zeros({count}, DType::i64);
  for (int64_t row = 0; row < count; ++row) {
    const auto& tokens = *rows[static_cast<size_t>(row)];
    std::copy(tokens.begin(), tokens.end(), ids.data<int64_t>() + row * longest);
    lengths.data<int64_t>()[row] = std::ssize(tokens);
  }
  const Tensor states = encoder_->features(ids, lengths);
  const Tensor vectors = options_.pool.empty() ? encoder_->pooled(states, lengths)
                                               : nn::pool_states(options_.pool, states, lengths);
  const bool normalise = options_.normalise.value_or(encoder_->options().normalise);
  return normalise ? l2_normalize(vectors) : vectors;
}

Embeddings TextEmbedder::embed(std::span<const std::string> texts, const Progress& progress) {
  const NoGrad no_grad;
  Embeddings result;
  std::vector<std::vector<data::TokenId>> rows;
  for (size_t i = 0; i < texts.size(); ++i) {
    bool truncated = false;
    rows.push_back(tokens_of(texts[i], truncated));
    if (rows.back().empty()) fail_request("embed: text {} has no tokens", i + 1);
    result.tokens += std::ssize(rows.back());
    result.truncated += truncated ? 1 : 0;
  }
  std::vector<size_t> order(rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  // The longest first: what they need of memory shows at once.
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return rows[a].size() > rows[b].size(); });
  result.vectors = Tensor::empty({std::ssize(texts), dim()});
  const auto batch = static_cast<size_t>(options_.batch_size);
  for (size_t done = 0; done < order.size(); done += batch) {
    const size_t count = std::min(batch, order.size() - done);
    std::vector<const std::vector<data::TokenId>*> own;
    for (size_t i = 0; i < count; ++i) own.push_back(&rows[order[done + i]]);
    const std::vector<float> vectors = vectors_of(own).to_vector<float>();
    for (size_t i = 0; i < count; ++i) {
      std::copy_n(vectors.begin() + static_cast<int64_t>(i) * dim(), dim(),
                  result.vectors.data<float>() + static_cast<int64_t>(order[done + i]) * dim());
    }
    if (progress) progress(static_cast<int64_t>(done + count), std::ssize(texts));
  }
  return result;
}

Tensor cosines(const Tensor& vectors) {
  const std::vector<double> x = vectors.to_vector<double>();
  const int64_t rows = vectors.size(0), width = vectors.size(1);
  const auto row = [&](int64_t i) { return x.begin() + i * width; };
  const auto dot = [&](int64_t i, int64_t j) {
    return std::inner_product(row(i), row(i) + width, row(j), 0.0);
  };
  Tensor result = Tensor::zeros({rows, rows}, DType::f64);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < rows; ++j) {
      const double lengths = std::sqrt(dot(i, i) * dot(j, j));
      result.data<double>()[i * rows + j] = lengths == 0.0 ? 0.0 : dot(i, j) / lengths;
    }
  }
  return result;
}

}  // namespace heed::recipes
