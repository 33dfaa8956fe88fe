#include "nn/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "nn/attention/registry.h"
#include "nn/models/gpt.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using ::testing::HasSubstr;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

template <class Fn>
std::string message_of(const Fn& fn) {
  try {
    fn();
  } catch (const RequestError& error) {
    return error.what();
  }
  return "no RequestError";
}

TEST(ModuleRegistry, EntriesAreCompleteSortedAndUnique) {
  std::set<std::pair<std::string, std::string>> seen;
  std::pair<std::string, std::string> previous;
  for (const ModuleEntry& e : module_registry()) {
    const std::pair key{e.kind, e.name};
    EXPECT_LT(previous, key);
    previous = key;
    EXPECT_FALSE(e.summary.empty()) << e.name;
    EXPECT_FALSE(e.inputs.empty()) << e.name;
    const Config schema = e.schema();
    EXPECT_EQ(schema.at("type"), Config("object")) << e.name;
    for (const auto& [field, property] : schema.at("properties").as_map()) {
      EXPECT_TRUE(property.has("description")) << e.name << "." << field;
    }
    EXPECT_TRUE(e.make && e.forward && e.resolve) << e.name;
  }
}

TEST(ModuleRegistry, FindsByNameAndAlias) {
  EXPECT_EQ(find_module("linear").kind, "layer");
  EXPECT_EQ(find_module("full", "attention").name, "softmax");
}

TEST(ModuleRegistry, SuggestsTheNearestName) {
  EXPECT_EQ(message_of([] { find_module("liner"); }),
            "unknown module 'liner' (did you mean 'linear'?)");
  EXPECT_EQ(message_of([] {
              find_module("gtp", "model", {"r.yaml", 3, 9});
            }),
            "r.yaml:3:9: unknown model 'gtp' (did you mean 'gpt'?)");
  EXPECT_THAT(message_of([] { find_module("gpt", "layer"); }), HasSubstr("unknown layer 'gpt'"));
}

TEST(ModuleRegistry, UnknownOptionsAreRefusedWithTheirPlace) {
  EXPECT_THAT(message_of([] { find_module("linear").make(yaml("in: 2\nout: 3\nbais: true\n")); }),
              ::testing::AllOf(HasSubstr("test.yaml:3:1"), HasSubstr("bias")));
}

TEST(ModuleRegistry, ResolvingFillsInThePreset) {
  const Config resolved =
      find_module("gpt").resolve(yaml("{type: gpt, preset: llama-tiny, vocab: 100}"));
  EXPECT_EQ(resolved.at("type"), Config("gpt"));
  EXPECT_EQ(resolved.at("vocab"), Config(100));
  EXPECT_EQ(resolved.at("dim"), Config(288));
  EXPECT_EQ(resolved.at("norm"), Config("rms_norm"));
  EXPECT_EQ(find_module("gpt").resolve(resolved), resolved);
  EXPECT_FALSE(find_module("gpt").resolve(yaml("{vocab: 9}")).has("preset"));
}

TEST(AttentionSlot, TakesANameAMapOrNothing) {
  const AttentionHost host{.dim = 8, .heads = 2};
  for (const char* slot : {"softmax", "full", "{type: softmax, scale: 0.5}", "{}", "null"}) {
    EXPECT_NE(make_attention(yaml(slot), host), nullptr) << slot;
  }
  EXPECT_THAT(message_of([&] { make_attention(yaml("{type: sofmax}"), host); }),
              ::testing::AllOf(HasSubstr("test.yaml:1:8"), HasSubstr("did you mean 'softmax'")));
  EXPECT_THAT(message_of([&] { make_attention(yaml("{type: softmax, sclae: 1}"), host); }),
              HasSubstr("scale"));
  EXPECT_THAT(message_of([&] { make_attention(yaml("[1]"), host); }), HasSubstr("test.yaml"));
}

TEST(AttentionSlot, RefusesAHostThatCannotBe) {
  const ModuleEntry& softmax = find_module("softmax", "attention");
  const auto refusal = [&](const char* config) {
    return message_of([&] { softmax.make(yaml(config)); });
  };
  EXPECT_THAT(refusal("{dim: 8}"), HasSubstr("'heads' is missing"));
  EXPECT_THAT(refusal("{dim: 8, heads: 3}"), HasSubstr("heads (3) must divide dim (8)"));
  EXPECT_THAT(refusal("{dim: 8, heads: 4, kv_heads: 3}"), HasSubstr("must divide heads (4)"));
  EXPECT_THAT(refusal("{dim: 6, heads: 2, position: rotary}"), HasSubstr("even head_dim, got 3"));
  EXPECT_THAT(refusal("{dim: 8, heads: 2, rotary_dim: 6}"), HasSubstr("at most head_dim (4)"));
  EXPECT_THAT(refusal("{dim: 8, heads: 2, causal: false, position: alibi}"),
              ::testing::AllOf(HasSubstr("test.yaml:1:"), HasSubstr("causal model")));
}

TEST(LanguageModelFactory, TakesTheTokenizersVocabulary) {
  const auto model = make_language_model(yaml("{layers: 1, dim: 8, heads: 2}"), 11, 5);
  EXPECT_EQ(model->vocab(), 11);
  EXPECT_EQ(model->context(), 5);
  const auto same = make_language_model(model->config());
  EXPECT_EQ(same->config(), model->config());
  EXPECT_EQ(same->parameter_count(), model->parameter_count());
  EXPECT_EQ(make_language_model(yaml("{layers: 1, dim: 8, heads: 2, vocab: 16}"), 11)->vocab(), 16);
}

TEST(LanguageModelFactory, KeepsThePresetsVocabularyWhereItHoldsTheTokenizers) {
  const std::string preset = "{preset: llama-tiny, layers: 1, dim: 8, heads: 2, kv_heads: 2";
  EXPECT_EQ(make_language_model(yaml(preset + "}"), 31999)->vocab(), 32000);
  EXPECT_EQ(make_language_model(yaml(preset + "}"), 32001)->vocab(), 32001);
  EXPECT_EQ(make_language_model(yaml(preset + ", vocab: 0}"), 31999)->vocab(), 31999);
}

TEST(LanguageModelFactory, RefusesWhatCannotBe) {
  EXPECT_THAT(message_of([] { make_language_model(yaml("{type: gpt, vocab: 5}"), 11); }),
              ::testing::AllOf(HasSubstr("test.yaml:1:20"), HasSubstr("11")));
  EXPECT_THAT(message_of([] { make_language_model(yaml("{type: gpt}")); }), HasSubstr("vocab"));
  EXPECT_THAT(message_of([] { make_language_model(yaml("{dim: 10, heads: 4}"), 9); }),
              HasSubstr("heads (4) must divide dim (10)"));
  EXPECT_THAT(message_of([] { make_language_model(yaml("{rotary_dim: 2}"), 9); }),
              HasSubstr("is for rotary positions"));
  EXPECT_THAT(message_of([] { make_language_model(yaml("{attentions: [{layers: 2}]}"), 9); }),
              HasSubstr("'attentions[0].attention' is missing"));
  EXPECT_THAT(message_of([] { make_language_model(yaml("{preset: gpt3}"), 9); }),
              HasSubstr("gpt2"));
}

}  // namespace
}  // namespace heed::nn
