#include "data/text_source.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <set>

#include "core/files.h"
#include "data/text_table.h"
#include "data/unicode.h"

namespace heed::data {
namespace {

namespace fs = std::filesystem;

bool is_pattern(const std::string& path) { return path.find_first_of("*?[") != std::string::npos; }

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

// Regular files below a folder, hidden files and folders left out.
std::vector<std::string> files_below(const fs::path& folder) {
  std::vector<std::string> files;
  auto at = fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied);
  for (; at != fs::recursive_directory_iterator(); ++at) {
    if (is_hidden(at->path())) {
      at.disable_recursion_pending();
    } else if (at->is_regular_file()) {
      files.push_back(at->path().lexically_normal().string());
    }
  }
  return files;
}

// What does exist of a path or pattern that matched nothing, to see where it went wrong.
std::string nothing_matches(const std::string& pattern, const std::string& path) {
  fs::path existing;
  for (const fs::path& part : fs::path(path)) {
    if (!fs::exists(existing / part)) break;
    existing /= part;
  }
  if (existing.empty()) existing = ".";
  std::string hint;
  if (fs::is_directory(existing) && !is_pattern(path)) {
    std::vector<std::string> names;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(existing, ignored)) {
      names.push_back(entry.path().filename().string());
    }
    fs::path rest = fs::path(path).lexically_relative(existing);
    if (!rest.empty()) hint = did_you_mean(rest.begin()->string(), names);
  }
  return fmt::format("no file matches '{}'; '{}' exists, but not the rest of it{}", pattern,
                     existing.string(), hint);
}

std::vector<std::string> find_one(const std::string& pattern, const SourceLocation& where) {
  const std::string path = expand_path(pattern, where);
  std::vector<std::string> found;
  if (fs::is_directory(path)) {
    found = files_below(path);
    if (found.empty()) fail_request(where, fmt::format("the folder '{}' holds no files", path));
  } else if (fs::is_regular_file(path)) {
    found = {fs::path(path).lexically_normal().string()};
  } else if (is_pattern(path)) {
    try {
      for (const std::string& match : expand_files(path)) {
        found.push_back(fs::path(match).lexically_normal().string());
      }
    } catch (const RequestError&) {  // no match: said below, with the recipe's place
    }
  }
  if (found.empty()) fail_request(where, nothing_matches(pattern, path));
  return found;
}

// A text of more than `room` bytes loses its end.
bool cut(std::string& text, int64_t room) {
  if (static_cast<int64_t>(text.size()) <= room) return false;
  text.resize(floor_to_character(text, static_cast<size_t>(room)));
  return true;
}

}  // namespace

std::string expand_path(const std::string& pattern, const SourceLocation& where) {
  std::string path = pattern;
  if (path.starts_with("~/")) path = "${HOME}" + path.substr(1);
  for (size_t open; (open = path.find("${")) != std::string::npos;) {
    const size_t close = path.find('}', open);
    if (close == std::string::npos) {
      fail_request(where, fmt::format("'{}' has a '${{' without a '}}'", pattern));
    }
    const std::string name = path.substr(open + 2, close - open - 2);
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) {
      fail_request(where, fmt::format("'{}' needs the environment variable {}, which is not set",
                                      pattern, name));
    }
    path = path.substr(0, open) + value + path.substr(close + 1);
  }
  return path;
}

std::string not_text(const std::vector<std::string>& skipped) {
  if (skipped.empty()) return "";
  return fmt::format("; {} not text (first: '{}')", skipped.size(), skipped[0]);
}

int64_t TextSource::bytes() const {
  int64_t sum = 0;
  for (const Document& document : documents) sum += static_cast<int64_t>(document.text.size());
  return sum;
}

std::vector<std::string> find_text_files(const std::vector<std::string>& patterns,
                                         const SourceLocation& where) {
  if (patterns.empty()) fail_request(where, "no text files are named");
  std::set<std::string> files;
  for (const std::string& pattern : patterns) {
    const std::vector<std::string> found = find_one(pattern, where);
    files.insert(found.begin(), found.end());
  }
  return {files.begin(), files.end()};
}

TextSource read_text(const std::vector<std::string>& patterns, int64_t max_bytes,
                     const SourceLocation& where, const std::string& field) {
  TextSource source;
  int64_t room = max_bytes > 0 ? max_bytes : std::numeric_limits<int64_t>::max();
  const auto add = [&](const std::string& path, std::string text) {
    const bool shortened = cut(text, room);
    source.capped = source.capped || shortened;
    room = shortened ? 0 : room - static_cast<int64_t>(text.size());
    if (!text.empty()) source.documents.push_back({path, std::move(text)});
  };
  for (const std::string& path : find_text_files(patterns, where)) {
    if (room == 0) {
      source.capped = true;
      break;
    }
    if (path.ends_with(".jsonl")) {
      for (TableRow& row : read_table({path}, {field}, {.format = "jsonl"}, "utf-8", where)) {
        add(fmt::format("{}:{}", path, row.where.line), std::move(row.fields[0]));
      }
      continue;
    }
    std::string text = read_file(path);
    if (text.find('\0') != std::string::npos) {
      source.skipped.push_back(path);
    } else {
      add(path, std::move(text));
    }
  }
  if (source.documents.empty()) {
    const std::string why =
        source.skipped.empty()
            ? "every file that it names is empty"
            : fmt::format("'{}' and the others hold NUL bytes", source.skipped[0]);
    fail_request(where, fmt::format("no text in '{}': {}", fmt::join(patterns, "', '"), why));
  }
  return source;
}

}  // namespace heed::data
