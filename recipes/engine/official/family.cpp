#include "recipes/engine/official/family.h"

#include <algorithm>
#include <cctype>

#include "nn/models/pyramid_options.h"
#include "nn/models/vit_options.h"
#include "recipes/engine/hf/tensor_map.h"

namespace heed::recipes::official {
namespace {

constexpr std::string_view kSine = "-sine";

std::vector<std::string> presets_of(const std::string& model) {
  std::vector<std::string> names;
  if (model == "vit") {
    for (const auto& [name, options] : nn::vit_presets()) names.push_back(name);
  } else {
    for (const auto& [name, options] : nn::pyramid_presets()) names.push_back(name);
  }
  return names;
}

// Whether a name is of the pattern, whose "{}" stand for numbers; these in turn.
bool matches(const std::string& pattern, const std::string& name, std::vector<int64_t>& numbers) {
  constexpr size_t kMostDigits = 9;
  size_t at = 0;
  numbers.clear();
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern.compare(i, 2, "{}") != 0) {
      if (at >= name.size() || name[at++] != pattern[i]) return false;
      continue;
    }
    const size_t begin = at;
    while (at < name.size() && std::isdigit(static_cast<unsigned char>(name[at])) != 0) ++at;
    if (at == begin || at - begin > kMostDigits) return false;
    numbers.push_back(std::stoll(name.substr(begin, at - begin)));
    ++i;
  }
  return at == name.size();
}

// "levels.{0-1}.norm" with its numbers in place.
std::string filled(const std::string& theirs, const std::vector<int64_t>& numbers) {
  std::string name;
  for (size_t i = 0; i < theirs.size(); ++i) {
    if (theirs[i] != '{') {
      name += theirs[i];
      continue;
    }
    const size_t end = theirs.find('}', i);
    const int64_t number = numbers.at(static_cast<size_t>(theirs[i + 1] - '0'));
    const int64_t offset = end == i + 2 ? 0 : theirs[i + 2] == '+' ? 1 : -1;
    name += std::to_string(number + offset);
    i = end;
  }
  return name;
}

}  // namespace

const std::vector<Family>& families() {
  static const std::vector<Family> all = [] {
    std::vector<Family> tables;
    for (const auto& some : {nat_families(), van_families(), compact_families()}) {
      tables.insert(tables.end(), some.begin(), some.end());
    }
    return tables;
  }();
  return all;
}

const Family& find_family(const std::string& name) {
  std::vector<std::string> known;
  for (const Family& family : families()) {
    if (family.name == name) return family;
    known.push_back(family.name);
  }
  fail_request("import: no family '{}'{}; known: {}", name, did_you_mean(name, known),
               fmt::join(known, ", "));
}

std::vector<std::string> sizes_of(const Family& family) {
  std::vector<std::string> sizes;
  const std::string prefix = family.name + "-";
  for (const std::string& preset : presets_of(family.model)) {
    if (!preset.starts_with(prefix) || preset.ends_with("-shape")) continue;
    // ("nat-iso-small" is of the family nat-iso.)
    const bool other = std::any_of(families().begin(), families().end(), [&](const Family& f) {
      return f.name.size() > family.name.size() && preset.starts_with(f.name + "-");
    });
    if (!other) sizes.push_back(preset.substr(prefix.size()));
  }
  return sizes;
}

Config model_of(const Family& family, const std::string& size) {
  const std::vector<std::string> known = sizes_of(family);
  const bool compact = family.model == "vit";
  const bool sine = compact && size.ends_with(kSine);
  const std::string own = sine ? size.substr(0, size.size() - kSine.size()) : size;
  if (std::find(known.begin(), known.end(), own) == known.end()) {
    fail_request("import: {} has no size '{}'{}; known: {}{}", family.name, size,
                 did_you_mean(size, known), fmt::join(known, ", "),
                 compact ? " (with -sine behind it for fixed positions)" : "");
  }
  Config model =
      Config::Map{{"type", family.model}, {"preset", fmt::format("{}-{}", family.name, own)}};
  if (sine) model.set("position", "sinusoidal");
  return model;
}

Place place_of(const Family& family, const std::string& ours, const Shape& shape) {
  const size_t dot = ours.rfind('.');
  const std::string stem = ours.substr(0, dot);
  std::vector<int64_t> numbers;
  for (const Row& row : family.rows) {
    const hf::Layout layout = hf::layout_for(shape, row.layout);
    if (matches(row.ours, ours, numbers)) return {filled(row.theirs, numbers), layout};
    if (dot != std::string::npos && matches(row.ours, stem, numbers)) {
      return {filled(row.theirs, numbers) + ours.substr(dot), layout};
    }
  }
  return {};
}

}  // namespace heed::recipes::official
