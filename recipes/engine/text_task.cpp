#include "recipes/engine/text_task.h"

#include <algorithm>

#include "core/readable.h"
#include "data/registry.h"
#include "recipes/engine/task_data.h"

namespace heed::recipes {

void ContextStage::options(Options& o) {
  o.field("until", until, "the first step that has it no more", {.min = 1, .required = true});
  o.field("context", context, "tokens of a row; they divide the model's context",
          {.min = 1, .required = true});
}

void sampling_option(Options& o, std::string& sampling) {
  o.field("sampling", sampling,
          "training windows: random starts (as nanoGPT), or epochs: every window once an epoch",
          {.one_of = {"random", "epochs"}});
}

void TextTask::open_text(TaskUse use, const std::string& assets) {
  if (use == TaskUse::generate && !assets.empty()) {
    own_tokenizer_ = data::load_tokenizer(tokenizer_file(assets));
    tokenizer_ = own_tokenizer_.get();
    return;
  }
  const Config config = with_saved_tokenizer(recipe_.data, assets);
  const Config* type = config.find("type");
  const SourceLocation where = type == nullptr ? config.where() : type->where();
  const data::DatasetEntry& entry =
      data::find_dataset(type == nullptr ? "text" : type->as_string(), where);
  if (!entry.open_text) {
    const Config* task = recipe_.task.find("type");
    fail_request(
        where, fmt::format("task {}: the dataset '{}' is no text",
                           task == nullptr ? "language_modeling" : task->as_string(), entry.name));
  }
  data_ = entry.open_text(config);
  tokenizer_ = data_->tokenizer.get();
}

void TextTask::check_curriculum(const std::vector<ContextStage>& curriculum,
                                int64_t context) const {
  if (curriculum.empty()) return;
  const auto refuse = [&](const std::string& why) {
    fail_request(recipe_.task.at("curriculum").where(), "curriculum: " + why);
  };
  if (data_->stream || !data_->corpora.empty()) {
    refuse(fmt::format("the data are {}, whose windows have one length",
                       data_->stream ? "a stream" : "a mixture"));
  }
  int64_t before = 0;
  for (const ContextStage& stage : curriculum) {
    if (stage.until <= before) refuse(fmt::format("until: {} does not ascend", stage.until));
    if (context % stage.context != 0) {
      refuse(fmt::format("a context of {} does not divide the model's {}", stage.context, context));
    }
    before = stage.until;
  }
}

TextTask::Windows TextTask::training_windows(int64_t context, const std::string& sampling,
                                             bool documents,
                                             const std::vector<ContextStage>& curriculum) {
  check_curriculum(curriculum, context);
  if (data_->stream) {
    // A stream has an order of its own, whatever `sampling` says.
    stream_ = std::make_shared<data::StreamWindows>(
        *data_->stream, tokenizer(),
        data::StreamWindowOptions{rows_per_step(), context, seed(), documents});
    return [windows = stream_, data = data_](int64_t step, const data::RowSlice& part) {
      return (*windows)(step, part);
    };
  }
  int64_t tokens = data_->train.tokens.size();
  std::string whose;
  for (const data::CorpusRange& corpus : data_->corpora) {
    if (corpus.size >= tokens) continue;
    tokens = corpus.size;
    whose = fmt::format(" of '{}'", corpus.name);
  }
  if (tokens <= context) {
    const Config* given = recipe_.model.find("context");
    fail_request(given == nullptr ? recipe_.model.where() : given->where(),
                 fmt::format("model: a context of {} needs {} training tokens at least, and the "
                             "data{} have {}",
                             context, context + 1, whose, tokens));
  }
  data::WindowOptions window;
  window.batch = rows_per_step();
  window.context = context;
  window.seed = seed();
  window.sampling = sampling;
  window.documents = documents;
  window.corpora = data_->corpora;
  if (!data_->corpora.empty()) {
    mixed_ = std::make_shared<const data::WindowBatches>(data_->train.tokens, window);
  }
  return [data = data_, window, curriculum](int64_t step, const data::RowSlice& part) {
    data::WindowOptions own = window;
    own.slice = part;
    const auto stage = std::find_if(curriculum.begin(), curriculum.end(),
                                    [&](const ContextStage& s) { return step < s.until; });
    if (stage != curriculum.end()) {
      own.context = stage->context;
      own.batch *= window.context / stage->context;
    }
    return data::WindowBatches(data->train.tokens, own)(step);
  };
}

data::EvaluationBatches TextTask::evaluation_windows(const EvaluationOptions& options,
                                                     int64_t context, Communicator& communicator,
                                                     bool documents) const {
  return {data_->validation.tokens,
          evaluation_rows(options),
          context,
          options.max_batches,
          {communicator.rank(), communicator.size()},
          documents};
}

std::string TextTask::data_summary() {
  if (!data_) return "";
  if (!mixed_) return data_->summary;
  std::string text = fmt::format("{}; in {} steps:", data_->summary, grouped(recipe_.train.steps));
  const std::vector<int64_t> rows = mixed_->rows_by_corpus(recipe_.train.steps);
  for (size_t i = 0; i < rows.size(); ++i) {
    const data::CorpusRange& corpus = data_->corpora[i];
    const double epochs =
        static_cast<double>(rows[i] * items_per_row()) / static_cast<double>(corpus.size);
    text += fmt::format("{} {} {:.3g} epochs", i == 0 ? "" : ",", corpus.name, epochs);
  }
  return text;
}

Metrics TextTask::corpus_metrics() {
  Metrics metrics;
  const int64_t step = data_position().at("step").as_integer();
  if (step == 0) return metrics;
  if (stream_) {
    if (const auto epoch = stream_->epoch(step)) {
      metrics.emplace_back("epoch", static_cast<double>(*epoch));
    }
    if (const size_t skipped = stream_->skipped().size(); skipped > 0) {
      metrics.emplace_back("not_text", static_cast<double>(skipped));
    }
  }
  if (!mixed_) return metrics;
  const std::vector<int64_t> rows = mixed_->rows_by_corpus(step);
  for (size_t i = 0; i < rows.size(); ++i) {
    const data::CorpusRange& corpus = data_->corpora[i];
    const auto tokens = static_cast<double>(rows[i] * items_per_row());
    metrics.emplace_back("tokens." + corpus.name, tokens);
    metrics.emplace_back("epochs." + corpus.name, tokens / static_cast<double>(corpus.size));
  }
  return metrics;
}

Config TextTask::data_position() {
  Config position = IndexedTask::data_position();
  if (stream_) {
    Config place = stream_->place(position.at("step").as_integer());
    if (!place.is_null()) position.set("stream", std::move(place));
  }
  return position;
}

void TextTask::seek_data(const Config& position) {
  const Config* place = position.find("stream");
  if (stream_ && place != nullptr) stream_->remember(*place);
  IndexedTask::seek_data(position);
}

std::vector<std::string> TextTask::save_assets(const std::string& folder) {
  tokenizer_->save(tokenizer_file(folder));
  return {tokenizer_file(folder)};
}

}  // namespace heed::recipes
