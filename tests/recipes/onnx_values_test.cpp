// Values of ONNX graphs: their dtypes, their names, and the inputs of a model that reads images.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "autograd/ops/elementwise.h"
#include "autograd/trace.h"
#include "nn/init.h"
#include "nn/layers/linear.h"
#include "tests/recipes/onnx_graphs.h"

namespace heed::recipes::onnx {
namespace {

using ::testing::HasSubstr;

// --- dtypes ---

TEST(OnnxValues, DtypesThatMeetAreCast) {
  const Scratch folder;
  nn::Module nothing;
  const Tensor wide = Tensor::full({5}, 2.0, DType::f64),
               narrow = Tensor::full({5}, 2.0, DType::bf16);
  const auto fn = [&](const nn::Inputs& in) {
    return std::vector<Tensor>{mul(in.at("x"), wide), mul(in.at("x"), narrow)};
  };
  write({nothing, fn, {floats("x", {3, 5})}, {"wide", "same"}, Config::map()},
        folder.path("x.onnx"));
  const onnx_proto::Model model = read(folder.path("x.onnx"));
  EXPECT_EQ(node_types(model).at("Cast"), 1) << "bf16 is written as f32";
  EXPECT_EQ(model.graph().output(0).type().tensor_type().elem_type(), onnx_proto::Tensor::DOUBLE);
  EXPECT_EQ(model.graph().output(1).type().tensor_type().elem_type(), onnx_proto::Tensor::FLOAT);
}

TEST(OnnxValues, DtypesThatCannotMeetAreRefused) {
  EXPECT_THAT(refusal([](const Tensor& x) {
                const Tensor y = square(x), wide = Tensor::full(x.shape(), 2.0, DType::f64);
                const Tensor both = Tensor::full({6, 5}, 0.0);
                if (trace::on()) trace::report("concat", {y, wide}, {both}, {{"dim", 0}});
                return both;
              }),
              HasSubstr("onnx: 'concat' takes f32 and f64 together, which no op of ONNX does"));
}

TEST(OnnxValues, AModuleInF64IsWrittenInF64) {
  const Scratch folder;
  nn::Linear layer(5, 2);
  layer.initialise(3);
  layer.convert(DType::f64);
  Example x{"x", testing::normal({3, 5}, "x", DType::f64),
            testing::normal({3, 5}, "y", DType::f64)};
  const auto fn = [&](const nn::Inputs& in) { return std::vector<Tensor>{layer(in.at("x"))}; };
  write({layer, fn, {x}, {"y"}, Config::map()}, folder.path("x.onnx"));
  const auto tensors = initializers(read(folder.path("x.onnx")));
  EXPECT_EQ(tensors.at("weight").data_type(), onnx_proto::Tensor::DOUBLE);
}

// --- names ---

/// Every name that a node gives a value, those in bodies of loops too.
void add_names(const onnx_proto::Graph& graph, std::vector<std::string>& names) {
  for (const auto& node : graph.node()) {
    for (const std::string& output : node.output()) names.push_back(output);
    for (const auto& attribute : node.attribute()) {
      if (!attribute.has_g()) continue;
      for (const auto& input : attribute.g().input()) names.push_back(input.name());
      add_names(attribute.g(), names);
    }
  }
}

// A module that runs three times is one set of tensors, and three of nodes.
TEST(OnnxValues, ValuesOfALoopHaveNamesOfTheirOwn) {
  const Scratch folder;
  for (const char* type : {"linear", "gru", "gated_linear"}) {
    SCOPED_TRACE(type);
    const bool attention = std::string(type) == "gated_linear";
    const nn::ModuleEntry& entry = nn::find_module(type, attention ? "attention" : "layer");
    const Config config = parse_yaml(std::string(type) == "linear" ? "{in: 8, out: 8}"
                                     : attention                   ? "{dim: 8, heads: 2}"
                                                                   : "{in: 8, hidden: 8}",
                                     "test");
    const auto module = entry.make(config);
    module->initialise(3);
    const auto fn = [&](const nn::Inputs& in) {
      nn::Inputs now = in;
      for (int i = 0; i < 3; ++i) now["x"] = entry.forward(*module, now).front();
      return std::vector<Tensor>{now.at("x")};
    };
    const Written written =
        write({*module, fn, {floats("x", {2, 5, 8})}, {"y"}, Config::map()}, folder.path("x.onnx"));
    const onnx_proto::Model model = read(folder.path("x.onnx"));
    std::vector<std::string> names;
    add_names(model.graph(), names);
    EXPECT_GE(names.size(), 3u);
    for (const auto& [name, tensor] : initializers(model)) names.push_back(name);
    for (const auto& input : model.graph().input()) names.push_back(input.name());
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
    // The trained tensors stand once.
    size_t trained = 0;
    for (const auto& named : module->named_parameters())
      trained += initializers(model).contains(named.name) ? 1 : 0;
    EXPECT_GT(trained, 0u);
    EXPECT_EQ(written.parameters, module->parameter_count());
  }
}

TEST(OnnxValues, ANameOfTwoValuesIsRefused) {
  struct Named : nn::Module {
    explicit Named(const char* name) : weight(Tensor::full({5}, 2.0)) {
      parameters({{name, weight, nn::init::zeros()}});
    }
    Tensor weight;
  };
  const Scratch folder;
  const auto refusal_of = [&](const char* name) {
    Named module(name);
    const auto fn = [&](const nn::Inputs& in) {
      return std::vector<Tensor>{mul(in.at("x"), module.weight)};
    };
    return request_error([&] {
      write({module, fn, {floats("x", {3, 5})}, {"y"}, Config::map()}, folder.path("x.onnx"));
    });
  };
  EXPECT_EQ(refusal_of("weight"), "no error");
  EXPECT_THAT(refusal_of("x"), HasSubstr("a trained tensor is called 'x', and so is another"));
  EXPECT_THAT(refusal_of("y"), HasSubstr("a result is called 'y', and so is another value"));
  EXPECT_EQ(refusal_of("Mul.1"), "no error") << "which the node's result then is not called";
}

// --- LLaVA ---

TEST(OnnxValues, LlavaTakesIdsAndAnImageForEachRow) {
  const Scratch folder;
  Fresh llava(
      "{type: llava, image_token: 9, vision: {height: 4, width: 6, channels: 3, patch: 2, layers: "
      "2, dim: 4, heads: 2, hidden: 6}, text: {vocab: 11, context: 12, layers: 1, dim: 8, heads: "
      "2, "
      "mlp: swiglu, hidden: 12, norm: rms_norm, position: rotary, bias: false, tied: false}}");
  const Written written = write(llava.model({.batch = 2, .tokens = 10}), folder.path("x.onnx"));
  ASSERT_EQ(written.inputs.size(), 2u);
  EXPECT_EQ(written.inputs[0].second.shape(), (Shape{2, 10}));
  EXPECT_EQ(written.inputs[1].first, "images");
  EXPECT_EQ(written.inputs[1].second.shape(), (Shape{2, 4, 6, 3}));
  EXPECT_EQ(written.outputs[0].second.shape(), (Shape{2, 10, 11}));
  // Where the image's tokens lie is for the graph to find.
  EXPECT_GE(node_types(read(folder.path("x.onnx"))).at("NonZero"), 1);
  EXPECT_THAT(request_error([&] { llava.model({.tokens = 5}); }),
              HasSubstr("5 tokens, and an image is 6 of them"));
}

}  // namespace
}  // namespace heed::recipes::onnx
