#include "data/pre_tokenizer.h"

#include <utility>

#include "data/tokenizer_layout.h"
#include "data/unicode.h"

namespace heed::data {
namespace {

using layout::given;

constexpr const char* kKinds =
    "BertPreTokenizer, Whitespace, WhitespaceSplit, Punctuation, Digits, Split, Metaspace, "
    "Sequence";

// What becomes of the delimiters that a text is split at.
enum class Behavior { removed, isolated, contiguous, merged_with_previous, merged_with_next };

Behavior behavior_of(const Config& part, Behavior otherwise) {
  const Config* value = given(part, "behavior");
  if (value == nullptr) return otherwise;
  const std::string& name = value->as_string();
  if (name == "Removed") return Behavior::removed;
  if (name == "Isolated") return Behavior::isolated;
  if (name == "Contiguous") return Behavior::contiguous;
  if (name == "MergedWithPrevious") return Behavior::merged_with_previous;
  if (name == "MergedWithNext") return Behavior::merged_with_next;
  fail_request(value->where(), fmt::format("tokenizer: no behavior is called '{}'", name));
}

// A stretch of text, and whether it is a delimiter.
struct Stretch {
  size_t begin, end;
  bool delimiter;
};

void split_at(const TextPiece& text, const std::vector<Stretch>& stretches, Behavior behavior,
              std::vector<TextPiece>& pieces) {
  const auto emit = [&](size_t begin, size_t end) {
    if (end > begin)
      pieces.push_back({text.text.substr(begin, end - begin), text.first && begin == 0});
  };
  size_t begin = 0, end = 0;  // of a piece that is not whole yet
  bool delimiters = false;
  for (const Stretch& stretch : stretches) {
    const auto start_new = [&] {
      emit(begin, end);
      begin = stretch.begin;
    };
    switch (behavior) {
      case Behavior::removed:
        start_new();
        if (stretch.delimiter) begin = stretch.end;
        break;
      case Behavior::isolated:
        start_new();
        break;
      case Behavior::contiguous:
        if (stretch.delimiter != delimiters) start_new();
        break;
      case Behavior::merged_with_previous:
        if (!stretch.delimiter || delimiters) start_new();
        break;
      case Behavior::merged_with_next:
        if (stretch.delimiter || !delimiters) start_new();
        break;
    }
    end = stretch.end;
    delimiters = stretch.delimiter;
  }
  emit(begin, end);
}

// Every character that `is_delimiter` is one of its own; what lies between is one stretch.
template <class IsDelimiter>
std::vector<Stretch> stretches_of(std::string_view text, IsDelimiter&& is_delimiter) {
  std::vector<Stretch> stretches;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    const size_t next = at + static_cast<size_t>(c.bytes);
    const bool delimiter = is_delimiter(c.value);
    if (delimiter || stretches.empty() || stretches.back().delimiter) {
      stretches.push_back({at, next, delimiter});
    } else {
      stretches.back().end = next;
    }
    at = next;
  }
  return stretches;
}

std::vector<Stretch> stretches_at(std::string_view text, std::string_view delimiter) {
  std::vector<Stretch> stretches;
  for (size_t at = 0; at < text.size();) {
    const size_t found = std::min(text.find(delimiter, at), text.size());
    if (found > at) stretches.push_back({at, found, false});
    at = found;
    if (at == text.size()) break;
    stretches.push_back({at, at + delimiter.size(), true});
    at += delimiter.size();
  }
  return stretches;
}

bool is_space(int32_t c) { return char_class(c) == CharClass::space; }

template <class IsDelimiter>
auto at_characters(IsDelimiter is_delimiter, Behavior behavior) {
  return [=](const TextPiece& text, std::vector<TextPiece>& pieces) {
    split_at(text, stretches_of(text.text, is_delimiter), behavior, pieces);
  };
}

// \w+|[^\w\s]+
void runs(const TextPiece& text, std::vector<TextPiece>& pieces) {
  const auto kind = [](int32_t c) { return is_word_character(c) ? 1 : is_space(c) ? 0 : 2; };
  for (size_t at = 0; at < text.text.size();) {
    const int own = kind(code_point_at(text.text, at).value);
    size_t end = at;
    while (end < text.text.size()) {
      const CodePoint c = code_point_at(text.text, end);
      if (kind(c.value) != own) break;
      end += static_cast<size_t>(c.bytes);
    }
    if (own != 0) pieces.push_back({text.text.substr(at, end - at), text.first && at == 0});
    at = end;
  }
}

std::string scheme_of(const Config& part) {
  const Config* scheme = given(part, "prepend_scheme");
  if (scheme == nullptr) {  // files before 2023
    const Config* prefix = given(part, "add_prefix_space");
    return prefix == nullptr || prefix->as_bool() ? "always" : "never";
  }
  const std::string& name = scheme->as_string();
  if (name != "always" && name != "first" && name != "never") {
    fail_request(scheme->where(), fmt::format("tokenizer: no prepend_scheme is called '{}'", name));
  }
  return name;
}

// "never", "first" (only in front of what begins the whole text) or "always".
std::string with_metaspaces(const TextPiece& text, const std::string& mark,
                            const std::string& scheme) {
  std::string marked;
  for (const char c : text.text) {
    if (c == ' ') {
      marked += mark;
    } else {
      marked += c;
    }
  }
  const bool wanted = scheme == "always" || (scheme == "first" && text.first);
  return wanted && !marked.starts_with(mark) ? mark + marked : marked;
}

}  // namespace

PreTokenizer::PreTokenizer(const Config& pre_tokenizer) { add(pre_tokenizer); }

void PreTokenizer::add(const Config& part) {
  const std::string& type = part.at("type").as_string();
  const auto is_number = [](int32_t c) { return char_class(c) == CharClass::number; };
  if (type == "Sequence") {
    for (const Config& inner : part.at("pretokenizers").as_list()) add(inner);
  } else if (type == "BertPreTokenizer") {
    steps_.emplace_back(at_characters(is_space, Behavior::removed));
    steps_.emplace_back(at_characters(is_punctuation, Behavior::isolated));
  } else if (type == "WhitespaceSplit") {
    steps_.emplace_back(at_characters(is_space, Behavior::removed));
  } else if (type == "Whitespace") {
    steps_.emplace_back(runs);
  } else if (type == "Punctuation") {
    steps_.emplace_back(at_characters(is_punctuation, behavior_of(part, Behavior::isolated)));
  } else if (type == "Digits") {
    steps_.emplace_back(at_characters(is_number, part.at("individual_digits").as_bool()
                                                     ? Behavior::isolated
                                                     : Behavior::contiguous));
  } else if (type == "Split") {
    const Config* delimiter = part.at("pattern").find("String");
    if (delimiter == nullptr || delimiter->as_string().empty() || part.at("invert").as_bool()) {
      layout::refuse(part, "pre_tokenizer", "Split at a String, not inverted");
    }
    steps_.emplace_back(
        [what = delimiter->as_string(), behavior = behavior_of(part, Behavior::isolated)](
            const TextPiece& text, std::vector<TextPiece>& pieces) {
          split_at(text, stretches_at(text.text, what), behavior, pieces);
        });
  } else if (type == "Metaspace") {
    const Config* split = given(part, "split");
    steps_.emplace_back([mark = part.at("replacement").as_string(), scheme = scheme_of(part),
                         splits = split == nullptr || split->as_bool()](
                            const TextPiece& text, std::vector<TextPiece>& pieces) {
      TextPiece marked{with_metaspaces(text, mark, scheme), text.first};
      if (!splits || mark.empty()) {
        pieces.push_back(std::move(marked));
      } else {
        split_at(marked, stretches_at(marked.text, mark), Behavior::merged_with_next, pieces);
      }
    });
  } else {
    layout::refuse(part, "pre_tokenizer", kKinds);
  }
}

std::vector<TextPiece> PreTokenizer::operator()(TextPiece text) const {
  std::vector<TextPiece> pieces;
  pieces.push_back(std::move(text));
  for (const Step& step : steps_) {
    std::vector<TextPiece> finer;
    finer.reserve(pieces.size());
    for (TextPiece& piece : pieces) step(std::move(piece), finer);
    pieces = std::move(finer);
  }
  return pieces;
}

}  // namespace heed::data
