#include "recipes/engine/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "recipes/engine/task.h"
#include "tests/core/raises.h"
#include "tests/recipes/tiny.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::StartsWith;

/// The message that a recipe with this section (and a sound rest) gives; "no error" when it is
/// fine.
class RecipeErrors : public testing::Test {
 protected:
  std::string error_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
    folder.write("text.txt", tiny_text());
    folder.write("r.yaml", text);
    return request_error([&] { make_task(load_recipe(file, overrides)); });
  }

  Scratch folder;
  const std::string file = folder.path("r.yaml");
  const std::string data = "data: {type: text, files: [text.txt]}\n";
  const std::string model = "model: {type: gpt, layers: 1, dim: 8, heads: 2, context: 8}\n";
};

TEST_F(RecipeErrors, SoundRecipeHasNone) { EXPECT_EQ(error_of(data + model), "no error"); }

TEST_F(RecipeErrors, UnknownKeyWithPlaceAndSuggestion) {
  EXPECT_THAT(error_of(data + model + "train:\n  stpes: 5\n"),
              AllOf(StartsWith(file + ":4:3: "), HasSubstr("unknown key 'train.stpes'"),
                    HasSubstr("did you mean 'steps'?")));
  EXPECT_THAT(error_of(data + model + "trian: {}\n"),
              AllOf(StartsWith(file + ":3:1: "), HasSubstr("did you mean 'train'?")));
}

TEST_F(RecipeErrors, UnknownKeyOfTheModelAndTheData) {
  EXPECT_THAT(error_of(data + "model: {type: gpt, layer: 1}\n"),
              AllOf(StartsWith(file + ":2:20: "), HasSubstr("did you mean 'layers'?")));
  EXPECT_THAT(error_of("data: {type: text, file: [x]}\n" + model),
              AllOf(StartsWith(file + ":1:20: "), HasSubstr("did you mean 'files'?")));
}

TEST_F(RecipeErrors, WrongType) {
  EXPECT_EQ(error_of(data + model + "train: {steps: many}\n"),
            file + ":3:16: 'train.steps' must be an integer, got string 'many'");
  EXPECT_THAT(error_of(data + model + "train: 5\n"),
              AllOf(StartsWith(file + ":3:8: "), HasSubstr("must be a map")));
  EXPECT_THAT(error_of(data + "model: gpt\n"), StartsWith(file + ":2:8: "));
}

TEST_F(RecipeErrors, ValueOutOfRange) {
  EXPECT_THAT(error_of(data + model + "train: {batch_size: 0}\n"),
              AllOf(StartsWith(file + ":3:21: "), HasSubstr("'train.batch_size' must be >= 1")));
  EXPECT_THAT(error_of(data + model + "train: {precision: fp16}\n"),
              AllOf(StartsWith(file + ":3:20: "), HasSubstr("f32, bf16")));
}

TEST_F(RecipeErrors, UnknownNamesOfRegistries) {
  EXPECT_THAT(error_of(data + "model: {type: gtp}\n"),
              AllOf(StartsWith(file + ":2:15: "), HasSubstr("did you mean 'gpt'?")));
  EXPECT_THAT(error_of("data: {type: txt}\n" + model),
              AllOf(StartsWith(file + ":1:14: "), HasSubstr("did you mean 'text'?")));
  EXPECT_THAT(error_of(data + model + "task: {type: language_modelling}\n"),
              AllOf(StartsWith(file + ":3:14: "), HasSubstr("did you mean 'language_modeling'?")));
  EXPECT_THAT(error_of(data + "model: {type: gpt, attention: {type: softmx}}\n"),
              AllOf(StartsWith(file + ":2:"), HasSubstr("did you mean 'softmax'?")));
}

TEST_F(RecipeErrors, MissingSections) {
  EXPECT_THAT(error_of(model), HasSubstr("'data' is missing"));
  EXPECT_THAT(error_of(data), HasSubstr("'model' is missing"));
  EXPECT_THAT(error_of(data + "model: {dim: 8}\n"),
              AllOf(StartsWith(file + ":2:8: "), HasSubstr("'model.type' is missing")));
}

TEST_F(RecipeErrors, ImpossibleShapes) {
  EXPECT_THAT(error_of(data + "model: {type: gpt, dim: 10, heads: 4}\n"),
              AllOf(StartsWith(file + ":2:36: "), HasSubstr("heads (4) must divide dim (10)")));
  EXPECT_THAT(error_of(data + "model: {type: gpt, dim: 8, heads: 4, kv_heads: 3}\n"),
              AllOf(StartsWith(file + ":2:48: "), HasSubstr("kv_heads (3) must divide heads (4)")));
  EXPECT_THAT(error_of(data + "model: {type: gpt, dim: 8, heads: 4, vocab: 10}\n"),
              AllOf(StartsWith(file + ":2:45: "), HasSubstr("the tokenizer has 257 ids")));
}

TEST_F(RecipeErrors, ContextLongerThanTheData) {
  EXPECT_THAT(error_of(data + "model: {type: gpt, layers: 1, dim: 8, heads: 2, context: 100000}\n"),
              AllOf(StartsWith(file + ":2:"), HasSubstr("100000")));
}

TEST_F(RecipeErrors, MissingAndEmptyText) {
  EXPECT_THAT(error_of("data: {type: text, files: [absent.txt]}\n" + model),
              AllOf(StartsWith(file + ":1:"), HasSubstr("absent.txt")));
  folder.write("empty.txt", "");
  EXPECT_THAT(error_of("data: {type: text, files: [empty.txt]}\n" + model),
              StartsWith(file + ":1:"));
}

TEST_F(RecipeErrors, TokensSharedTwice) {
  EXPECT_EQ(error_of(data + model + "parallel: {sequence: 2, tensor: 2, share_norms: true}\n"),
            file + ":3:49: the ranks of `sequence` share the tokens already");
  EXPECT_EQ(error_of(data + model + "parallel: {sequence: 2, tensor: 2}\n"), "no error");
}

TEST_F(RecipeErrors, OtherDevices) {
  // a build without CUDA, a machine without devices, and one with fewer than that
  EXPECT_THAT(error_of(data + model + "device: cuda:99\n"),
              AllOf(StartsWith(file + ":3:9: 'device': "), HasSubstr("cuda:99"),
                    AnyOf(HasSubstr("needs a build with CUDA"), HasSubstr("this machine has"))));
  EXPECT_THAT(error_of(data + model + "device: toaster\n"), StartsWith(file + ":3:9: "));
}

TEST_F(RecipeErrors, MalformedYamlAndDuplicateKeys) {
  EXPECT_THAT(error_of("data: {type: text\nmodel: [\n"), StartsWith(file + ":"));
  EXPECT_THAT(error_of(data + data + model), StartsWith(file + ":2:1: "));
}

TEST_F(RecipeErrors, OfAnOverrideNameTheOverride) {
  EXPECT_THAT(error_of(data + model, {"train.stpes=5"}),
              AllOf(StartsWith("override 'train.stpes=5': "), HasSubstr("did you mean 'steps'?")));
  EXPECT_THAT(error_of(data + model, {"train.steps=many"}),
              StartsWith("override 'train.steps=many': 'train.steps' must be an integer"));
  EXPECT_THAT(error_of(data + model, {"model.hedas=3"}),
              AllOf(StartsWith("override 'model.hedas=3': "), HasSubstr("did you mean 'heads'?")));
  EXPECT_THAT(error_of(data + model, {"model.heads=3"}), StartsWith("override 'model.heads=3': "));
}

TEST(Recipe, ResolvedParsesBackEqual) {
  const Scratch folder;
  const Recipe recipe = load_recipe(write_tiny(folder), {"train.steps=7"});
  const std::string text = to_config(recipe).to_yaml();
  EXPECT_EQ(to_config(load_recipe(folder.write("resolved.yaml", text))), to_config(recipe));
  EXPECT_EQ(parse_yaml(text, "again").at("train").at("steps").as_integer(), 7);
}

TEST(Recipe, NameIsTheFilesWhenNotGiven) {
  const Scratch folder;
  folder.write("text.txt", tiny_text());
  const std::string file =
      folder.write("mine.yaml", "data: {files: [text.txt]}\nmodel: {type: gpt}\n");
  EXPECT_EQ(load_recipe(file).name, "mine");
}

TEST(Recipe, EveryBaseRecipeLoads) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator(HEED_SOURCE_DIR "/recipes/base")) {
    if (entry.path().extension() != ".yaml") continue;
    Config tree = load_recipe_tree(entry.path().string());
    tree.find("data")->erase("files");  // the text need not be on this machine
    if (tree.at("data").at("type").as_string() == "text") {
      tree.find("data")->set("files", Config(Config::List{Config("/tmp/x.txt")}));
    }
    const Recipe recipe = recipe_from_config(tree);
    EXPECT_FALSE(recipe.description.empty()) << entry.path();
    EXPECT_EQ(slurp(entry.path().string()).rfind("# ", 0), 0u) << "starts with a comment";
    ++count;
  }
  EXPECT_GE(count, 5);
}

TEST(RecipeSchema, ExpandsTheRegistries) {
  const Config schema = recipe_schema();
  const Config& definitions = schema.at("$defs");
  for (const char* name : {"tasks.language_modeling", "datasets.text", "datasets.cpp-headers",
                           "models.gpt", "attentions.softmax"}) {
    ASSERT_TRUE(definitions.has(name)) << name;
    EXPECT_TRUE(definitions.at(name).at("properties").at("type").has("const")) << name;
  }
  EXPECT_TRUE(schema.at("properties").has("extends"));
  EXPECT_EQ(schema.to_json().find("x-registry"), std::string::npos);
}

/// Every reference of a schema leads to a definition.
void check_references(const Config& node, const Config& definitions) {
  if (node.is_list()) {
    for (const Config& item : node.as_list()) check_references(item, definitions);
  } else if (node.is_map()) {
    for (const auto& [key, value] : node.as_map()) {
      if (key == "$ref") {
        const std::string name = value.as_string().substr(std::string("#/$defs/").size());
        EXPECT_TRUE(definitions.has(name)) << name;
      }
      check_references(value, definitions);
    }
  }
}

TEST(RecipeSchema, ReferencesLeadSomewhere) {
  const Config schema = recipe_schema();
  check_references(schema, schema.at("$defs"));
}

TEST(Tasks, RegistryListsLanguageModeling) {
  ASSERT_FALSE(task_registry().empty());
  EXPECT_EQ(find_task("language_modeling").name, "language_modeling");
  EXPECT_THAT(request_error([] { find_task("language_model"); }),
              HasSubstr("did you mean 'language_modeling'?"));
}

}  // namespace
}  // namespace heed::recipes
