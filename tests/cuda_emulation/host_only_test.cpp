// Which kernels have no device form, by the sources: a function that calls require_cpu() without
// having asked is_cuda() before. docs/cuda.md has the list; HEED_UPDATE_DOCS=1
// build/test_cuda_emulated --gtest_filter=HostOnly.* writes it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "tests/cuda/not_yet.h"

namespace heed {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// What messages call the op, by the file of its kernel.
using HostOnly = std::map<std::string, std::set<std::string>>;

/// `op` may stand for a variable: the name it has in this function, else the function's own.
std::string op_of(const std::string& line, const std::string& function) {
  std::smatch found;
  if (std::regex_search(line, found, std::regex(R"(require_cpu\([^"]*"([^"]+)\")"))) {
    return found[1];
  }
  if (std::regex_search(function, found, std::regex(R"(const char\* op = "([^"]+)\")"))) {
    return found[1];
  }
  return std::regex_search(function, found, std::regex(R"((\w+)\()")) ? found[1].str() : "?";
}

HostOnly host_only() {
  HostOnly all;
  const fs::path root = HEED_SOURCE_DIR;
  for (const auto& entry : fs::recursive_directory_iterator(root / "kernels")) {
    if (entry.path().extension() != ".cpp" || entry.path().filename() == "device_kernel.cpp") {
      continue;
    }
    std::istringstream lines(read(entry.path()));
    std::string function;  // up to the line
    for (std::string line; std::getline(lines, line);) {
      const bool begins = !line.empty() && std::isalpha(static_cast<unsigned char>(line[0])) != 0 &&
                          line.find('(') != std::string::npos;
      if (begins) function.clear();
      if (line.find("require_cpu(") != std::string::npos &&
          function.find("is_cuda()") == std::string::npos &&
          function.find("device() != nullptr") == std::string::npos) {
        all[fs::relative(entry.path(), root).generic_string()].insert(op_of(line, function));
      }
      function += line + "\n";
    }
  }
  return all;
}

TEST(HostOnly, IsTheListOfTheDocument) {
  std::string table = "| op | its kernel |\n|---|---|\n";
  for (const auto& [file, ops] : host_only()) {
    for (const std::string& op : ops) table += "| " + op + " | `" + file + "` |\n";
  }
  const fs::path path = fs::path(HEED_SOURCE_DIR) / "docs/cuda.md";
  const std::string document = read(path);
  const std::string open = "<!-- kernels: host-only -->\n", close = "<!-- end of kernels -->";
  const size_t begin = document.find(open) + open.size(), end = document.find(close);
  ASSERT_LE(begin, end);
  ASSERT_NE(end, std::string::npos);
  if (document.substr(begin, end - begin) == table) return;
  if (std::getenv("HEED_UPDATE_DOCS") != nullptr) {
    std::ofstream(path, std::ios::binary)
        << document.substr(0, begin) + table + document.substr(end);
    return;
  }
  EXPECT_EQ(document.substr(begin, end - begin), table);
}

// The ops whose own cases find no kernel are in it.
TEST(HostOnly, HasWhatTheCasesMiss) {
  std::set<std::string> ops;
  for (const auto& [file, own] : host_only()) ops.insert(own.begin(), own.end());
  for (const std::string& op : testing::not_yet()) EXPECT_TRUE(ops.contains(op)) << op;
}

}  // namespace
}  // namespace heed
