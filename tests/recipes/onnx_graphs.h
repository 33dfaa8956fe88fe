// ONNX files that a test writes and reads again.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/files.h"
#include "recipes/engine/onnx/export.h"
#include "recipes/engine/onnx/onnx.pb.h"
#include "tests/core/raises.h"
#include "tests/recipes/scratch.h"
#include "tests/samples.h"

namespace heed::recipes::onnx {

inline Example floats(const std::string& name, const Shape& shape) {
  return {name, testing::normal(shape, name, DType::f32),
          testing::normal(shape, name + "'", DType::f32)};
}

inline onnx_proto::Model read(const std::string& path) {
  onnx_proto::Model model;
  EXPECT_TRUE(model.ParseFromString(read_file(path)));
  return model;
}

inline std::map<std::string, int> node_types(const onnx_proto::Model& model) {
  std::map<std::string, int> types;
  for (const auto& node : model.graph().node()) ++types[node.op_type()];
  return types;
}

inline std::map<std::string, onnx_proto::Tensor> initializers(const onnx_proto::Model& model) {
  std::map<std::string, onnx_proto::Tensor> all;
  for (const auto& tensor : model.graph().initializer()) all[tensor.name()] = tensor;
  return all;
}

/// A registered model with fresh weights.
struct Fresh {
  Config config;
  std::unique_ptr<nn::Module> module;

  explicit Fresh(const std::string& yaml) : config(parse_yaml(yaml, "test")) {
    const nn::ModuleEntry& entry = nn::find_module(config.at("type").as_string(), "model");
    config = entry.resolve(config);
    module = entry.make(config);
    module->initialise(3);
  }
  Model model(const Sizes& sizes = {}) { return model_of(*module, config, sizes); }
};

inline constexpr const char* kGpt =
    "{type: gpt, vocab: 11, context: 8, layers: 2, dim: 16, heads: 2, tied: true, position: "
    "rotary}";

/// A function of one input, without trained tensors.
inline std::string refusal(std::function<Tensor(const Tensor&)> fn) {
  const Scratch folder;
  nn::Module nothing;
  const Model model{nothing,
                    [fn](const nn::Inputs& in) { return std::vector<Tensor>{fn(in.at("x"))}; },
                    {floats("x", {3, 5})},
                    {},
                    Config::map()};
  const std::string message = request_error([&] { write(model, folder.path("x.onnx")); });
  EXPECT_EQ(std::filesystem::exists(folder.path("x.onnx")), message == "no error");
  return message;
}

}  // namespace heed::recipes::onnx
