// Every differentiable op has a gradcheck: each function that autograd/ops/*.h declares must be
// named in a test (TEST, TEST_F or TEST_P, with the tables that follow it) of this folder that
// calls gradcheck.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

namespace heed {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  const std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::set<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern, std::regex::ECMAScript | std::regex::multiline);
  std::set<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) {
    found.insert((*it)[1]);
  }
  return found;
}

std::set<std::string> declared_ops() {
  std::set<std::string> ops;
  for (const auto& entry : fs::directory_iterator(fs::path(HEED_SOURCE_DIR) / "autograd/ops")) {
    if (entry.path().extension() != ".h") continue;
    ops.merge(matches(read(entry.path()), R"(^[A-Z:a-z][\w:<>, ]*\s(\w+)\()"));
  }
  return ops;
}

// The text of a test file, cut where each test begins.
std::vector<std::string> tests_of(const std::string& text) {
  std::vector<std::string> tests;
  const std::regex start(R"(^TEST(_F|_P)?\()", std::regex::ECMAScript | std::regex::multiline);
  size_t begin = std::string::npos;
  for (std::sregex_iterator it(text.begin(), text.end(), start), end; it != end; ++it) {
    const size_t at = static_cast<size_t>(it->position());
    if (begin != std::string::npos) tests.push_back(text.substr(begin, at - begin));
    begin = at;
  }
  if (begin != std::string::npos) tests.push_back(text.substr(begin));
  return tests;
}

std::set<std::string> names_in_gradchecks() {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(fs::path(HEED_SOURCE_DIR) / "tests/autograd")) {
    if (!entry.path().string().ends_with("_test.cpp")) continue;
    for (const std::string& test : tests_of(read(entry.path()))) {
      if (test.find("gradcheck(") == std::string::npos &&
          test.find("expect_gradients(") == std::string::npos) {
        continue;
      }
      names.merge(matches(test, R"(\b([a-z]\w*)\b)"));
    }
  }
  return names;
}

TEST(OpCoverage, EveryDifferentiableOpHasAGradcheck) {
  // what has nothing to check, and why
  const std::map<std::string, std::string> without = {
      {"argmax", "integers"},
      {"argsort", "integers"},
      {"update_running", "moves buffers, without a gradient"},
      {"argmin", "integers"},
      {"one_hot", "integers in, constants out"},
      {"sign", "its gradient is zero"},
      {"eq", "bool"},
      {"ne", "bool"},
      {"lt", "bool"},
      {"le", "bool"},
      {"gt", "bool"},
      {"ge", "bool"},
      {"logical_not", "bool"},
      {"logical_and", "bool"},
      {"logical_or", "bool"},
      {"linear_cross_entropy_rows", "for evaluation, without a gradient"},
      {"stop_gradient", "its gradient is zero by definition"},
      {"cast", "between dtypes, and gradcheck is in f64: see CastKeepsTheChain"},
  };
  const std::set<std::string> ops = declared_ops(), checked = names_in_gradchecks();
  ASSERT_GE(ops.size(), 50u) << "the declarations were not recognised";
  for (const char* known : {"matmul", "swiglu", "split", "attention", "layer_norm"}) {
    EXPECT_TRUE(ops.contains(known)) << known;
  }
  EXPECT_FALSE(checked.contains("argmax"));
  for (const auto& [op, reason] : without) EXPECT_TRUE(ops.contains(op)) << op;
  for (const std::string& op : ops) {
    if (without.contains(op)) continue;
    EXPECT_TRUE(checked.contains(op))
        << op << " has no gradcheck: add one to tests/autograd/<its header>_test.cpp";
  }
}

}  // namespace
}  // namespace heed
