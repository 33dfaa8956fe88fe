// Checkpoints of the papers' own code: names and layouts. tests/interop/official_check.py compares
// outputs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "core/safetensors.h"
#include "nn/registry.h"
#include "recipes/engine/hf/tensor_map.h"
#include "recipes/engine/official/family.h"
#include "recipes/engine/official/import.h"
#include "tests/core/raises.h"
#include "tests/recipes/runs.h"

namespace heed::recipes::official {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// The smallest model of a family.
Config small(const Family& family) {
  const std::vector<std::string> sizes = sizes_of(family);
  Config model = model_of(family, sizes.front());
  for (const std::string& size : sizes) {
    if (size == "mini" || size == "b0") model = model_of(family, size);
  }
  model.set("classes", 5);
  if (family.model == "pyramid") {
    const nn::ModuleEntry& entry = nn::find_module("pyramid", "model");
    const size_t stages = entry.resolve(model).at("depths").as_list().size();
    Config depths = Config::list();
    for (size_t i = 0; i < stages; ++i) depths.append(2);
    model.set("depths", depths);
  }
  return model;
}

TEST(Official, EveryTensorHasItsOwnPlace) {
  for (const Family& family : families()) {
    const auto module = nn::find_module(family.model, "model").make(small(family));
    std::set<std::string> places;
    for (const auto& named : module->named_tensors()) {
      const Shape shape = named.tensor->shape();
      const Place place = place_of(family, named.name, shape);
      EXPECT_NE(place.name, "") << family.name << ": " << named.name;
      EXPECT_EQ(place.name.find('{'), std::string::npos) << place.name;
      EXPECT_TRUE(places.insert(place.name).second) << family.name << ": " << place.name;
      EXPECT_EQ(hf::their_shape(shape, place.layout).numel(), shape.numel());
    }
  }
}

TEST(Official, PlacesAreThoseOfTheCode) {
  const auto at = [](const char* family, const char* name, const Shape& shape) {
    return place_of(find_family(family), name, shape).name;
  };
  EXPECT_EQ(at("nat", "embeds.0.convs.1.bias", {64}), "patch_embed.proj.1.bias");
  EXPECT_EQ(at("nat", "embeds.2.convs.0.weight", {8, 3, 3, 4}),
            "levels.1.downsample.reduction.weight");
  EXPECT_EQ(at("dinat", "stages.3.14.attn.table", {2, 169}), "levels.3.blocks.14.attn.rpb");
  EXPECT_EQ(at("dinat_s", "embeds.1.merge.norm.weight", {8}), "layers.0.downsample.norm.weight");
  EXPECT_EQ(at("nat-iso", "stages.0.11.mlp.up.weight", {8, 2}), "layers.11.mlp.fc1.weight");
  EXPECT_EQ(at("van", "stages.0.2.attn.far.weight", {4, 7, 7, 1}),
            "block1.2.attn.spatial_gating_unit.conv_spatial.weight");
  EXPECT_EQ(at("van", "norms.3.bias", {4}), "norm4.bias");
  EXPECT_EQ(at("cct", "blocks.6.norm2.weight", {4}), "classifier.blocks.6.norm1.weight");
  EXPECT_EQ(at("cct", "blocks.x.norm2.weight", {4}), "");
}

TEST(Official, SizesAreTheFamilysPresets) {
  EXPECT_THAT(sizes_of(find_family("van")),
              testing::ElementsAre("b0", "b1", "b2", "b3", "b4", "b5", "b6"));
  EXPECT_THAT(sizes_of(find_family("nat")), testing::ElementsAre("base", "mini", "small", "tiny"));
  EXPECT_THAT(sizes_of(find_family("vit-rpb")), testing::ElementsAre("base", "small"));
  EXPECT_EQ(model_of(find_family("cct"), "7-3x1-sine").at("position"), Config("sinusoidal"));
  EXPECT_THAT(request_error([] { model_of(find_family("van"), "b9"); }),
              AllOf(HasSubstr("no size 'b9'"), HasSubstr("b0, b1")));
  EXPECT_THAT(request_error([] { find_family("vann"); }), HasSubstr("did you mean 'van'"));
}

TEST(Official, AFileOfTheirNamesIsARun) {
  const Scratch folder;
  const Family& family = find_family("vit-lite");
  Config model = model_of(family, "2-4");
  model.set("classes", 3);
  const auto module = nn::find_module("vit", "model").make(model);
  module->initialise(1);
  NamedTensors theirs;
  for (const auto& [name, tensor] : nn::state_dict(*module)) {
    const Place place = place_of(family, name, tensor.shape());
    theirs.emplace_back(place.name, hf::to_theirs(tensor.detach(), place.layout));
  }
  write_safetensors(folder.path("file.safetensors"), theirs);
  const Imported imported = import_official(folder.path("file.safetensors"), folder.path("run"),
                                            {.family = "vit-lite", .size = "2-4"});
  EXPECT_EQ(imported.parameters, module->parameter_count());
  const CheckpointContent content = read_checkpoint(imported.checkpoint);
  NamedTensors own = nn::state_dict(*module);
  std::map<std::string, Tensor> read(content.model.begin(), content.model.end());
  ASSERT_EQ(read.size(), own.size());
  for (const auto& [name, tensor] : own) EXPECT_TRUE(same_bits(read.at(name), tensor)) << name;

  theirs.emplace_back("neck", theirs.front().second);
  theirs.erase(theirs.begin());
  write_safetensors(folder.path("file.safetensors"), theirs);
  const std::string message = request_error([&] {
    import_official(folder.path("file.safetensors"), folder.path("other"),
                    {.family = "vit-lite", .size = "2-4"});
  });
  EXPECT_THAT(message, AllOf(HasSubstr("is missing"), HasSubstr("'neck' is no part")));
  EXPECT_FALSE(std::filesystem::exists(folder.path("other")));
}

}  // namespace
}  // namespace heed::recipes::official
