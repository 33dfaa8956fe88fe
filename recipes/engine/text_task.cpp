#include "recipes/engine/text_task.h"

#include "data/registry.h"
#include "recipes/engine/task_data.h"

namespace heed::recipes {
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

data::WindowOptions TextTask::training_windows(int64_t context, const std::string& sampling) const {
  const int64_t tokens = data_->train.tokens.size();
  if (tokens <= context) {
    const Config* given = recipe_.model.find("context");
    fail_request(given == nullptr ? recipe_.model.where() : given->where(),
                 fmt::format("model: a context of {} needs {} training tokens at least, and the "
                             "data have {}",
                             context, context + 1, tokens));
  }
  data::WindowOptions window;
  window.batch = rows_per_step();
  window.context = context;
  window.seed = seed();
  window.sampling = sampling;
  return window;
}

data::EvaluationBatches TextTask::evaluation_windows(const EvaluationOptions& options,
                                                     int64_t context,
                                                     Communicator& communicator) const {
  return {data_->validation.tokens,
          evaluation_rows(options),
          context,
          options.max_batches,
          {communicator.rank(), communicator.size()}};
}

std::vector<std::string> TextTask::save_assets(const std::string& folder) {
  tokenizer_->save(tokenizer_file(folder));
  return {tokenizer_file(folder)};
}

}  // namespace heed::recipes
