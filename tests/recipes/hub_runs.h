// Runs that go to the hub's form and come back: a folder with a tiny recipe, and what tests of
// import and export do with it again and again.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/files.h"
#include "core/safetensors.h"
#include "recipes/engine/export.h"
#include "recipes/engine/hf/import.h"
#include "tests/core/raises.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {

/// A decoder of Llama's shape.
inline constexpr const char* kLlama =
    "model={type: gpt, layers: 2, dim: 16, heads: 4, kv_heads: 2, context: 8, mlp: swiglu, norm: "
    "rms_norm, position: rotary, bias: false, tied: false}";

/// LLaVA with such a decoder, on the bytes of a text, which have no 1: it stands for an image's
/// state.
inline constexpr const char* kLlava =
    "model={type: llava, image_token: 1, vision: {height: 4, width: 4, patch: 2, layers: 2, dim: "
    "8, heads: 2, hidden: 12}, text: {layers: 2, dim: 16, heads: 4, kv_heads: 2, context: 8, mlp: "
    "swiglu, hidden: 24, norm: rms_norm, position: rotary, bias: false, tied: false}}";

class HubRuns : public testing::Test {
 protected:
  HubRuns() { write_tiny(folder); }

  /// Trains a moment into `run`.
  void train(const std::string& run, const std::vector<std::string>& overrides) const {
    std::vector<std::string> all = {"train.steps=4", "train.ema=0"};
    all.insert(all.end(), overrides.begin(), overrides.end());
    train_tiny(folder, run, all);
  }
  CheckpointContent content(const std::string& run) const {
    return read_checkpoint(find_checkpoint(folder.path(run)).path);
  }
  std::map<std::string, Tensor> weights(const std::string& run) const {
    const NamedTensors model = content(run).model;
    return {model.begin(), model.end()};
  }
  Config recipe(const std::string& run) const {
    return read_yaml_file(find_checkpoint(folder.path(run)).path + "/recipe.yaml");
  }
  NamedTensors tensors_in(const std::string& file) const {
    return read_safetensors(folder.path(file)).tensors;
  }
  /// Writes a JSON file anew with a change.
  void set(const std::string& file, const std::string& key, const Config& value) const {
    Config changed = read_json_file(folder.path(file));
    changed.set(key, value);
    write_file_atomically(folder.path(file), changed.to_json(2));
  }
  /// Why a hub's folder, with an adapter where one is named, is not imported; nothing must stay.
  std::string refusal(const std::string& hub, const std::string& adapter = "",
                      bool merged = false) const {
    ImportedAdapter with;
    if (!adapter.empty()) with = {folder.path(adapter), merged};
    const std::string message =
        request_error([&] { import_model(folder.path(hub), folder.path("new"), {}, with); });
    EXPECT_FALSE(std::filesystem::exists(folder.path("new")));
    EXPECT_FALSE(std::filesystem::exists(folder.path(".writing-new")));
    return message;
  }

  Scratch folder;
};

}  // namespace heed::recipes
