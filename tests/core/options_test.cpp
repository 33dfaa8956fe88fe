#include "core/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/raises.h"

namespace heed {
namespace {

struct Group {
  std::string match = "*";
  std::optional<double> decay;
  void options(Options& o) {
    o.field("match", match, "names", {.required = true});
    o.field("decay", decay, "weight decay", {.min = 0});
  }
};

struct Optimizer {
  double rate = 1e-3;
  std::vector<double> betas = {0.9, 0.999};
  std::vector<Group> groups = {{"all", 0.5}};
  void options(Options& o) {
    o.field("rate", rate, "step size", {.above = 0});
    o.field("betas", betas, "decay rates", {.min = 0, .below = 1});
    o.list("groups", groups, "parameter groups");
    o.check(betas.size() == 2, "betas", "'betas' must have two values");
  }
};

struct Model {
  int64_t hidden = 4;
  int64_t heads = 2;
  std::string activation = "gelu";
  bool bias = true;
  std::optional<int64_t> window;
  std::optional<std::string> note;
  std::vector<int64_t> kernel = {3};
  std::vector<std::string> tags;
  Config attention;
  Optimizer optimizer;
  void options(Options& o) {
    o.field("hidden", hidden, "width", {.min = 1, .max = 1024});
    o.field("heads", heads, "heads");
    o.field("activation", activation, "nonlinearity", {.one_of = {"gelu", "relu"}});
    o.field("bias", bias, "adds a bias");
    o.field("window", window, "keys seen", {.min = 1});
    o.field("note", note, "any text");
    o.field("kernel", kernel, "extents", {.min = 1});
    o.field("tags", tags, "labels", {.one_of = {"a", "b"}});
    o.field("attention", attention, "mechanism", {.registry = "attentions"});
    o.field("optimizer", optimizer, "how it learns");
    o.check(hidden % heads == 0, "heads", fmt::format("{} heads for width {}", heads, hidden));
  }
};

struct Data {
  std::string path;
  void options(Options& o) { o.field("path", path, "file", {.required = true}); }
};
struct Job {
  Data data;
  void options(Options& o) { o.field("data", data, "what to read"); }
};

Model read(const std::string& text) {
  return read_options<Model>(parse_yaml(text, "m.yaml"), "model");
}

std::string model_error(const std::string& text) {
  return request_error([&] { read(text); });
}

TEST(Options, ReadsEveryKindOfField) {
  const Model m = read(
      "type: gpt\nhidden: 1e2\nheads: 5\nactivation: relu\nbias: false\nwindow: 7\nnote: hi\n"
      "kernel: [3, 5]\ntags: [b]\nattention: {type: causal, window: 3}\n"
      "optimizer:\n  rate: 1\n  betas: [0, 0.5]\n  groups:\n    - {match: x, decay: ~}\n"
      "    - match: y\n");
  EXPECT_EQ(m.hidden, 100);
  EXPECT_EQ(m.heads, 5);
  EXPECT_EQ(m.activation, "relu");
  EXPECT_FALSE(m.bias);
  EXPECT_EQ(m.window, 7);
  EXPECT_EQ(m.note, "hi");
  EXPECT_EQ(m.kernel, (std::vector<int64_t>{3, 5}));
  EXPECT_EQ(m.tags, (std::vector<std::string>{"b"}));
  EXPECT_EQ(m.attention.at("window").where().to_string(), "m.yaml:10:35");
  EXPECT_EQ(m.optimizer.rate, 1.0);
  ASSERT_EQ(m.optimizer.groups.size(), 2u);
  EXPECT_EQ(m.optimizer.groups[0].decay, std::nullopt);
  EXPECT_EQ(m.optimizer.groups[1].match, "y");
}

TEST(Options, AbsentAndNullStructsKeepTheDefaults) {
  for (const char* text : {"", "{}", "optimizer:", "optimizer: {}", "window: ~"}) {
    const Model m = read(text);
    EXPECT_EQ(m.hidden, 4);
    EXPECT_EQ(m.optimizer.betas, (std::vector<double>{0.9, 0.999}));
    ASSERT_EQ(m.optimizer.groups.size(), 1u);
    EXPECT_EQ(m.optimizer.groups[0].match, "all");
  }
}

TEST(Options, UnknownKeysAreNamedWithTheNearest) {
  EXPECT_EQ(model_error("hidden: 8\nhiden: 3\n"),
            "m.yaml:2:1: model: unknown key 'hiden' (did you mean 'hidden'?); known: hidden, "
            "heads, activation, bias, window, note, kernel, tags, attention, optimizer");
  EXPECT_THAT(model_error("optimizer:\n  lr: 3\n"),
              testing::StartsWith("m.yaml:2:3: model: unknown key 'optimizer.lr'"));
  EXPECT_THAT(model_error("optimizer: {groups: [{match: a, dekay: 1}]}"),
              testing::HasSubstr("unknown key 'optimizer.groups[0].dekay' (did you mean "
                                 "'decay'?); known: match, decay"));
  // A mistyped key is what is wrong, not the field that is missing for it.
  EXPECT_THAT(model_error("optimizer: {groups: [{mtch: a}]}"),
              testing::HasSubstr("unknown key 'optimizer.groups[0].mtch'"));
}

TEST(Options, WrongTypesSayWhatIsWanted) {
  EXPECT_EQ(model_error("hidden: abc"),
            "m.yaml:1:9: model: 'hidden' must be an integer, got string 'abc'");
  EXPECT_EQ(model_error("hidden: 2.5"),
            "m.yaml:1:9: model: 'hidden' must be an integer, got number 2.5");
  EXPECT_EQ(model_error("hidden: 1e300"),
            "m.yaml:1:9: model: 'hidden' must be an integer, got number 1e+300");
  EXPECT_EQ(model_error("hidden: .nan"),
            "m.yaml:1:9: model: 'hidden' must be an integer, got number nan");
  EXPECT_EQ(model_error("hidden: ~"), "m.yaml:1:9: model: 'hidden' must be an integer, got null");
  EXPECT_EQ(model_error("bias: 1"),
            "m.yaml:1:7: model: 'bias' must be true or false, got integer 1");
  EXPECT_EQ(model_error("activation: 3"),
            "m.yaml:1:13: model: 'activation' must be a string (quote it), got integer 3");
  EXPECT_EQ(model_error("kernel: 3"), "m.yaml:1:9: model: 'kernel' must be a list, got integer 3");
  EXPECT_EQ(model_error("kernel: [3, x]"),
            "m.yaml:1:13: model: 'kernel[1]' must be an integer, got string 'x'");
  EXPECT_EQ(model_error("optimizer: 3"),
            "m.yaml:1:12: model: 'optimizer' must be a map, got integer 3");
  EXPECT_EQ(model_error("optimizer: {groups: {a: 1}}"),
            "m.yaml:1:21: model: 'optimizer.groups' must be a list, got a map");
  EXPECT_EQ(model_error("optimizer: {rate: fast}"),
            "m.yaml:1:19: model: 'optimizer.rate' must be a number, got string 'fast'");
  EXPECT_EQ(model_error("[1]"), "m.yaml:1:1: model: a map is wanted here, got a list");
}

TEST(Options, RulesAreChecked) {
  EXPECT_EQ(model_error("hidden: 0"), "m.yaml:1:9: model: 'hidden' must be >= 1, got 0");
  EXPECT_EQ(model_error("hidden: 2000"), "m.yaml:1:9: model: 'hidden' must be <= 1024, got 2000");
  EXPECT_EQ(model_error("optimizer: {rate: 0}"),
            "m.yaml:1:19: model: 'optimizer.rate' must be > 0, got 0");
  EXPECT_EQ(model_error("optimizer: {betas: [0, 1.0]}"),
            "m.yaml:1:24: model: 'optimizer.betas[1]' must be < 1, got 1.0");
  EXPECT_EQ(model_error("activation: gleu"),
            "m.yaml:1:13: model: 'activation' must be one of gelu, relu; got 'gleu' (did you mean "
            "'gelu'?)");
  EXPECT_THAT(model_error("tags: [a, c]"), testing::HasSubstr("'tags[1]' must be one of a, b"));
  EXPECT_THAT(model_error("window: 0"), testing::HasSubstr("'window' must be >= 1"));
  EXPECT_THAT(model_error("optimizer: {rate: .nan}"), testing::HasSubstr("must be > 0"));
  EXPECT_EQ(model_error("hidden: 10\nheads: 3\n"), "m.yaml:2:8: model: 3 heads for width 10");
  EXPECT_EQ(model_error("hidden: 9\n"), "m.yaml:1:1: model: 2 heads for width 9");
  EXPECT_EQ(model_error("optimizer: {betas: [0]}"),
            "m.yaml:1:20: model: 'betas' must have two values");
}

TEST(Options, RequiredFieldsAreDemandedEvenWhenTheirMapIsAbsent) {
  const auto job = [](const char* text) {
    return request_error([&] { read_options<Job>(parse_yaml(text, "j.yaml"), "job"); });
  };
  EXPECT_EQ(job("data: {}"), "j.yaml:1:7: job: 'data.path' is missing");
  EXPECT_EQ(job("{}"), "j.yaml:1:1: job: 'data.path' is missing");
  EXPECT_EQ(job("data: {path: x}"), "no error");
  EXPECT_EQ(job("dta: {path: x}"),
            "j.yaml:1:1: job: unknown key 'dta' (did you mean 'data'?); known: data");
}

TEST(Options, WritingReadsBack) {
  Model m =
      read("hidden: 8\nattention: {type: x}\noptimizer: {groups: [{match: a}, {match: b}]}\n");
  const Config written = write_options(m);
  EXPECT_EQ(written.keys(),
            (std::vector<std::string>{"hidden", "heads", "activation", "bias", "window", "note",
                                      "kernel", "tags", "attention", "optimizer"}));
  EXPECT_TRUE(written.at("window").is_null());
  const Model back = read_options<Model>(parse_yaml(written.to_yaml(), "w.yaml"), "model");
  EXPECT_EQ(write_options(back), written);
  EXPECT_EQ(back.optimizer.groups.size(), 2u);
}

TEST(Options, DescribesItselfAsJsonSchema) {
  const Config s = describe_options<Model>();
  EXPECT_EQ(s.at("type").as_string(), "object");
  EXPECT_EQ(s.at("additionalProperties"), Config(false));
  const Config& p = s.at("properties");
  EXPECT_EQ(p.at("hidden").to_json(),
            R"({"description": "width", "type": "integer", "minimum": 1, "maximum": 1024, )"
            R"("default": 4})");
  EXPECT_EQ(p.at("activation").at("enum"), Config(Config::List{"gelu", "relu"}));
  EXPECT_EQ(p.at("window").at("type"), Config(Config::List{"integer", "null"}));
  EXPECT_EQ(p.at("kernel").at("items").to_json(), R"({"type": "integer", "minimum": 1})");
  EXPECT_EQ(p.at("attention").to_json(),
            R"({"description": "mechanism", "type": "object", "x-registry": "attentions"})");
  const Config& optimizer = p.at("optimizer");
  EXPECT_EQ(optimizer.at("properties").at("rate").at("exclusiveMinimum"), Config(0));
  const Config& group = optimizer.at("properties").at("groups").at("items");
  EXPECT_EQ(group.at("required"), Config(Config::List{"match"}));
  EXPECT_EQ(group.at("properties").keys(), (std::vector<std::string>{"match", "decay"}));
}

}  // namespace
}  // namespace heed
