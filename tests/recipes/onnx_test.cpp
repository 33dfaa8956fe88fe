// ONNX files of whole models: what they hold, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "autograd/trace.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "recipes/engine/export.h"
#include "tests/recipes/onnx_graphs.h"
#include "tests/recipes/tiny.h"

namespace heed::recipes::onnx {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(Onnx, TrainedTensorsKeepTheirNamesAndStandOnce) {
  const Scratch folder;
  Fresh gpt(kGpt);
  const Written written = write(gpt.model(), folder.path("gpt.onnx"));
  const onnx_proto::Model model = read(folder.path("gpt.onnx"));
  const auto tensors = initializers(model);
  size_t found = 0;
  for (const auto& [name, tensor] : nn::state_dict(*gpt.module)) {
    const auto it = tensors.find(name);
    if (it == tensors.end()) continue;  // tied to one that is there
    ++found;
    EXPECT_EQ(Shape(std::vector<int64_t>(it->second.dims().begin(), it->second.dims().end())),
              tensor.shape())
        << name;
    const Tensor dense = kernels::contiguous(tensor);
    EXPECT_EQ(it->second.raw_data(), std::string(static_cast<const char*>(dense.raw()),
                                                 static_cast<size_t>(dense.bytes())))
        << name;
  }
  EXPECT_TRUE(tensors.contains("embed.weight"));
  EXPECT_TRUE(tensors.contains("blocks.1.attn.qkv.weight"));
  EXPECT_GE(found, 10u);
  // The mask, the angles, shapes: the same in both blocks.
  EXPECT_LE(tensors.size(), found + 40);
  EXPECT_EQ(written.parameters, gpt.module->parameter_count());
}

TEST(Onnx, InputsAndOutputsHaveNamesAndShapes) {
  const Scratch folder;
  Fresh gpt(kGpt);
  write(gpt.model({.batch = 3, .tokens = 5}), folder.path("gpt.onnx"));
  const onnx_proto::Model model = read(folder.path("gpt.onnx"));
  EXPECT_EQ(model.opset_import(0).version(), 18);
  ASSERT_EQ(model.graph().input_size(), 1);
  EXPECT_EQ(model.graph().input(0).name(), "ids");
  EXPECT_EQ(model.graph().input(0).type().tensor_type().elem_type(), onnx_proto::Tensor::INT64);
  ASSERT_EQ(model.graph().output_size(), 1);
  EXPECT_EQ(model.graph().output(0).name(), "logits");
  const auto& shape = model.graph().output(0).type().tensor_type().shape();
  ASSERT_EQ(shape.dim_size(), 3);
  EXPECT_EQ(shape.dim(0).dim_value(), 3);
  EXPECT_EQ(shape.dim(1).dim_value(), 5);
  EXPECT_EQ(shape.dim(2).dim_value(), 11);
}

TEST(Onnx, EveryNodeIsNeededAndStandsBehindWhatItTakes) {
  const Scratch folder;
  for (const char* yaml :
       {kGpt,
        "{type: encoder, vocab: 11, context: 6, layers: 1, dim: 8, heads: 2, classes: 3, mlm: "
        "true}",
        "{type: recurrent_recommender, items: 7, context: 5, dim: 4, hidden: 6}"}) {
    Fresh fresh(yaml);
    write(fresh.model(), folder.path("x.onnx"));
    const onnx_proto::Model model = read(folder.path("x.onnx"));
    std::set<std::string> known, read_names;
    for (const auto& input : model.graph().input()) known.insert(input.name());
    for (const auto& tensor : model.graph().initializer()) known.insert(tensor.name());
    for (const auto& node : model.graph().node()) {
      for (const std::string& input : node.input()) {
        EXPECT_TRUE(input.empty() || known.contains(input)) << node.name() << " takes " << input;
        read_names.insert(input);
      }
      known.insert(node.output().begin(), node.output().end());
    }
    for (const auto& output : model.graph().output()) read_names.insert(output.name());
    for (const auto& node : model.graph().node()) {
      bool used = false;
      for (const std::string& output : node.output()) used |= read_names.contains(output);
      EXPECT_TRUE(used) << node.name() << " in " << yaml;
    }
    for (const auto& tensor : model.graph().initializer())
      EXPECT_TRUE(read_names.contains(tensor.name())) << tensor.name() << " in " << yaml;
  }
}

TEST(Onnx, WhatNoInputChangesIsAConstant) {
  const Scratch folder;
  nn::Module nothing;
  const auto fn = [](const nn::Inputs& in) {
    const Tensor table = exp(add(Tensor::full({5}, 1.0), 2.0));
    const Tensor unused = matmul(in.at("x"), transpose(in.at("x"), 0, 1));
    return std::vector<Tensor>{mul(in.at("x"), table)};
  };
  const Written written =
      write({nothing, fn, {floats("x", {3, 5})}, {"y"}, Config::map()}, folder.path("x.onnx"));
  EXPECT_EQ(written.nodes, 1);
  EXPECT_EQ(node_types(read(folder.path("x.onnx"))).at("Mul"), 1);
}

TEST(Onnx, AResultThatIsAnInputOrStandsTwiceHasNodesOfItsOwn) {
  const Scratch folder;
  nn::Module nothing;
  const auto fn = [](const nn::Inputs& in) {
    const Tensor y = square(in.at("x"));
    return std::vector<Tensor>{in.at("x"), y, y};
  };
  write({nothing, fn, {floats("x", {3})}, {"same", "y", "again"}, Config::map()},
        folder.path("x.onnx"));
  const onnx_proto::Model model = read(folder.path("x.onnx"));
  EXPECT_EQ(node_types(model).at("Identity"), 2);
  EXPECT_EQ(model.graph().output(2).name(), "again");
}

TEST(Onnx, LargeWeightsGoToASecondFile) {
  const Scratch folder;
  Fresh gpt(kGpt);
  const Written whole = write(gpt.model(), folder.path("whole.onnx"));
  const Written apart = write(gpt.model(), folder.path("apart.onnx"), 1000);
  EXPECT_EQ(whole.files.size(), 1u);
  ASSERT_EQ(apart.files.size(), 2u);
  EXPECT_EQ(apart.files[1], folder.path("apart.onnx.data"));
  EXPECT_LT(fs::file_size(apart.files[0]), fs::file_size(whole.files[0]));
  const std::string data = read_file(apart.files[1]);
  const auto here = initializers(read(folder.path("whole.onnx")));
  size_t outside = 0;
  for (const auto& [name, tensor] : initializers(read(folder.path("apart.onnx")))) {
    if (tensor.data_location() != onnx_proto::Tensor::EXTERNAL) continue;
    ++outside;
    std::map<std::string, std::string> where;
    for (const auto& entry : tensor.external_data()) where[entry.key()] = entry.value();
    EXPECT_EQ(where["location"], "apart.onnx.data");
    const size_t offset = std::stoul(where["offset"]), length = std::stoul(where["length"]);
    EXPECT_EQ(offset % 4096, 0u);
    EXPECT_EQ(data.substr(offset, length), here.at(name).raw_data()) << name;
  }
  EXPECT_GE(outside, 4u);
  EXPECT_LT(kMostBytes, int64_t{1} << 31);
}

TEST(Onnx, AConstantThatComesFromTheInputsIsRefused) {
  EXPECT_THAT(refusal([](const Tensor& x) {
                const std::vector<float> values = x.to_vector<float>();
                return mul(x, Tensor::from(values, x.shape()));
              }),
              AllOf(HasSubstr("no static graph"), HasSubstr("'mul'")));
  EXPECT_THAT(refusal([](const Tensor& x) { return mul(x, sum(x).item()); }),
              AllOf(HasSubstr("no static graph"), HasSubstr("numbers that 'mul' takes")));
  EXPECT_THAT(refusal([](const Tensor& x) { return kernels::contiguous(x.to(kCpu)); }), "no error")
      << "the input itself";
  EXPECT_THAT(refusal([](const Tensor& x) {
                const Tensor y = Tensor::empty(x.shape());
                kernels::copy(x, y);
                return y;
              }),
              HasSubstr("is made from the inputs by no op"));
}

TEST(Onnx, AWayThatDependsOnTheInputsIsRefused) {
  int run = 0;
  EXPECT_THAT(refusal([&run](const Tensor& x) { return ++run == 2 ? exp(x) : square(x); }),
              AllOf(HasSubstr("no static graph"), HasSubstr("'exp'")));
  run = 0;
  EXPECT_THAT(refusal([&run](const Tensor& x) { return slice(x, 1, 0, ++run); }),
              HasSubstr("the shape of 'slice' depends on the values of the inputs"));
}

TEST(Onnx, AViewThatNoOpReportedIsRefused) {
  EXPECT_THAT(refusal([](const Tensor& x) { return exp(views::transpose(square(x), 0, 1)); }),
              HasSubstr("'exp' reads a part of the result of 'square' that no op reported"));
}

TEST(Onnx, WritingInPlaceIsRefused) {
  EXPECT_THAT(refusal([](const Tensor& x) {
                const Tensor y = square(x);
                kernels::copy(x, y);
                return exp(y);
              }),
              AllOf(HasSubstr("no static graph"), HasSubstr("changed in place")));
}

TEST(Onnx, AnUnknownOpIsNamed) {
  EXPECT_THAT(refusal([](const Tensor& x) {
                const Tensor y = Tensor::full(x.shape(), 1.0);
                if (trace::on()) trace::report("mystery", {x}, {y});
                return y;
              }),
              HasSubstr("onnx: 'mystery' has no form in ONNX"));
}

TEST(Onnx, RoutedClustersHaveNoStaticGraph) {
  const Scratch folder;
  Fresh gpt(
      "{type: gpt, vocab: 11, context: 16, layers: 1, dim: 16, heads: 2, attention: {type: "
      "routing, "
      "clusters: 2}}");
  EXPECT_THAT(request_error([&] { write(gpt.model(), folder.path("x.onnx")); }),
              HasSubstr("no static graph"));
}

TEST(Onnx, RunsAndRecipesAreExported) {
  const Scratch folder;
  write_tiny(folder);
  const std::string recipe = folder.path("tiny.yaml");
  const Exported fresh =
      export_model(recipe, folder.path("fresh.onnx"), "onnx", {}, 5'000'000'000, {.batch = 2});
  EXPECT_EQ(fresh.files, std::vector<std::string>{folder.path("fresh.onnx")});
  EXPECT_THAT(fresh.inputs, ::testing::ElementsAre("ids i64[2, 8]"));
  EXPECT_THAT(fresh.outputs, ::testing::ElementsAre("logits f32[2, 8, 257]"));
  EXPECT_THAT(request_error([&] { export_model(recipe, folder.path(), "onnx"); }),
              HasSubstr("is a folder; give the name of a file"));
}

}  // namespace
}  // namespace heed::recipes::onnx
