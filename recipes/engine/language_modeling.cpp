#include "recipes/engine/language_modeling.h"

#include <algorithm>
#include <filesystem>
#include <numbers>

#include "data/ngram.h"
#include "data/registry.h"
#include "recipes/engine/measures/likelihood.h"
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
    : IndexedTask(recipe),
      options_(read_options<LanguageModelingOptions>(recipe.task, "task language_modeling")) {
  if (use == TaskUse::generate && !assets.empty()) {
    own_tokenizer_ = data::load_tokenizer(tokenizer_file(assets));
    tokenizer_ = own_tokenizer_.get();
  } else {
    open_data(assets);
  }
  model_ = nn::make_language_model(recipe_.model, tokenizer_->vocab_size());
  if (use != TaskUse::train) return;
  check_length();
  data::WindowOptions window;
  window.batch = rows_per_step();
  window.context = model_->context();
  window.seed = seed();
  window.sampling = options_.sampling;
  start_batches([data = data_, window](int64_t step, const data::RowSlice& part) -> Batch {
    data::WindowOptions own = window;
    own.slice = part;
    data::Batch batch = data::WindowBatches(data->train.tokens, own)(step);
    return {{{"inputs", batch.inputs}, {"targets", batch.targets}}, batch.count};
  });
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

std::string LanguageModeling::data_summary() { return data_ ? data_->summary : ""; }

Tensor LanguageModeling::loss(const Batch& batch) {
  return model_->loss(batch["inputs"], batch["targets"]);
}

Metrics LanguageModeling::evaluate(const EvaluationOptions& options, Communicator& communicator,
                                   const Progress& progress) {
  const data::Split& split = data_->validation;
  if (split.tokens.size() < 2) return {};
  const data::EvaluationBatches batches(split.tokens, evaluation_rows(options), model_->context(),
                                        options.max_batches,
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
  return likelihood_metrics(nats, tokens, bytes);
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

double LanguageModeling::flops_per_row() {
  return model_->flops_per_token(model_->context()) * static_cast<double>(model_->context());
}

int64_t LanguageModeling::activation_bytes() {
  // Two short sequences instead of whole rows: what is kept is fixed + per token.
  const auto kept = [this](int64_t tokens) {
    const Tensor ids = Tensor::zeros({1, tokens}, DType::i64);
    return kept_bytes([&] { return model_->loss(ids, ids); });
  };
  constexpr int64_t kLongest = 256;
  const int64_t most = std::min(model_->context(), kLongest);
  const int64_t few = std::max<int64_t>(1, most / 2);
  if (most == few) return kept(most) * recipe_.train.batch_size;
  return on_line(few, kept(few), most, kept(most), recipe_.train.batch_size * model_->context());
}

TaskEntry language_modeling_entry() {
  return {"language_modeling", "predict the next token of a text",
          [] { return describe_options<LanguageModelingOptions>(); },
          [](const Recipe& recipe, TaskUse use, const std::string& assets) {
            return std::make_unique<LanguageModeling>(recipe, use, assets);
          }};
}

}  // namespace heed::recipes
