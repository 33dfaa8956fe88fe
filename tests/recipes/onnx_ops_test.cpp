// Every differentiable op has a form in ONNX, or a reason to have none.
#include "tests/recipes/onnx_ops.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "core/files.h"
#include "core/safetensors.h"
#include "recipes/engine/onnx/emit.h"
#include "tests/core/raises.h"
#include "tests/recipes/scratch.h"

namespace heed::recipes::onnx {
namespace {

namespace fs = std::filesystem;

std::set<std::string> declared_ops() {
  std::set<std::string> ops;
  const std::regex declaration(R"(^[A-Z:a-z][\w:<>, ]*\s(\w+)\()",
                               std::regex::ECMAScript | std::regex::multiline);
  for (const auto& entry : fs::directory_iterator(fs::path(HEED_SOURCE_DIR) / "autograd/ops")) {
    if (entry.path().extension() != ".h") continue;
    const std::string text = read_file(entry.path().string());
    for (std::sregex_iterator it(text.begin(), text.end(), declaration), end; it != end; ++it)
      ops.insert((*it)[1]);
  }
  return ops;
}

Model model_of_case(nn::Module& nothing, const OpCase& op) {
  return {nothing, op.run, op.inputs, {}, Config(Config::Map{{"op", op.name}})};
}

// Functions of autograd/ops that no case writes, and why. Those that report themselves and have no
// form are in without_form(): here stand the functions made of them, and those that are no op.
const std::map<std::string, std::string>& without_case() {
  static const std::map<std::string, std::string> all = {
      {"to", "moves tensors between devices"},
      {"update_running", "moves buffers, in training alone"},
      {"gumbel_softmax", "draws noise"},
      {"weighted_cross_entropy", "a loss"},
      {"dice_loss", "a loss"},
      {"cosine_embedding_loss", "a loss"},
      {"triplet_loss", "a loss"},
      {"batch_hard_triplet_loss", "a loss"},
      {"info_nce_loss", "a loss"},
      {"prototype_loss", "a loss"},
  };
  return all;
}

TEST(OnnxOps, EachHasACaseOrAReason) {
  std::set<std::string> cases;
  for (const OpCase& op : op_cases()) cases.insert(op.name.substr(0, op.name.find(' ')));
  const std::set<std::string> declared = declared_ops();
  ASSERT_GE(declared.size(), 100u) << "the declarations were not recognised";
  for (const std::string& op : declared) {
    EXPECT_TRUE(cases.contains(op) || without_form().contains(op) || without_case().contains(op))
        << op << ": give it an emitter (recipes/engine/onnx/emit_*.cpp) and a case "
        << "(onnx_op_cases_test.cpp), or a reason in without_form()";
  }
  for (const auto& [op, reason] : without_case()) {
    EXPECT_TRUE(declared.contains(op)) << op;
    EXPECT_FALSE(cases.contains(op)) << op << " has a case";
  }
  for (const auto& [op, reason] : without_form()) {
    EXPECT_TRUE(declared.contains(op)) << op;
    EXPECT_FALSE(emitters().contains(op)) << op << " has an emitter";
  }
}

// With HEED_ONNX_CASES=FOLDER the files stay there for tests/interop/onnx_check.py.
TEST(OnnxOps, EachIsWritten) {
  const char* wanted = std::getenv("HEED_ONNX_CASES");
  const Scratch scratch;
  const std::string folder = wanted != nullptr ? wanted : scratch.path("ops");
  make_directories(folder);
  nn::Module nothing;
  std::set<std::string> used;
  int number = 0;
  for (const OpCase& op : op_cases()) {
    SCOPED_TRACE(op.name);
    const Model model = model_of_case(nothing, op);
    const std::string stem = fmt::format("{}/{:03} {}", folder, number++, op.name);
    Written written;
    ASSERT_NO_THROW(written = write(model, stem + ".onnx"));
    EXPECT_GT(written.nodes, 0);
    EXPECT_TRUE(written.left_out.empty());
    // Both examples, with what heed makes of them.
    for (const bool second : {false, true}) {
      std::vector<std::pair<std::string, Tensor>> tensors;
      nn::Inputs inputs;
      for (const Example& example : op.inputs) {
        inputs[example.name] = second ? example.second : example.first;
        tensors.emplace_back("in." + example.name, inputs[example.name]);
      }
      const std::vector<Tensor> results = op.run(inputs);
      ASSERT_EQ(results.size(), written.outputs.size());
      for (size_t i = 0; i < results.size(); ++i)
        tensors.emplace_back(written.outputs[i].first, results[i]);
      if (wanted != nullptr)
        write_safetensors(fmt::format("{}.{}.safetensors", stem, second ? 2 : 1), tensors);
    }
  }
}

TEST(OnnxOps, OneWithoutAFormSaysWhy) {
  nn::Module nothing;
  const Scratch folder;
  for (const auto& [op, reason] : without_form()) {
    const Tensor in = Tensor::full({3}, 1.0), other = Tensor::full({3}, 2.0);
    const Model model{nothing,
                      [op = op](const nn::Inputs& inputs) {
                        const Tensor y = Tensor::full({3}, 2.0);
                        if (trace::on()) trace::report(op, {inputs.at("x")}, {y});
                        return std::vector<Tensor>{y};
                      },
                      {{"x", in, other}},
                      {},
                      Config::map()};
    const std::string message = request_error([&] { write(model, folder.path("x.onnx")); });
    const bool loss = reason.starts_with("it is a loss");
    EXPECT_EQ(message, loss
                           ? "onnx: there is nothing to write but losses"
                           : fmt::format("onnx: '{}' has no form in ONNX, because {}", op, reason));
    EXPECT_FALSE(fs::exists(folder.path("x.onnx")));
  }
}

}  // namespace
}  // namespace heed::recipes::onnx
