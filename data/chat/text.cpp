#include "data/chat/text.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "data/chat/arguments.h"
#include "data/unicode.h"

namespace heed::data::chat {
namespace {

// Runs of white space; what is left when `most` is reached keeps its spaces.
std::vector<std::string> words_of(const std::string& text, int64_t most, bool from_right) {
  const std::vector<std::string> all = characters(text);
  const auto space = [&](size_t i) { return is_space(code_point_at(all[i], 0).value); };
  std::vector<std::pair<size_t, size_t>> words;
  for (size_t i = 0; i < all.size();) {
    if (space(i)) {
      ++i;
      continue;
    }
    const size_t begin = i;
    while (i < all.size() && !space(i)) ++i;
    words.emplace_back(begin, i);
  }
  if (most >= 0 && std::ssize(words) > most + 1) {
    const auto kept = static_cast<std::ptrdiff_t>(most);
    if (from_right) {
      const auto first = words.end() - kept;
      const std::pair<size_t, size_t> rest{0, (first - 1)->second};
      words.erase(words.begin(), first);
      words.insert(words.begin(), rest);
    } else {
      words[static_cast<size_t>(most)].second = all.size();
      words.resize(static_cast<size_t>(most) + 1);
    }
  }
  std::vector<std::string> parts;
  for (const auto& [begin, end] : words) {
    std::string word;
    for (size_t i = begin; i < end; ++i) word += all[i];
    parts.push_back(std::move(word));
  }
  return parts;
}

std::vector<std::string> parts_of(const std::string& text, const std::string& mark, int64_t most,
                                  bool from_right) {
  std::vector<std::string> parts;
  if (from_right) {
    size_t end = text.size();
    while (most != 0 && end >= mark.size()) {
      const size_t found = text.rfind(mark, end - mark.size());
      if (found == std::string::npos) break;
      parts.push_back(text.substr(found + mark.size(), end - found - mark.size()));
      end = found;
      --most;
    }
    parts.push_back(text.substr(0, end));
    std::reverse(parts.begin(), parts.end());
    return parts;
  }
  size_t at = 0;
  while (most != 0) {
    const size_t found = text.find(mark, at);
    if (found == std::string::npos) break;
    parts.push_back(text.substr(at, found - at));
    at = found + mark.size();
    --most;
  }
  parts.push_back(text.substr(at));
  return parts;
}

}  // namespace

std::vector<std::string> characters(const std::string& text) {
  std::vector<std::string> all;
  for_each_code_point(text, [&](int32_t, std::string_view bytes) { all.emplace_back(bytes); });
  return all;
}

bool is_space(int32_t c) {
  return char_class(c) == CharClass::space || (c >= 0x1C && c <= 0x1F);  // as Python's str.strip()
}

std::string stripped(const std::string& text, const Value& what, bool left, bool right) {
  const std::vector<std::string> all = characters(text);
  const std::optional<std::vector<std::string>> set =
      what.is_none() ? std::optional<std::vector<std::string>>()
                     : characters(text_of(what, "the characters to strip"));
  const auto goes = [&](const std::string& c) {
    if (!set) return is_space(code_point_at(c, 0).value);
    return std::find(set->begin(), set->end(), c) != set->end();
  };
  size_t begin = 0, end = all.size();
  while (left && begin < end && goes(all[begin])) ++begin;
  while (right && end > begin && goes(all[end - 1])) --end;
  std::string made;
  for (size_t i = begin; i < end; ++i) made += all[i];
  return made;
}

std::string upper_case(const std::string& text) {
  std::string made;
  for_each_code_point(text, [&](int32_t c, std::string_view) {
    if (c == 0xDF) {
      made += "SS";
    } else {
      append_code_point(made, to_upper(c));
    }
  });
  return made;
}

bool is_letter(int32_t c) { return char_class(c) == CharClass::letter; }

std::string capitalized(const std::string& text) {
  std::string made;
  for (const std::string& c : characters(text))
    made += made.empty() ? upper_case(c) : lower_case(c);
  return made;
}

std::string titled(const std::string& text, bool filter) {
  std::string made;
  bool begins = true;
  for (const std::string& c : characters(text)) {
    const int32_t code = code_point_at(c, 0).value;
    made += begins ? upper_case(c) : lower_case(c);
    begins = filter ? is_space(code) || std::string_view("-({[<").find(c) != std::string_view::npos
                    : !is_letter(code);
  }
  return made;
}

std::string replaced(const std::string& text, const std::string& what, const std::string& by,
                     int64_t most) {
  std::string made;
  size_t at = 0;
  const auto grow = [&](std::string_view piece) {
    made += piece;
    if (made.size() > kMostText) fault("a text has more than {} bytes", kMostText);
  };
  if (what.empty()) {
    for (const std::string& c : characters(text)) {
      if (most != 0) {
        grow(by);
        --most;
      }
      grow(c);
    }
    if (most != 0) grow(by);
    return made;
  }
  while (most != 0) {
    const size_t found = text.find(what, at);
    if (found == std::string::npos) break;
    grow(std::string_view(text).substr(at, found - at));
    grow(by);
    at = found + what.size();
    --most;
  }
  grow(std::string_view(text).substr(at));
  return made;
}

Value split(const std::string& text, const Value& separator, int64_t most, bool from_right) {
  std::vector<std::string> parts;
  if (separator.is_none()) {
    parts = words_of(text, most, from_right);
  } else {
    const std::string& mark = text_of(separator, "a separator");
    if (mark.empty()) fault("a separator is empty");
    parts = parts_of(text, mark, most, from_right);
  }
  return Value::list(Values(parts.begin(), parts.end()));
}

Value split_lines(const std::string& text) {
  Values lines;
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\n' && text[i] != '\r') continue;
    lines.emplace_back(text.substr(begin, i - begin));
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') ++i;
    begin = i + 1;
  }
  if (begin < text.size()) lines.emplace_back(text.substr(begin));
  return Value::list(std::move(lines));
}

std::string joined(const Values& items, const std::string& by) {
  std::string made;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) made += by;
    made += items[i].str();
    if (made.size() > kMostText) fault("a text has more than {} bytes", kMostText);
  }
  return made;
}

}  // namespace heed::data::chat
