#include "data/normalizer.h"

#include <array>
#include <memory>

#include "core/base64.h"
#include "core/text.h"
#include "data/charsmap.h"
#include "data/tokenizer_layout.h"
#include "data/unicode.h"

namespace heed::data {
namespace {

using layout::given;

constexpr const char* kKinds =
    "BertNormalizer, NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend, Replace, "
    "Precompiled, Nmt, Sequence";

bool is_space(int32_t c) { return char_class(c) == CharClass::space; }

bool is_ideograph(int32_t c) {
  struct Range {
    int32_t first, last;
  };
  constexpr std::array<Range, 8> kRanges = {{{0x4E00, 0x9FFF},
                                             {0x3400, 0x4DBF},
                                             {0x20000, 0x2A6DF},
                                             {0x2A700, 0x2B73F},
                                             {0x2B740, 0x2B81F},
                                             {0x2B920, 0x2CEAF},
                                             {0xF900, 0xFAFF},
                                             {0x2F800, 0x2FA1F}}};
  for (const Range& range : kRanges) {
    if (c >= range.first && c <= range.last) return true;
  }
  return false;
}

// BERT's: no controls, and a plain space for all white space.
std::string cleaned(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  for_each_code_point(text, [&](int32_t c, std::string_view bytes) {
    if (c == '\t' || c == '\n' || c == '\r' || is_space(c)) {
      if (c == '\t' || c == '\n' || c == '\r' || !is_control(c)) clean += ' ';
    } else if (c != 0 && c != 0xFFFD && !is_control(c)) {
      clean += bytes;
    }
  });
  return clean;
}

std::string with_spaces_around_ideographs(std::string_view text) {
  std::string spaced;
  spaced.reserve(text.size());
  for_each_code_point(text, [&](int32_t c, std::string_view bytes) {
    if (is_ideograph(c)) {
      spaced.append(" ").append(bytes).append(" ");
    } else {
      spaced += bytes;
    }
  });
  return spaced;
}

// BERT's accents are nonspacing marks, those of StripAccents all marks.
std::string without_marks(std::string_view text, bool (*is_accent)(int32_t)) {
  std::string bare;
  bare.reserve(text.size());
  for_each_code_point(text, [&](int32_t c, std::string_view bytes) {
    if (!is_accent(c)) bare += bytes;
  });
  return bare;
}

std::string stripped(std::string_view text, bool left, bool right) {
  size_t begin = text.size(), end = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    const size_t next = at + static_cast<size_t>(c.bytes);
    if (!is_space(c.value)) {
      begin = std::min(begin, at);
      end = next;
    }
    at = next;
  }
  if (begin == text.size()) return left || right ? std::string() : std::string(text);
  return std::string(
      text.substr(left ? begin : 0, (right ? end : text.size()) - (left ? begin : 0)));
}

// Expressions that stand in published files: runs of spaces, or of any white space.
struct RunPattern {
  const char* regex;
  bool any_space;
  size_t least;
};
constexpr std::array<RunPattern, 6> kReplacePatterns = {{{" {2,}", false, 2},
                                                         {"[ ]{2,}", false, 2},
                                                         {" +", false, 1},
                                                         {"\\s+", true, 1},
                                                         {"\\s{2,}", true, 2},
                                                         {"[\\s]+", true, 1}}};

std::string replaced_runs(std::string_view text, const RunPattern& pattern, std::string_view by) {
  std::string made;
  for (size_t at = 0; at < text.size();) {
    size_t end = at, count = 0;
    while (end < text.size()) {
      const CodePoint c = code_point_at(text, end);
      if (!(pattern.any_space ? is_space(c.value) : c.value == ' ')) break;
      end += static_cast<size_t>(c.bytes);
      ++count;
    }
    if (count >= pattern.least) {
      made += by;
    } else {
      end += count == 0 ? static_cast<size_t>(code_point_at(text, at).bytes) : 0;
      made += text.substr(at, end - at);
    }
    at = end;
  }
  return made;
}

// As `tokenizers` applies a charsmap: to every grapheme cluster of at most five bytes as a whole,
// by the shortest key that it begins with; then to single characters in the same way.
std::string mapped(std::string_view text, const Charsmap& map) {
  constexpr size_t kLongestCluster = 5;
  std::string made;
  made.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t end = grapheme_end(text, at);
    const std::string_view cluster = text.substr(at, end - at);
    at = end;
    if (cluster.size() <= kLongestCluster) {
      if (const auto match = map.shortest(cluster)) {
        made += match->becomes;
        continue;
      }
    }
    for_each_code_point(cluster, [&](int32_t, std::string_view bytes) {
      const auto match = map.shortest(bytes);
      made += match ? match->becomes : bytes;
    });
  }
  return made;
}

// Of neural machine translation: some controls are dropped, some spaces are plain ones.
std::string nmt(std::string_view text) {
  std::string made;
  for_each_code_point(text, [&](int32_t c, std::string_view bytes) {
    const bool dropped = (c >= 0x1 && c <= 0x8) || c == 0xB || (c >= 0xE && c <= 0x1F) ||
                         c == 0x7F || c == 0x8F || c == 0x9F;
    if (dropped) return;
    const bool space = c == 0x9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
                       (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                       c == 0xFEFF || c == 0xFFFD;
    made += space ? std::string_view(" ") : bytes;
  });
  return made;
}

bool flag(const Config& part, const char* key, bool otherwise) {
  const Config* value = given(part, key);
  return value == nullptr ? otherwise : value->as_bool();
}

std::function<std::string(std::string)> bert(const Config& part) {
  const bool clean = flag(part, "clean_text", true);
  const bool spaced = flag(part, "handle_chinese_chars", true);
  const bool lower = flag(part, "lowercase", true);
  const bool bare = flag(part, "strip_accents", lower);
  return [=](std::string text) {
    if (clean) text = cleaned(text);
    if (spaced) text = with_spaces_around_ideographs(text);
    if (bare) text = without_marks(normal_form(text, NormalForm::nfd), is_nonspacing_mark);
    return lower ? lower_case(text) : text;
  };
}

std::function<std::string(std::string)> replace(const Config& part) {
  const Config& pattern = part.at("pattern");
  const std::string& by = part.at("content").as_string();
  if (const Config* what = pattern.find("String")) {
    if (what->as_string().empty()) {
      fail_request(what->where(), "tokenizer: Replace of an empty string");
    }
    return [what = what->as_string(), by](const std::string& text) {
      return replaced(text, what, by);
    };
  }
  const std::string& regex = pattern.at("Regex").as_string();
  std::string known;
  for (const RunPattern& run : kReplacePatterns) {
    if (regex == run.regex) {
      return [run, by](const std::string& text) { return replaced_runs(text, run, by); };
    }
    known += fmt::format("{}'{}'", known.empty() ? "" : ", ", run.regex);
  }
  fail_request(pattern.where(),
               fmt::format("tokenizer: Replace of the expression '{}' is not supported (known: {})",
                           regex, known));
}

std::function<std::string(std::string)> precompiled(const Config& part) {
  const Config& coded = part.at("precompiled_charsmap");
  const std::optional<std::string> bytes = from_base64(coded.as_string());
  if (!bytes) fail_request(coded.where(), "tokenizer: a charsmap that is not base64");
  try {
    const auto map = std::make_shared<const Charsmap>(*bytes);
    return [map](const std::string& text) { return mapped(text, *map); };
  } catch (const RequestError& error) {
    fail_request(coded.where(), error.what());
  }
}

}  // namespace

Normalizer::Normalizer(const Config& normalizer) { add(normalizer); }

void Normalizer::add(const Config& part) {
  const std::string& type = part.at("type").as_string();
  const auto form = [&](NormalForm wanted) {
    steps_.emplace_back([wanted](const std::string& text) { return normal_form(text, wanted); });
  };
  if (type == "Sequence") {
    for (const Config& inner : part.at("normalizers").as_list()) add(inner);
  } else if (type == "BertNormalizer") {
    steps_.push_back(bert(part));
  } else if (type == "NFC") {
    form(NormalForm::nfc);
  } else if (type == "NFD") {
    form(NormalForm::nfd);
  } else if (type == "NFKC") {
    form(NormalForm::nfkc);
  } else if (type == "NFKD") {
    form(NormalForm::nfkd);
  } else if (type == "Lowercase") {
    steps_.emplace_back([](const std::string& text) { return lower_case(text); });
  } else if (type == "StripAccents") {  // of a decomposed text: it decomposes nothing itself
    steps_.emplace_back([](const std::string& text) { return without_marks(text, is_mark); });
  } else if (type == "Strip") {
    const bool left = flag(part, "strip_left", true), right = flag(part, "strip_right", true);
    steps_.emplace_back([=](const std::string& text) { return stripped(text, left, right); });
  } else if (type == "Prepend") {
    steps_.emplace_back([what = part.at("prepend").as_string()](const std::string& text) {
      return text.empty() ? text : what + text;
    });
  } else if (type == "Replace") {
    steps_.push_back(replace(part));
  } else if (type == "Precompiled") {
    steps_.push_back(precompiled(part));
  } else if (type == "Nmt") {
    steps_.emplace_back([](const std::string& text) { return nmt(text); });
  } else {
    layout::refuse(part, "normalizer", kKinds);
  }
}

std::string Normalizer::operator()(std::string_view text) const {
  std::string made(text);
  for (const Step& step : steps_) made = step(std::move(made));
  return made;
}

}  // namespace heed::data
