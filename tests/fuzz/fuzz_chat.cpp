// chat::Template on any text, with a conversation: it writes within its limits, or is refused.
#include <string>

#include "core/config.h"
#include "data/chat/template.h"
#include "tests/fuzz/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using heed::data::chat::Value;
  static const heed::Config messages = heed::parse_json(
      R"([{"role": "system", "content": " s "}, {"role": "user", "content": "h\u00e9 <b>"},
          {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f",
           "arguments": {"x": 1, "y": [1.5, true]}}}]}])",
      "messages");
  const std::string source(reinterpret_cast<const char*>(data), size);
  const heed::data::chat::RenderLimits limits{20000, size_t{1} << 16};
  return heed::read_or_refuse([&] {
    const heed::data::chat::Template made(source, "input");
    const std::tm now{};
    const std::string text = made.render({{"messages", Value::from(messages)},
                                          {"bos_token", "<s>"},
                                          {"n", 3},
                                          {"add_generation_prompt", true}},
                                         now, limits);
    heed::promise(text.size() <= limits.output, "the limit holds");
  });
}
