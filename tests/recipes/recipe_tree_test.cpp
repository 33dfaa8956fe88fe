#include "recipes/engine/recipe_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/core/raises.h"
#include "tests/core/replaced.h"
#include "tests/recipes/scratch.h"

namespace heed::recipes {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

TEST(RecipeTree, MergesMapsAndReplacesListsAndScalars) {
  const Scratch folder;
  folder.write("base.yaml", "train: {steps: 10, clip: 1.0}\nevaluation: {baselines: [unigram]}\n");
  const std::string file = folder.write(
      "own.yaml",
      "extends: base.yaml\ntrain:\n  steps: 20\nevaluation:\n  baselines: [ngram, unigram]\n");
  EXPECT_EQ(load_recipe_tree(file),
            yaml("train: {steps: 20, clip: 1.0}\nevaluation: {baselines: [ngram, unigram]}"));
}

TEST(RecipeTree, LaterBasesWinAndTheFileItselfWinsOverAll) {
  const Scratch folder;
  folder.write("a.yaml", "x: 1\ny: 1\nz: 1\n");
  folder.write("deep/b.yaml", "y: 2\nz: 2\n");
  const std::string file = folder.write("c.yaml", "extends: [a.yaml, deep/b.yaml]\nz: 3\n");
  EXPECT_EQ(load_recipe_tree(file), yaml("x: 1\ny: 2\nz: 3"));
}

TEST(RecipeTree, OneBaseReachedTwiceIsNoCycle) {
  const Scratch folder;
  folder.write("root.yaml", "x: 1\n");
  folder.write("left.yaml", "extends: root.yaml\n");
  folder.write("right.yaml", "extends: root.yaml\ny: 2\n");
  const std::string file = folder.write("top.yaml", "extends: [left.yaml, right.yaml]\n");
  EXPECT_EQ(load_recipe_tree(file), yaml("x: 1\ny: 2"));
}

TEST(RecipeTree, CycleNamesEveryFileAndItsPlace) {
  const Scratch folder;
  const std::string a = folder.write("a.yaml", "name: a\nextends: b.yaml\n");
  folder.write("b.yaml", "extends: c.yaml\n");
  const std::string c = folder.write("c.yaml", "extends: [a.yaml]\n");
  EXPECT_EQ(request_error([&] { load_recipe_tree(a); }),
            c + ":1:11: extends: goes round: a.yaml -> b.yaml -> c.yaml -> a.yaml");
}

TEST(RecipeTree, FileThatExtendsItself) {
  const Scratch folder;
  const std::string a = folder.write("a.yaml", "extends: ./a.yaml\n");
  EXPECT_THAT(request_error([&] { load_recipe_tree(a); }),
              EndsWith("extends: goes round: a.yaml -> a.yaml"));
}

TEST(RecipeTree, MissingBaseIsNamedWithThePlaceThatAskedForIt) {
  const Scratch folder;
  const std::string a = folder.write("a.yaml", "x: 1\nextends: [nowhere.yaml]\n");
  EXPECT_EQ(request_error([&] { load_recipe_tree(a); }),
            a + ":2:11: extends: there is no file '" + folder.path("nowhere.yaml") + "'");
}

TEST(RecipeTree, ExtendsMustNameFiles) {
  const Scratch folder;
  for (const char* text : {"extends: 3\n", "extends: []\n", "extends: [{a: 1}]\n"}) {
    const std::string a = folder.write("a.yaml", text);
    EXPECT_EQ(request_error([&] { load_recipe_tree(a); }),
              a + ":1:10: extends: needs a file or a list of files");
  }
}

TEST(RecipeTree, FileThatIsNoMap) {
  const Scratch folder;
  for (const char* text : {"", "- 1\n- 2\n", "just text\n"}) {
    const std::string a = folder.write("a.yaml", text);
    EXPECT_THAT(request_error([&] { load_recipe_tree(a); }),
                AllOf(StartsWith(a + ":1:1: "), HasSubstr("map of sections")));
  }
}

TEST(RecipeTree, AnotherTypeReplacesTheInheritedMap) {
  Config tree = yaml("model: {type: gpt, dim: 8, attention: {type: softmax, scale: 2}}");
  merge_tree(tree, yaml("model: {attention: {type: other, window: 3}}"));
  EXPECT_EQ(tree, yaml("model: {type: gpt, dim: 8, attention: {type: other, window: 3}}"));
  merge_tree(tree, yaml("model: {type: mamba}"));
  EXPECT_EQ(tree, yaml("model: {type: mamba}"));
}

TEST(RecipeTree, SectionsWithoutARegistryKeepTheirKeysWhenTheTypeChanges) {
  Config tree = yaml("optimizer: {type: adamw, lr: 0.5}");
  merge_tree(tree, yaml("optimizer: {type: sgd}"));
  EXPECT_EQ(tree, yaml("optimizer: {type: sgd, lr: 0.5}"));
}

Config overridden(const std::string& text, const std::string& assignment) {
  Config tree = yaml(text);
  apply_override(tree, assignment);
  return tree;
}

TEST(Override, SetsValuesOfEveryKind) {
  EXPECT_EQ(overridden("train: {steps: 1}", "train.steps=500"), yaml("train: {steps: 500}"));
  EXPECT_EQ(overridden("{}", "optimizer.lr=3e-4"), yaml("optimizer: {lr: 0.0003}"));
  EXPECT_EQ(overridden("{}", "a=true"), yaml("a: true"));
  EXPECT_EQ(overridden("{}", "a=null"), yaml("a: null"));
  EXPECT_EQ(overridden("{}", "a=[1, x]"), yaml("a: [1, x]"));
  EXPECT_EQ(overridden("{}", "a={b: 2}"), yaml("a: {b: 2}"));
  EXPECT_EQ(overridden("{}", "a=b=c"), yaml("a: b=c"));
  EXPECT_EQ(overridden("{}", "a='500'"), yaml("a: '500'"));
  EXPECT_EQ(overridden("a: x", "a="), yaml("a: ''"));
}

TEST(Override, ReachesIntoLists) {
  EXPECT_EQ(overridden("a: [{b: 1}, {b: 2}]", "a.1.b=7"), yaml("a: [{b: 1}, {b: 7}]"));
  EXPECT_EQ(request_error([] { overridden("a: {b: [1, 2]}", "a.b.2=7"); }),
            "override 'a.b.2=7': 'a.b' is a list of 2: '2' is no index of it");
  EXPECT_EQ(request_error([] { overridden("a: [1]", "a.x=7"); }),
            "override 'a.x=7': 'a' is a list of 1: 'x' is no index of it");
}

TEST(Override, ValuesCarryTheOverrideAsTheirPlace) {
  const Config tree = overridden("train: {steps: 1}", "train.stpes=5");
  EXPECT_EQ(tree.at("train").at("stpes").where().to_string(), "override 'train.stpes=5'");
  EXPECT_EQ(tree.at("train").at("stpes").key_where().to_string(), "override 'train.stpes=5'");
  EXPECT_EQ(tree.at("train").where().to_string(), "test.yaml:1:8");
}

TEST(Override, BadFormsSaySo) {
  EXPECT_EQ(request_error([] { overridden("{}", "steps"); }),
            "override 'steps': an override is written key=value, as in train.steps=500");
  EXPECT_EQ(request_error([] { overridden("{}", "a..b=1"); }),
            "override 'a..b=1': the key has an empty part");
  EXPECT_EQ(request_error([] { overridden("a: 3", "a.b=1"); }),
            "override 'a.b=1': 'a' is integer 3, not a map with 'b'");
  EXPECT_THAT(request_error([] { overridden("{}", "a=[1"); }), StartsWith("override 'a=[1'"));
}

TEST(Override, AnotherTypeReplacesTheMapOfARegistry) {
  EXPECT_EQ(overridden("model: {type: gpt, dim: 8}", "model.type=mamba"),
            yaml("model: {type: mamba}"));
  EXPECT_EQ(overridden("model: {type: gpt, dim: 8}", "model.type=gpt"),
            yaml("model: {type: gpt, dim: 8}"));
  EXPECT_EQ(overridden("optimizer: {type: adamw, lr: 1}", "optimizer.type=sgd"),
            yaml("optimizer: {type: sgd, lr: 1}"));
}

TEST(RecipeTree, ChangesAreListedWithBothValues) {
  const Config before = yaml("train: {steps: 12, clip: 1.0}\nname: a\nold: 1");
  EXPECT_TRUE(tree_changes(before, before).empty());
  EXPECT_THAT(tree_changes(before, yaml("name: b\ntrain: {steps: 15, clip: 1}\nnew: [2]")),
              testing::ElementsAre("name: \"a\" -> \"b\"", "train.steps: 12 -> 15",
                                   "new: absent -> [2]", "old: 1 -> absent"));
}

TEST(RecipePaths, StartAtTheFileThatHoldsThem) {
  const Scratch folder;
  folder.write("base/base.yaml", "data: {files: [text/*.txt, /abs/x.txt]}\n");
  const std::string file = folder.write("own/own.yaml", "extends: ../base/base.yaml\n");
  Config tree = load_recipe_tree(file);
  resolve_paths(tree);
  EXPECT_EQ(tree.at("data").at("files").as_list()[0].as_string(), folder.path("base/text/*.txt"));
  EXPECT_EQ(tree.at("data").at("files").as_list()[1].as_string(), "/abs/x.txt");
}

TEST(RecipePaths, OfAnOverrideStartAtTheCurrentFolder) {
  Config tree = overridden("{}", "data.files=[x.txt]");
  resolve_paths(tree);
  EXPECT_EQ(tree.at("data").at("files").as_list()[0].as_string(),
            (std::filesystem::current_path() / "x.txt").string());
}

TEST(RecipePaths, ExpandEnvironmentVariables) {
  {
    const ReplacedVariable variable("HEED_TEST_FOLDER", "/somewhere");
    Config tree = yaml("data: {files: ['${HEED_TEST_FOLDER}/a.txt']}");
    resolve_paths(tree);
    EXPECT_EQ(tree.at("data").at("files").as_list()[0].as_string(), "/somewhere/a.txt");
  }
  Config again = yaml("data:\n  files: ['${HEED_TEST_FOLDER}/a.txt']");
  EXPECT_EQ(request_error([&] { resolve_paths(again); }),
            "test.yaml:2:11: the environment variable HEED_TEST_FOLDER is not set");
}

TEST(RecipePaths, HeedDataIsFoundInAFolderAbove) {
  const ReplacedVariable unset("HEED_DATA");
  const Scratch folder;
  folder.write("shared/data/a.txt", "x");
  const std::string file =
      folder.write("project/recipes/r.yaml", "data: {files: ['${HEED_DATA}/a.txt']}\n");
  Config tree = load_recipe_tree(file);
  resolve_paths(tree);
  EXPECT_EQ(tree.at("data").at("files").as_list()[0].as_string(), folder.path("shared/data/a.txt"));
}

}  // namespace
}  // namespace heed::recipes
