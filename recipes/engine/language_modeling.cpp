#include "recipes/engine/language_modeling.h"

#include <cmath>
#include <filesystem>
#include <numbers>

#include "core/allocator.h"
#include "data/ngram.h"
#include "data/registry.h"
#include "recipes/engine/text_generator.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;

std::string tokenizer_file(const std::string& assets) {
  return (fs::path(assets) / "tokenizer.json").string();
}

}  // namespace

void LanguageModelingOptions::options(Options& o) {
  o.field("sampling", sampling,
          "training windows: random starts (as nanoGPT), or epochs: every window once an epoch",
          {.one_of = {"random", "epochs"}});
}

LanguageModeling::LanguageModeling(const Recipe& recipe, TaskUse use, const std::string& assets)
    : recipe_(recipe),
      options_(read_options<LanguageModelingOptions>(recipe.task, "task language_modeling")) {
  if (use == TaskUse::generate && !assets.empty()) {
    own_tokenizer_ = data::load_tokenizer(tokenizer_file(assets));
    tokenizer_ = own_tokenizer_.get();
  } else {
    open_data(assets);
  }
  model_ = nn::make_language_model(recipe_.model, tokenizer_->vocab_size());
  if (use == TaskUse::train) start_batches();
}

void LanguageModeling::open_data(const std::string& assets) {
  Config config = recipe_.data;
  // A run that goes on keeps the tokenizer that it began with.
  if (!assets.empty() && fs::exists(tokenizer_file(assets))) {
    Config saved = Config::map();
    saved.set("file", tokenizer_file(assets));
    config.set("tokenizer", std::move(saved));
  }
  const Config* type = config.find("type");
  const data::DatasetEntry& entry =
      data::find_dataset(type == nullptr ? "text" : type->as_string(),
                         type == nullptr ? config.where() : type->where());
  if (!entry.open_text) {
    fail_request(type->where(),
                 "task language_modeling: the dataset '" + entry.name + "' is no text");
  }
  data_ = entry.open_text(config);
  tokenizer_ = data_->tokenizer.get();
}

void LanguageModeling::check_length() const {
  const int64_t tokens = data_->train.tokens.size();
  if (tokens > model_->context()) return;
  const Config* context = recipe_.model.find("context");
  fail_request(context == nullptr ? recipe_.model.where() : context->where(),
               fmt::format("model: a context of {} needs {} training tokens at least, and the data "
                           "have {}",
                           model_->context(), model_->context() + 1, tokens));
}

void LanguageModeling::start_batches() {
  check_length();
  data::WindowOptions window;
  window.batch = recipe_.train.batch_size * recipe_.train.accumulation;
  window.context = model_->context();
  window.seed = static_cast<uint64_t>(recipe_.seed);
  window.sampling = options_.sampling;
  window.slice.world = recipe_.train.accumulation;
  for (int64_t part = 0; part < recipe_.train.accumulation; ++part) {
    window.slice.rank = part;
    parts_.emplace_back(data_->train.tokens, window);
  }
  seek_data(Config());
}

std::string LanguageModeling::data_summary() { return data_ ? data_->summary : ""; }

int64_t LanguageModeling::items_per_step() const {
  return recipe_.train.batch_size * recipe_.train.accumulation * model_->context();
}

Batch LanguageModeling::next_batch() {
  HEED_CHECK(prefetcher_ != nullptr, "language modelling: this task was not built for training");
  data::Batch batch = prefetcher_->next();
  return {{{"inputs", batch.inputs}, {"targets", batch.targets}}, batch.count};
}

Tensor LanguageModeling::loss(const Batch& batch) {
  return model_->loss(batch["inputs"], batch["targets"]);
}

Config LanguageModeling::data_position() {
  Config position = Config::map();
  position.set("step", prefetcher_->position() / recipe_.train.accumulation);
  return position;
}

void LanguageModeling::seek_data(const Config& position) {
  const Config* step = position.find("step");
  const auto parts = static_cast<int64_t>(parts_.size());
  const int64_t start = step == nullptr ? 0 : step->as_integer() * parts;
  if (prefetcher_) {
    prefetcher_->seek(start);
    return;
  }
  prefetcher_ = std::make_unique<data::Prefetcher<data::Batch>>(
      [this, parts](int64_t index) {
        return parts_[static_cast<size_t>(index % parts)](index / parts);
      },
      data::PrefetchOptions{.start = start});
}

Metrics LanguageModeling::evaluate(const EvaluationOptions& options, Communicator& communicator,
                                   const Progress& progress) {
  const data::Split& split = data_->validation;
  if (split.tokens.size() < 2) return {};
  const int64_t rows = options.batch_size > 0 ? options.batch_size : recipe_.train.batch_size;
  const data::EvaluationBatches batches(split.tokens, rows, model_->context(), options.max_batches,
                                        {communicator.rank(), communicator.size()});
  double nats = 0.0;
  for (int64_t i = 0; i < batches.size(); ++i) {
    const data::Batch batch = batches(i);
    if (batch.count > 0) {
      for (const float row : model_->loss_rows(batch.inputs, batch.targets).to_vector<float>()) {
        nats += row;
      }
    }
    if (progress) progress(i + 1, batches.size());
  }
  nats = communicator.all_reduce_number(nats);
  const int64_t tokens = batches.predicted();
  const int64_t bytes = data::text_bytes(split.tokens, *tokenizer_, 1, tokens);
  const double loss = nats / static_cast<double>(tokens);
  return {{"loss", loss},
          {"perplexity", std::exp(loss)},
          {"bits_per_token", loss / std::numbers::ln2},
          {"bits_per_byte", data::bits_per_byte(nats, bytes)}};
}

Metrics LanguageModeling::baselines(const EvaluationOptions& options) {
  Metrics metrics;
  if (data_->validation.tokens.size() < 2) return metrics;
  for (const std::string& name : options.baselines) {
    const auto order = static_cast<int>(name == "unigram" ? 1 : options.ngram_order);
    const std::string label = name == "unigram" ? name : fmt::format("{}-gram", order);
    const data::Score score =
        data::Ngram(data_->train.tokens, order).score(data_->validation.tokens, *tokenizer_);
    metrics.emplace_back(label + ".loss", score.bits_per_token() * std::numbers::ln2);
    metrics.emplace_back(label + ".bits_per_byte", score.bits_per_byte());
  }
  return metrics;
}

Generated LanguageModeling::generate(const std::string& prompt, const GenerateOptions& options,
                                     const TokenCallback& on_token) {
  return generate_text(*model_, *tokenizer_, prompt, options, on_token);
}

std::vector<std::string> LanguageModeling::save_assets(const std::string& folder) {
  tokenizer_->save(tokenizer_file(folder));
  return {tokenizer_file(folder)};
}

double LanguageModeling::flops_per_step() {
  constexpr double kForwardAndBackward = 3.0;
  return kForwardAndBackward * model_->flops_per_token(model_->context()) *
         static_cast<double>(items_per_step());
}

int64_t LanguageModeling::activation_bytes() {
  // What a recorded forward pass keeps is fixed + per_token * tokens: two short ones tell both.
  const auto kept = [this](int64_t tokens) {
    const Tensor ids = Tensor::zeros({1, tokens}, DType::i64);
    const int64_t before = allocator::stats().in_use_bytes;
    const Tensor loss = model_->loss(ids, ids);
    return allocator::stats().in_use_bytes - before;
  };
  constexpr int64_t kLongest = 256;
  const int64_t most = std::min(model_->context(), kLongest);
  const int64_t few = std::max<int64_t>(1, most / 2);
  const int64_t at_most = kept(most), at_few = kept(few);
  if (most == few) return at_most * recipe_.train.batch_size;
  const double per_token = static_cast<double>(at_most - at_few) / static_cast<double>(most - few);
  const double fixed = static_cast<double>(at_few) - per_token * static_cast<double>(few);
  return static_cast<int64_t>(
      fixed + per_token * static_cast<double>(recipe_.train.batch_size * model_->context()));
}

TaskEntry language_modeling_entry() {
  return {"language_modeling", "predict the next token of a text",
          [] { return describe_options<LanguageModelingOptions>(); },
          [](const Recipe& recipe, TaskUse use, const std::string& assets) {
            return std::make_unique<LanguageModeling>(recipe, use, assets);
          }};
}

}  // namespace heed::recipes
