// Chat templates; tests/interop/chat_check.py compares many with jinja2.
#include "data/chat/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/files.h"
#include "tests/data/some_day.h"
#include "tests/data/test_data.h"

namespace heed::data::chat {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string written(const std::string& source, const RenderLimits& limits = {}) {
  return Template(source, "t.jinja").render({{"n", 3}}, some_day(), limits);
}

std::string refusal(const std::string& source, const RenderLimits& limits = {}) {
  try {
    return "(no error) " + written(source, limits);
  } catch (const RequestError& error) {
    return error.what();
  }
}

TEST(ChatTemplate, WritesAConversation) {
  const ChatTemplate chatml(
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
      "chatml");
  const Config messages = parse_json(
      R"([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}])", "m");
  EXPECT_EQ(chatml.render(messages),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\n");
  EXPECT_EQ(chatml.render(Config::list(), Config::map(), false), "");
  EXPECT_THROW(chatml.render(Config(Config::List{"Hi"})), RequestError);
}

TEST(ChatTemplate, IsFoundInAFolder) {
  const TemporaryFolder folder;
  EXPECT_FALSE(find_chat_template(folder.path()));
  folder.write("hf-tokenizer_config.json",
               R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>", "chat_template": [
                   {"name": "tools", "template": "no"},
                   {"name": "default", "template": "{{ bos_token }}{{ messages[0].content }}"}]})");
  const Config messages = parse_json(R"([{"role": "user", "content": "Hi"}])", "m");
  EXPECT_EQ(find_chat_template(folder.path(), "hf-")->render(messages), "<s>Hi");
  EXPECT_EQ(*find_chat_template(folder.path(), "hf-")->token("eos_token"), "</s>");
  folder.write("hf-chat_template.jinja", "{{ messages[0].content }}{{ eos_token }}{{ tools }}");
  EXPECT_EQ(find_chat_template(folder.path(), "hf-")->render(messages), "Hi</s>None");
}

TEST(ChatTemplate, ErrorsHaveTheirPlace) {
  EXPECT_THAT(refusal("a\n {{ x.y }}"), StartsWith("t.jinja:2:6: chat template: 'x' is undefined"));
  EXPECT_THAT(refusal("{% include 'x' %}"), HasSubstr("the block 'include' is not supported"));
  EXPECT_THAT(refusal("\n\n{% for x in y recursive %}"), StartsWith("t.jinja:3:15"));
  EXPECT_THAT(refusal("{{ 1 | tojsn }}"), HasSubstr("did you mean 'tojson'?"));
  EXPECT_THAT(refusal("{{ raise_exception('no system turn') }}"), HasSubstr("no system turn"));
  EXPECT_THAT(refusal("{{ f(*n) }}"), HasSubstr("starred arguments"));
  EXPECT_THAT(refusal("{{ '%d' % n }}"), HasSubstr("formatting by %"));
}

// Whatever a template does, it ends, and within bounds of memory and stack.
TEST(ChatTemplate, HasLimits) {
  EXPECT_THAT(
      refusal("{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
              {.steps = 100000}),
      HasSubstr("more than 100000 steps"));
  EXPECT_THAT(refusal("{% for i in range(999) %}0123456789{% endfor %}", {.output = 5000}),
              HasSubstr("more than 5000 bytes"));
  EXPECT_THAT(refusal("{{ 'x' * 99999999 }}"), HasSubstr("too long"));
  EXPECT_THAT(refusal("{% set ns = namespace(s='x') %}{% for i in range(99) %}"
                      "{% set ns.s = ns.s + ns.s %}{% endfor %}"),
              HasSubstr("more than"));
  EXPECT_THAT(refusal("{% set ns = namespace(s=1) %}{% for i in range(999) %}"
                      "{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}"),
              HasSubstr("nested"));
  EXPECT_THAT(refusal("{% set ns = namespace() %}{% set ns.me = ns %}"), HasSubstr("namespace"));
  EXPECT_THAT(refusal("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"), HasSubstr("deep"));
  EXPECT_THAT(refusal("{{ " + std::string(5000, '(') + std::string(5000, ')') + " }}"),
              HasSubstr("nested"));
  std::string members = "{{ n";
  for (int i = 0; i < 5000; ++i) members += ".a";
  EXPECT_THAT(refusal(members + " }}"), HasSubstr("nested"));
  std::string blocks;
  for (int i = 0; i < 5000; ++i) blocks += "{% if n %}";
  EXPECT_THAT(refusal(blocks), HasSubstr("nested"));
}

TEST(ChatTemplate, KnowsTheTime) {
  EXPECT_EQ(written("{{ strftime_now('%d %b %Y') }}"), "07 Mar 2026");
}

}  // namespace
}  // namespace heed::data::chat
