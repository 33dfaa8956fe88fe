#include "recipes/engine/chat.h"

#include <algorithm>
#include <filesystem>

#include "recipes/engine/hf/files.h"
#include "recipes/engine/language_modeling.h"
#include "recipes/engine/text_generator.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;
using data::chat::ChatTemplate;

LanguageModeling& task_of(const LoadedRun& run) {
  auto* task = dynamic_cast<LanguageModeling*>(run.task.get());
  if (task == nullptr) {
    fail_request("the task '{}' takes part in no conversation; language_modeling of text does",
                 run.task->name());
  }
  return *task;
}

ChatTemplate template_of(const LoadedRun& run, const std::string& file) {
  const std::string& folder = run.checkpoint.path;
  if (!file.empty()) return data::chat::read_chat_template(file, folder, hf::kKept);
  auto found = data::chat::find_chat_template(folder, hf::kKept);
  if (!found) {
    fail_request(
        "{}: the run has no chat template (an import keeps chat_template.jinja, or that "
        "of tokenizer_config.json); give one by --chat-template",
        folder);
  }
  return std::move(*found);
}

void append_ids(const std::string& path, std::vector<data::TokenId>& ids) {
  if (!fs::exists(path)) return;
  const Config config = read_json_file(path);
  const Config* end = config.find("eos_token_id");
  if (end == nullptr || end->is_null()) return;
  for (const Config& id : end->is_list() ? end->as_list() : Config::List{*end}) {
    ids.push_back(static_cast<data::TokenId>(id.as_integer()));
  }
}

std::vector<data::TokenId> ends_of(const LoadedRun& run, const ChatTemplate& format,
                                   const data::Tokenizer& tokenizer) {
  std::vector<data::TokenId> ids;
  for (const char* name : {"generation_config.json", hf::kConfig}) {
    append_ids((fs::path(run.checkpoint.path) / fmt::format("{}{}", hf::kKept, name)).string(),
               ids);
  }
  if (const auto end = tokenizer.end_of_text()) ids.push_back(*end);
  for (const data::SpecialToken& special : tokenizer.specials()) {
    const std::string* eos = format.token("eos_token");
    bool ends = eos != nullptr && special.text == *eos;
    for (const char* mark : {"<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>"}) {
      ends = ends || (special.text == mark && format.source().find(mark) != std::string::npos);
    }
    if (ends) ids.push_back(special.id);
  }
  std::erase_if(ids, [&](data::TokenId id) { return id < 0 || id >= tokenizer.vocab_size(); });
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace

Chat::Chat(const LoadedRun& run, const std::string& template_file)
    : model_(dynamic_cast<nn::LanguageModel*>(&task_of(run).module())),
      tokenizer_(&task_of(run).tokenizer()),
      template_(template_of(run, template_file)),
      ends_(ends_of(run, template_, *tokenizer_)) {
  HEED_CHECK(model_ != nullptr, "chat: the task's module is no language model");
}

std::string Chat::prompt(const Config& messages, const Config& variables) const {
  return template_.render(messages, variables);
}

Generated Chat::answer(const Config& messages, const GenerateOptions& options,
                       const TokenCallback& on_token, const Config& variables) {
  // The template writes what a text begins with, too.
  const data::chat::ChatText prompt = template_.write(messages, tokenizer_->specials(), variables);
  const std::vector<data::TokenId> ids =
      tokenizer_->encode_with_specials(prompt.text, prompt.plain);
  if (ids.empty()) fail_request("chat: the template writes nothing of this conversation");
  return generate_text(*model_, *tokenizer_, ids, EndTokens(ends_), options, on_token);
}

}  // namespace heed::recipes
