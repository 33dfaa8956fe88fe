#include "data/chat/chat_template.h"

#include <algorithm>
#include <filesystem>
#include <set>

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

// Stands in front of a special token's name that a user wrote, while the template is at work. It is
// no character (Unicode, 23.7).
constexpr std::string_view kUsers = "\xEF\xB7\x90";  // U+FDD0

/// Whether the name of a special token stands at a place.
bool special_at(std::string_view text, size_t at, const std::vector<SpecialToken>& specials) {
  return std::any_of(specials.begin(), specials.end(), [&](const SpecialToken& token) {
    return token.special && !token.text.empty() && text.substr(at).starts_with(token.text);
  });
}

std::string marked(const std::string& text, const std::vector<SpecialToken>& specials) {
  std::set<size_t> places;
  for (const SpecialToken& token : specials) {
    if (!token.special || token.text.empty()) continue;
    for (size_t at = text.find(token.text); at != text.npos; at = text.find(token.text, at + 1)) {
      places.insert(at);
    }
  }
  std::string made;
  size_t done = 0;
  for (const size_t at : places) {
    made.append(text, done, at - done).append(kUsers);
    done = at;
  }
  return made.append(text, done);
}

/// All texts in a message, but for its role.
Config marked(const Config& value, const std::vector<SpecialToken>& specials) {
  if (value.is_string()) return marked(value.as_string(), specials);
  if (value.is_list()) {
    Config::List items;
    for (const Config& item : value.as_list()) items.push_back(marked(item, specials));
    return items;
  }
  if (!value.is_map()) return value;
  Config::Map entries;
  for (const auto& [key, own] : value.as_map()) {
    entries.emplace_back(key, key == "role" ? own : marked(own, specials));
  }
  return entries;
}

bool is_trusted(const Config& message) {
  const Config* role = message.is_map() ? message.find("role") : nullptr;
  if (role == nullptr || !role->is_string()) return false;
  return role->as_string() == "system" || role->as_string() == "developer" ||
         role->as_string() == "assistant";
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
  Template::Variables all = {
      {"tools", Value()}, {"documents", Value()}, {"add_generation_prompt", add_generation_prompt}};
  for (const auto& [key, text] : tokens_) all.emplace_back(key, text);
  try {
    all.emplace_back("messages", Value::from(messages));
    for (const auto& [key, value] : variables.as_map()) all.emplace_back(key, Value::from(value));
  } catch (const Fault& fault) {
    fail_request("chat: the conversation is too large: {}", fault.what());
  }
  const std::time_t seconds = std::time(nullptr);
  std::tm now{};
  localtime_r(&seconds, &now);
  return template_.render(all, now);
}

ChatText ChatTemplate::write(const Config& messages, const std::vector<SpecialToken>& specials,
                             const Config& variables, bool add_generation_prompt) const {
  Config::List told;
  for (const Config& message : messages.as_list()) {
    told.push_back(is_trusted(message) ? message : marked(message, specials));
  }
  const std::string text = render(Config(std::move(told)), variables, add_generation_prompt);
  ChatText written;
  size_t done = 0;
  for (size_t at = text.find(kUsers); at != text.npos; at = text.find(kUsers, at + 1)) {
    if (!special_at(text, at + kUsers.size(), specials)) continue;
    written.text.append(text, done, at - done);
    written.plain.push_back(written.text.size());
    done = at + kUsers.size();
  }
  written.text.append(text, done);
  return written;
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
