#include "data/chat/chat_template.h"

#include <filesystem>

#include "core/files.h"

namespace heed::data::chat {
namespace {

namespace fs = std::filesystem;

Config read_if_there(const std::string& folder, const std::string& name) {
  const fs::path path = fs::path(folder) / name;
  return fs::exists(path) ? read_json_file(path) : Config::map();
}

// A token's name, written as it is or as {"content": ...}.
const std::string* name_in(const Config& config, const char* key) {
  const Config* value = config.find(key);
  if (value != nullptr && value->is_map()) value = value->find("content");
  return value != nullptr && value->is_string() ? &value->as_string() : nullptr;
}

std::vector<std::pair<std::string, std::string>> tokens_of(const std::string& folder,
                                                           const std::string& prefix) {
  std::vector<std::pair<std::string, std::string>> tokens;
  const Config config = read_if_there(folder, prefix + "tokenizer_config.json");
  const Config older = read_if_there(folder, prefix + "special_tokens_map.json");
  for (const char* key : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                          "cls_token", "mask_token"}) {
    const std::string* name = name_in(config, key);
    if (name == nullptr) name = name_in(older, key);
    if (name != nullptr) tokens.emplace_back(key, *name);
  }
  return tokens;
}

}  // namespace

ChatTemplate::ChatTemplate(std::string source, const std::string& name,
                           std::vector<std::pair<std::string, std::string>> tokens)
    : source_(std::move(source)), template_(source_, name), tokens_(std::move(tokens)) {}

const std::string* ChatTemplate::token(const std::string& name) const {
  for (const auto& [key, text] : tokens_) {
    if (key == name) return &text;
  }
  return nullptr;
}

std::string ChatTemplate::render(const Config& messages, const Config& variables,
                                 bool add_generation_prompt) const {
  for (const Config& message : messages.as_list()) {
    if (!message.is_map() || message.find("role") == nullptr) {
      fail_request(message.where(), "a message is {\"role\": ..., \"content\": ...}");
    }
  }
  Template::Variables all = {{"messages", Value::from(messages)},
                             {"tools", Value()},
                             {"documents", Value()},
                             {"add_generation_prompt", add_generation_prompt}};
  for (const auto& [key, text] : tokens_) all.emplace_back(key, text);
  for (const auto& [key, value] : variables.as_map()) all.emplace_back(key, Value::from(value));
  const std::time_t seconds = std::time(nullptr);
  std::tm now{};
  localtime_r(&seconds, &now);
  return template_.render(all, now);
}

std::optional<ChatTemplate> find_chat_template(const std::string& folder,
                                               const std::string& prefix) {
  const fs::path own = fs::path(folder) / (prefix + "chat_template.jinja");
  if (fs::exists(own)) return read_chat_template(own, folder, prefix);
  const std::string path = fs::path(folder) / (prefix + "tokenizer_config.json");
  if (!fs::exists(path)) return {};
  const Config config = read_json_file(path);
  const Config* source = config.find("chat_template");
  if (source != nullptr && source->is_list()) {  // [{"name": "default", "template": ...}, ...]
    const Config* chosen = nullptr;
    for (const Config& named : source->as_list()) {
      if (named.at("name") == Config("default")) chosen = &named.at("template");
    }
    if (chosen == nullptr) {
      fail_request(source->where(), "none of the chat templates is called \"default\"");
    }
    source = chosen;
  }
  if (source == nullptr || source->is_null()) return {};
  return ChatTemplate(source->as_string(), path + " (chat_template)", tokens_of(folder, prefix));
}

ChatTemplate read_chat_template(const std::string& file, const std::string& folder,
                                const std::string& prefix) {
  return ChatTemplate(read_file(file), file, tokens_of(folder, prefix));
}

}  // namespace heed::data::chat
