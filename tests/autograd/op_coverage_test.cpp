// Every differentiable op has a gradcheck over odd shapes: each function that autograd/ops/*.h
// declares must be named in a test (TEST, TEST_F or TEST_P, with the tables it reads) of this
// folder that calls gradcheck, and the shapes of these tests must be several, with a dimension of 1
// and one of an odd prime among them.
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

// The tables of a file that a test reads: kTables, cases, shapes and its suite's parameters.
std::string tables_of(const std::string& file, const std::string& test) {
  std::string tables;
  const auto add = [&](const std::string& pattern) {
    for (const std::string& table : matches(file, pattern)) tables += "\n" + table;
  };
  for (const std::string& name : matches(test, R"(\b(k[A-Z]\w*|\w*cases|shapes)\b)")) {
    add("\\b" + name + R"((?:\(\))? (?:=|\{)([^;]*);)");
  }
  for (const std::string& suite : matches(test, R"(^TEST_P\((\w+))")) {
    add(R"(INSTANTIATE_TEST_SUITE_P\(\s*\w+,\s*)" + suite + R"(,([^;]*);)");
  }
  return tables;
}

bool is_odd_prime(int64_t n) {
  for (int64_t k = 2; k * k <= n; ++k) {
    if (n % k == 0) return false;
  }
  return n > 2;
}

/// What the gradchecks that name an op say of its shapes.
struct Checked {
  std::set<std::string> shapes;  // "3, 5"; an extent may be a name
  bool one = false, prime = false;

  void add(const std::string& shape) {
    shapes.insert(shape);
    for (const std::string& extent : matches(shape, R"(\b(\d+)\b)")) {
      one |= extent == "1";
      prime |= is_odd_prime(std::stoll(extent));
    }
  }
  bool is_odd() const { return shapes.size() >= 2 && one && prime; }
};

// The shapes in a test: braces that begin a call's arguments, uniform({3, 5}), but values that
// become a tensor; Shape{3, 5}; all innermost braces of its tables; extents that are looped over or
// given as parameters.
std::set<std::string> shapes_in(const std::string& test, const std::string& tables) {
  std::set<std::string> shapes = matches(test, R"(\bShape\{([^{};]*)\})");
  shapes.merge(
      matches(test, R"((?:[^m>]|[^o]m|[^r]om)\(\{([^{};]*)\})"));  // no from({...}), from<T>({...})
  shapes.merge(matches(tables, R"(\{([^{};]*)\})"));
  std::set<std::string> extents = matches(test, R"(int64_t \w+ : \{([^{};]*)\})");
  extents.merge(matches(tables, R"(Values\(([^(){}]*)\))"));
  for (const std::string& list : extents) shapes.merge(matches(list, R"(\b(\d+)\b)"));
  if (test.find("odd_shapes()") != std::string::npos) shapes.insert({"1", "7"});
  return shapes;
}

std::map<std::string, Checked> names_in_gradchecks() {
  std::map<std::string, Checked> names;
  for (const auto& entry : fs::directory_iterator(fs::path(HEED_SOURCE_DIR) / "tests/autograd")) {
    if (!entry.path().string().ends_with("_test.cpp")) continue;
    const std::string file = read(entry.path());
    for (const std::string& test : tests_of(file)) {
      if (test.find("gradcheck(") == std::string::npos &&
          test.find("expect_gradients(") == std::string::npos) {
        continue;
      }
      const std::string tables = tables_of(file, test);
      const std::set<std::string> shapes = shapes_in(test, tables);
      for (const std::string& name : matches(test + tables, R"(\b([a-z]\w*)\b)")) {
        Checked& checked = names[name];
        for (const std::string& shape : shapes) checked.add(shape);
      }
    }
  }
  return names;
}

TEST(OpCoverage, OddShapesAreRecognised) {
  const auto odd = [](const std::string& test, const std::string& tables = "") {
    Checked checked;
    for (const std::string& shape : shapes_in(test, tables)) checked.add(shape);
    return checked.is_odd();
  };
  EXPECT_TRUE(odd("f(uniform({1, 4}), uniform({7}));"));
  EXPECT_TRUE(odd("for (Shape s : {Shape{1, 2}, Shape{4, 13}})"));
  EXPECT_TRUE(odd("for (Shape s : odd_shapes())"));
  EXPECT_TRUE(odd("for (Shape s : kShapes)", "{{1, 2}, {4, 3}}"));
  EXPECT_TRUE(odd("for (const int64_t n : {1, 7}) f(uniform({n, 2}));"));
  EXPECT_FALSE(odd("f(uniform({1, 7}));")) << "one shape";
  EXPECT_FALSE(odd("f(uniform({2, 3}), uniform({5}));")) << "no 1";
  EXPECT_FALSE(odd("f(uniform({1, 4}), uniform({2, 9}));")) << "no odd prime";
  EXPECT_FALSE(odd("sum(uniform({2, 4}), {1, 3});")) << "dimensions are no shape";
  EXPECT_FALSE(odd("Tensor::from<double>({1, 7}, {2, 1}); f(uniform({4}));")) << "nor are values";
  EXPECT_EQ(tables_of("const Case kOf = {{1}, {3}};\nTEST(A, B) { kOf; }", "TEST(A, B) { kOf; }"),
            "\n {{1}, {3}}");
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
      {"to", "between devices: see tests/cuda/device_test.cpp"},
  };
  const std::set<std::string> ops = declared_ops();
  const std::map<std::string, Checked> checked = names_in_gradchecks();
  ASSERT_GE(ops.size(), 50u) << "the declarations were not recognised";
  for (const char* known : {"matmul", "swiglu", "split", "attention", "layer_norm"}) {
    EXPECT_TRUE(ops.contains(known)) << known;
  }
  EXPECT_FALSE(checked.contains("argmax"));
  for (const auto& [op, reason] : without) EXPECT_TRUE(ops.contains(op)) << op;
  for (const std::string& op : ops) {
    if (without.contains(op)) continue;
    const auto found = checked.find(op);
    if (found == checked.end()) {
      ADD_FAILURE() << op << " has no gradcheck: add one to tests/autograd/<its header>_test.cpp";
      continue;
    }
    EXPECT_TRUE(found->second.is_odd())
        << op
        << ": its gradchecks need several shapes, with a 1 and an odd prime among them; found "
        << ::testing::PrintToString(found->second.shapes);
  }
}

}  // namespace
}  // namespace heed
