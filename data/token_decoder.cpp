#include "data/token_decoder.h"

#include <array>
#include <utility>

#include "core/text.h"
#include "data/byte_fallback.h"
#include "data/tokenizer_layout.h"

namespace heed::data {
namespace {

using layout::given;

constexpr const char* kKinds = "WordPiece, Metaspace, ByteFallback, Replace, Strip, Fuse, Sequence";

// English marks and contractions lose the space in front of them.
std::string cleaned_up(std::string text) {
  constexpr std::array<std::pair<const char*, const char*>, 11> kSpaces = {{{" .", "."},
                                                                            {" ?", "?"},
                                                                            {" !", "!"},
                                                                            {" ,", ","},
                                                                            {" ' ", "'"},
                                                                            {" n't", "n't"},
                                                                            {" 'm", "'m"},
                                                                            {" do not", " don't"},
                                                                            {" 's", "'s"},
                                                                            {" 've", "'ve"},
                                                                            {" 're", "'re"}}};
  for (const auto& [what, by] : kSpaces) text = replaced(text, what, by);
  return text;
}

// Up to `start` times `content` goes from the front, up to `stop` times from the back.
std::string stripped(std::string_view text, std::string_view content, int64_t start, int64_t stop) {
  for (int64_t i = 0; i < start && text.starts_with(content); ++i) {
    text.remove_prefix(content.size());
  }
  for (int64_t i = 0; i < stop && text.ends_with(content); ++i) text.remove_suffix(content.size());
  return std::string(text);
}

}  // namespace

TokenDecoder::TokenDecoder(const Config* decoder) {
  if (decoder == nullptr) {
    steps_.emplace_back(
        [](const std::string& token, bool first) { return first ? token : " " + token; });
    return;
  }
  add(*decoder);
}

void TokenDecoder::add(const Config& part) {
  const std::string& type = part.at("type").as_string();
  std::vector<Step>& steps = fuses_ ? fused_ : steps_;
  if (type == "Sequence") {
    for (const Config& inner : part.at("decoders").as_list()) add(inner);
  } else if (type == "WordPiece") {
    const Config* cleanup = given(part, "cleanup");
    steps.emplace_back(
        [prefix = part.at("prefix").as_string(), cleans = cleanup == nullptr || cleanup->as_bool()](
            std::string token, bool first) {
          if (!first) token = token.starts_with(prefix) ? token.substr(prefix.size()) : " " + token;
          return cleans ? cleaned_up(std::move(token)) : token;
        });
  } else if (type == "Metaspace") {
    const Config* scheme = given(part, "prepend_scheme");
    const Config* prefix = given(part, "add_prefix_space");
    const bool prepends = scheme != nullptr   ? *scheme != Config("never")
                          : prefix != nullptr ? prefix->as_bool()
                                              : true;
    steps.emplace_back(
        [mark = part.at("replacement").as_string(), prepends](std::string token, bool first) {
          if (mark.empty()) return token;
          return replaced(token, mark, first && prepends ? "" : " ");
        });
  } else if (type == "ByteFallback") {
    if (fuses_) layout::refuse(part, "decoder", "ByteFallback in front of Fuse");
    steps.emplace_back([](std::string token, bool) {
      const std::optional<char> byte = byte_of_name(token);
      return byte ? std::string(1, *byte) : token;
    });
  } else if (type == "Replace") {
    const Config* what = part.at("pattern").find("String");
    if (what == nullptr || what->as_string().empty()) {
      layout::refuse(part, "decoder", "Replace of a String");
    }
    steps.emplace_back([what = what->as_string(), by = part.at("content").as_string()](
                           std::string token, bool) { return replaced(token, what, by); });
  } else if (type == "Strip") {
    const std::string& content = part.at("content").as_string();
    if (content.empty()) layout::refuse(part, "decoder", "Strip of a character");
    steps.emplace_back(
        [content, start = part.at("start").as_integer(), stop = part.at("stop").as_integer()](
            const std::string& token, bool) { return stripped(token, content, start, stop); });
  } else if (type == "Fuse") {
    fuses_ = true;
  } else {
    layout::refuse(part, "decoder", kKinds);
  }
}

std::string TokenDecoder::piece(const std::string& token, bool first) const {
  std::string text = token;
  for (const Step& step : steps_) text = step(std::move(text), first);
  return text;
}

std::string TokenDecoder::whole(std::string pieces) const {
  for (const Step& step : fused_) pieces = step(std::move(pieces), true);
  return pieces;
}

}  // namespace heed::data
