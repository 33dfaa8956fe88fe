#include "data/system_headers.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

namespace heed::data {
namespace {

namespace fs = std::filesystem;

// Every C++ standard library has a <vector>.
bool holds_headers(const fs::path& folder) {
  std::error_code ignored;
  return fs::is_regular_file(folder / "vector", ignored);
}

// The folders of a place like /usr/include/c++, the highest version first: 12 before 9.
std::vector<fs::path> versions_in(const fs::path& place) {
  std::vector<fs::path> folders;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(place, ignored)) folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end(), [](const fs::path& a, const fs::path& b) {
    const std::string x = a.filename(), y = b.filename();
    const int m = std::atoi(x.c_str()), n = std::atoi(y.c_str());
    return m != n ? m > n : x > y;
  });
  return folders;
}

// The folders that `c++ -E -v` lists between "#include <...>" and "End of search list".
std::vector<fs::path> compiler_folders() {
  const char* given = std::getenv("CXX");
  const std::string compiler = given != nullptr && *given != '\0' ? given : "c++";
  const std::string command = compiler + " -E -v -x c++ /dev/null 2>&1 >/dev/null";
  const auto close = [](FILE* pipe) { pclose(pipe); };
  const std::unique_ptr<FILE, decltype(close)> pipe(popen(command.c_str(), "r"), close);
  std::vector<fs::path> folders;
  if (pipe == nullptr) return folders;
  std::string text;
  std::array<char, 4096> buffer;
  for (size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe.get())) > 0;) {
    text.append(buffer.data(), n);
  }
  size_t at = text.find("#include <...>");
  const size_t end = text.find("End of search list");
  while (at < end && (at = text.find('\n', at)) < end) {
    const size_t first = text.find_first_not_of(" \n", at);
    const size_t last = text.find('\n', first);
    if (last == std::string::npos || last > end) break;
    folders.emplace_back(text.substr(first, last - first));
    at = last;
  }
  return folders;
}

}  // namespace

CppHeadersOptions::CppHeadersOptions() {
  text.split = "files";
  text.max_bytes = 4'000'000;
}

void CppHeadersOptions::options(Options& o) {
  o.field("folder", folder,
          "where the headers are; empty: found by looking and asking the compiler");
  o.field("fallback", fallback, "files, folders or patterns to read when there are no headers");
  text.options(o);
}

std::string find_cpp_headers() {
  for (const char* place : {"/usr/include/c++", "/usr/local/include/c++"}) {
    for (const fs::path& folder : versions_in(place)) {
      if (holds_headers(folder)) return folder;
    }
  }
  for (const fs::path& folder : compiler_folders()) {
    if (holds_headers(folder)) return folder.lexically_normal();
  }
  return "";
}

std::unique_ptr<TextDataset> open_cpp_headers(const CppHeadersOptions& options,
                                              const SourceLocation& where) {
  const std::string folder =
      options.folder.empty() ? find_cpp_headers() : expand_path(options.folder, where);
  if (folder.empty() && options.fallback.empty()) {
    fail_request(where,
                 "no C++ standard library headers are on this machine (looked in "
                 "/usr/include/c++, and asked $CXX or c++): install a compiler, or name "
                 "other text as fallback");
  }
  const auto files = folder.empty() ? options.fallback : std::vector<std::string>{folder};
  auto dataset =
      make_text_dataset(read_text(files, options.text.max_bytes, where), {}, options.text, where);
  dataset->summary =
      fmt::format("{}: {}", folder.empty() ? options.fallback.front() : folder, dataset->summary);
  return dataset;
}

}  // namespace heed::data
